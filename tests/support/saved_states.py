"""A ledger with something in every table that a state carries, and what two ledgers have in common."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from journal_rows import follow, name_release, queue_release
from memory_store import open_store
from mesh_nodes import NOW, chain_of, dump
from optional_fields import OPTIONAL
from snapshot_ledgers import sample_observations
from sqlite_utils import Database

from ppp.ledger.batches import seal
from ppp.ledger.schema import read_ledger
from ppp.ledger.staging import StagedRecord, stage
from ppp.ledger.store import Store
from ppp.mesh.history import store_statements
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add
from ppp.mesh.statement import issue
from ppp.model.canonical import sha256_hex
from ppp.model.record import Installed, Record

OWN, PEER, LIAR, GONE = (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4))
#: It counts rows, which another ledger numbers otherwise.
ROW_NUMBERS: Final = frozenset({"landings_cursor"})
_ROWS: Final = (
    "INSERT INTO skips VALUES ('big', '1.0', '', 'marker', 1, 'requested only where …')",
    "INSERT INTO downloads (package, period, downloads) VALUES ('six', '2026-10', 12)",
    "INSERT INTO download_sources VALUES ('2026-10', 0, 'somebody', 'aa')",
    "INSERT INTO trust_decisions SELECT 'node', 1, 1",
    "INSERT INTO journal_events VALUES ('s', 7, 'six', '', 'remove project', 1)",
    "INSERT INTO journal_margin SELECT source, 7, 'an event' FROM journal_cursors",
    "INSERT INTO journal_intervals VALUES ('s', 1, 7, 'changelog', 3, 1, 1)",
    "INSERT INTO triggers VALUES ('pip', 'pip', '26.0', 'py312-slim', 1, 2, 1)",
    "INSERT INTO receipts SELECT batch, 1 FROM batches",
    "INSERT INTO left_out_batches VALUES ('p', 'b', NULL, 'it is invalid', 1)",
    "INSERT INTO episodes VALUES ('2024-03-01', 'night', 1, 2, 'A night', 0, 'seeded', NULL, '[]', '[]', '[]')",
    "INSERT INTO rechecks SELECT min(record), max(record), 'aa' FROM records",
)


def rich_ledger(data: Path, record: Callable[..., Record], *, days: int = 6) -> None:
    """Make a ledger of the node `OWN`: with batches of three nodes, one of them no peer, and work left to do."""
    with open_store(data) as store:
        for signer in (OWN, PEER, GONE):
            for made, log in sample_observations(record, days=days):
                store.add_record(replace(made, node=signer.id), log)
            seal(store, node=signer.id, sign=signer.sign, verify=lambda _: None, max_records=5)
        add_records(store, OWN, record)
        add(store, OWN, "http://peer.example/", PEER.id, now=NOW)
        add(store, OWN, "http://liar.example/", LIAR.id, now=NOW)
        store_statements(store, chain_of(LIAR, 2), source=LIAR.id, own=OWN.id, now=NOW)
        store_statements(store, chain_of(LIAR, 2, fork_at=2)[1:], source=PEER.id, own=OWN.id, now=NOW)
        publish(store, OWN, now=NOW)
        stage(store, [StagedRecord(record=record("waits", "1.0", node=OWN.id), log=None)], now=NOW)
        # Peers would reject it, so it is in no batch.
        log = "a log\n"
        refused = record("refused", "1.0", node=OWN.id, log_sha256=sha256_hex(log.encode()))
        store.add_record(refused, log)
        follow(store, 7, NOW)
        name_release(store, "package-1", "1.0", serial=3, at=NOW)
        queue_release(store, "package-1", "2.0")
        with store.db.atomic():
            for row in _ROWS:
                store.db.execute(row)


def add_records(store: Store, key: NodeKey, record: Callable[..., Record], *, at: int = NOW) -> None:
    """Add records with all optional fields, which install other packages, and sign them."""
    for number, version in enumerate(("1.0", "1.10", "1.9")):
        installed = (
            Installed(name="depends", version=version, sha256="cd" * 32),
            Installed(name=f"package-{number}", version="0.0", sha256="cd" * 32),
        )
        made = record("depends", version, node=key.id, observed_at=at + number, installed=installed)
        store.add_record(replace(made, **OPTIONAL))
    seal(store, node=key.id, sign=key.sign, verify=lambda _: None)


def publish(store: Store, key: NodeKey, *, now: int) -> None:
    """Issue the next statement of a node, without building anything."""
    issue(
        store, key, current_sha256="aa" * 32, files_sha256=f"{now:064x}", root="cc" * 32, records=1, images={},
        pip_version="26.0.1", now=now,
    )  # fmt: skip


def content(data: Path) -> dict[str, list[str]]:
    """Return all rows of all tables of a ledger that have any, but numbers of rows."""
    db: Database = read_ledger(data)
    try:
        tables = json.loads(dump(db, without=ROW_NUMBERS))
    finally:
        db.close()
    return {table: rows for table, rows in tables.items() if rows}


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
