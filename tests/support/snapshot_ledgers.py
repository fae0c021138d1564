"""Ledgers with records of two months, and their snapshots, for tests of writing and of verifying."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from memory_store import open_store

from ppp.ledger.batches import seal
from ppp.ledger.statements import statement_files
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.statement import issue
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.publish.folder import write_statements
from ppp.publish.snapshots.database import describe
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, description_bytes, description_of, file_sha256
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import TakenSnapshots, take

DAY_S = 86_400
MARCH = 1_709_251_200  # 2024-03-01T00:00:00Z
APRIL_25 = 1_714_003_200
POLICY = RetentionPolicy(days=14, weeks=8, window_bytes=45 * 1024 * 1024)

Observation: TypeAlias = tuple[Record, str | None]


def sample_observations(record: Callable[..., Record], *, days: int = 56, per_day: int = 3) -> list[Observation]:
    """Return records of so many days from 2024-03-01: failures with logs, repeats, infrastructure errors."""
    made: list[Observation] = []
    for day in range(days):
        for n in range(per_day):
            at = MARCH + day * DAY_S + n * 60
            log = f'error of {n % 2}: ünïcode \x07 "quoted" \\ \u2028\n' if n == 1 else None
            made.append(
                (
                    record(
                        f"package-{day % 9}",
                        f"{n}.0",
                        ("py312-slim", "py39-alpine", "py311-slim")[n % 3],
                        result="FAIL" if log else "ERROR" if (day + n) % 7 == 0 else "PASS",
                        observed_at=at,
                        log_sha256=log and hashlib.sha256(log.encode()).hexdigest(),
                    ),
                    log,
                )
            )
    return made


def make_ledger(data: Path, made: Iterable[Observation]) -> Path:
    """Create the ledger of a data folder from observations; return its file."""
    with open_store(data) as store, store.db.atomic():
        for record, log in made:
            store.insert_record(record, log)
    return data / "ppp.db"


def take_snapshots(source: Path, out: Path, policy: RetentionPolicy = POLICY) -> TakenSnapshots:
    """Take the snapshots of a ledger."""
    return take(source, out, policy)


def query_rows(database: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Return the rows of a query on a database that nobody writes to."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def tamper(database: Path, *statements: str) -> None:
    """Change a database as an attacker would who can also write its description."""
    beside = description_of(database.parent, database.name)
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    if beside is not None:
        said = replace(beside, bytes=database.stat().st_size, sha256=file_sha256(database))
        with suppress(sqlite3.Error):
            said = replace(describe(database, kind=beside.kind, file=beside.file, logs=beside.logs), gzip=beside.gzip)
        database.with_suffix(".json").write_bytes(description_bytes(said))


def snapshot_files(out: Path) -> dict[str, bytes]:
    """Return the files of a public folder's snapshots by name."""
    return {path.name: path.read_bytes() for path in sorted((out / SNAPSHOTS_FOLDER).iterdir())}


def read_description(out: Path, name: str) -> dict[str, object]:
    """Return a description as JSON."""
    document = json.loads((out / SNAPSHOTS_FOLDER / name).read_text())
    assert isinstance(document, dict)
    return document


def publish_signed(store: Store, data: Path, key: NodeKey, *, node: str | None = None, now: int) -> Path:
    """Build the public folder of a data folder as a node leaves it: signed, with batches and snapshots; return it.

    The batches are those of `node`, by default the one that signs.
    """
    out = data / "public"
    seal(store, node=node or key.id, sign=key.sign, verify=lambda _: None)
    take_snapshots(data / "ppp.db", out)
    built = build(store.db, out)
    issue(
        store, key, current_sha256=built.current_sha256, files_sha256=built.files_sha256, root=built.root,
        records=built.records, images={}, pip_version="26.0.1", now=now,
    )  # fmt: skip
    write_statements(out, statement_files(store.db))
    return out
