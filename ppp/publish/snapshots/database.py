"""Write one public database: the records of a ledger and what follows from them, without a node's private tables.

It is created from our schema, filled in an order that depends only on the records, and written by `VACUUM INTO`, so the
same records give the same bytes. Tables that are not listed as public here stay empty.
"""

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.batches import ledger_root
from ppp.ledger.schema import migrations
from ppp.model.canonical import plain_canonical_json
from ppp.publish.snapshots.description import Snapshot, SnapshotKind, file_sha256
from ppp.storage_errors import translate_storage_errors

#: The tables that are filled, each with its primary key, which is the order of its rows.
PUBLIC_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "download_sources": ("period", "by_python"),
    "downloads": ("period", "package", "python_version"),
    "environments": ("environment",),
    "journal_events": ("source", "serial", "package", "version", "action"),
    "journal_gaps": ("source", "start_at"),
    "journal_intervals": ("source", "last_serial"),
    "journal_releases": ("package", "version"),
    "journal_states": ("package", "version"),
    "logs": ("log_sha256",),
    "nodes": ("node",),
    "packages": ("package",),
    "records": ("record",),
    "releases": ("package", "version"),
    "results": ("package", "version", "environment"),
}
#: The recorded time of the migrations: with a clock, two snapshots of the same records would differ.
MIGRATIONS_APPLIED_AT: Final = "1970-01-01 00:00:00+00:00"
#: Later than any time that a record may have.
END_OF_TIME: Final = 1 << 62
#: Of how many packages the downloads are in a snapshot even if it has no record of them, so that places are true.
MOST_DOWNLOADED: Final = 15_000
_CACHE_KIB: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSelection:
    """The records observed from `start` until before `end` (epoch seconds), with or without their logs."""

    start: int = 0
    end: int = END_OF_TIME
    logs: bool = True


def extract(source: Path, target: Path, selection: RecordSelection) -> None:
    """Write the selected records of a ledger to a new database, from one consistent state of the ledger.

    `target` and the staging file beside it are overwritten. Both are removed if this raises `DiskFullError`,
    `DataReadOnlyError`, `LedgerBusyError` or `LedgerDamagedError`.
    """
    staged = target.with_name(f"{target.name}.staged")
    with translate_storage_errors(target):
        try:
            target.unlink(missing_ok=True)
            staged.unlink(missing_ok=True)
            with closing(sqlite3.connect(staged.absolute().as_uri(), uri=True)) as connection:
                _stage(connection, source, selection)
                connection.execute("VACUUM INTO ?", (str(target),))
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        finally:
            staged.unlink(missing_ok=True)


def _stage(connection: sqlite3.Connection, source: Path, selection: RecordSelection) -> None:
    # No journal: nobody reads this file, and the next run removes what a crash leaves.
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "page_size = 4096", f"cache_size = -{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    db = Database(connection)
    migrations.apply(db)
    with translate_storage_errors(source):
        db.execute("ATTACH ? AS ledger", (f"{source.absolute().as_uri()}?mode=ro",))
    with db.atomic():
        db.execute("UPDATE _sqlite_migrations SET applied_at = ?", (MIGRATIONS_APPLIED_AT,))
        with translate_storage_errors(source):
            _fill(db, selection)
        for table in _full_text_tables(db):
            db.execute(f"INSERT INTO [{table}]([{table}]) VALUES ('rebuild')")  # noqa: S608 - our own identifiers
    db.execute("DETACH ledger")
    db.execute("PRAGMA schema_version = 1")


def _fill(db: Database, selection: RecordSelection) -> None:
    # The records of a package are stored together, because queries read them together and they compress best.
    _copy(
        db, "records", "observed_at >= ? AND observed_at < ?", "package, version, environment, observed_at, record",
        (selection.start, selection.end),
    )  # fmt: skip
    for table, key in (("packages", "package"), ("environments", "environment"), ("nodes", "node")):
        _copy(db, table, f"{key} IN (SELECT {key} FROM main.records)", key)  # noqa: S608 - our own identifiers
    _copy(
        db, "releases",
        "EXISTS (SELECT 1 FROM main.records AS r WHERE r.package = t.package AND r.version = t.version)",
        "package, version",
    )  # fmt: skip
    if selection.logs:
        _copy(db, "logs", "log_sha256 IN (SELECT log_sha256 FROM main.records)", "log_sha256")
    db.execute(f"INSERT INTO main.results (package, version, environment, record) {current_sql('main.records')}")
    _fill_journal(db, selection)
    _fill_downloads(db, selection)


def _fill_journal(db: Database, selection: RecordSelection) -> None:
    # What was announced, said and read in the time of the records. The states are as they are now: they follow from
    # the queue, which stays private.
    for table, at, order in (
        ("journal_releases", "announced_at", "announced_at, package, version"),
        ("journal_events", "at", "source, serial, package, version, action"),
        ("journal_intervals", "read_at", "source, last_serial"),
        ("journal_gaps", "start_at", "source, start_at"),
    ):
        _copy(db, table, f"{at} >= ? AND {at} < ?", order, (selection.start, selection.end))
    db.execute(
        "INSERT INTO main.journal_states (package, version, state, skip_reason)"
        " SELECT package, version, state, CASE state WHEN 'skipped' THEN skip_reason END FROM ledger.coverage_releases"
        " WHERE announced_at >= ? AND announced_at < ? ORDER BY package, version",
        (selection.start, selection.end),
    )


def _fill_downloads(db: Database, selection: RecordSelection) -> None:
    # Of the newest period: what a query joins. Older ones stay in the ledger, and in the files that were imported.
    known = "package IN (SELECT package FROM main.packages)"
    most = f"SELECT package FROM ledger.popularity ORDER BY place, package LIMIT {MOST_DOWNLOADED}"  # noqa: S608 - our number
    _fill_period(db, 0, f"({known} OR package IN ({most}))")
    # By Python version there may be ten times as many: they are not in the window, which readers load as a whole.
    if selection.logs:
        _fill_period(db, 1, known)


def _fill_period(db: Database, by_python: int, which: str) -> None:
    (period,) = db.execute(
        "SELECT max(period) FROM ledger.downloads WHERE (python_version <> '') = ?", (by_python,)
    ).fetchone()
    kind = (period, by_python)
    rows = f"period = ? AND (python_version <> '') = ? AND {which}"
    _copy(db, "downloads", rows, "period, package, python_version", kind)
    _copy(db, "download_sources", "period = ? AND by_python = ?", "period, by_python", kind)


def _copy(db: Database, table: str, where: str, order: str, values: tuple[object, ...] = ()) -> None:
    columns = ", ".join(columns_of(db, table))
    rows = f"SELECT {columns} FROM ledger.{table} AS t WHERE {where} ORDER BY {order}"  # noqa: S608 - our own identifiers
    db.execute(f"INSERT INTO main.{table} ({columns}) {rows}", values)


def current_sql(records: str) -> str:
    """Return the SQL that selects the current record of each cell, ordered as by `ppp.model.current.current_rank`."""
    return (
        "SELECT package, version, environment, record FROM ("  # noqa: S608 - our own identifiers
        "SELECT package, version, environment, record, row_number() OVER (PARTITION BY package, version, environment"
        f" ORDER BY result <> 'ERROR' DESC, observed_at DESC, record DESC) AS place FROM {records})"
        " WHERE place = 1 ORDER BY package, version, environment"
    )


def columns_of(db: Database, table: str) -> list[str]:
    """Return the names of a table's columns, in order."""
    return [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?, 'main') ORDER BY cid", (table,))]


def _full_text_tables(db: Database) -> list[str]:
    rows = db.execute("SELECT name FROM main.sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%' ORDER BY name")
    return [name for (name,) in rows]


def describe(database: Path, *, kind: SnapshotKind, file: str, logs: bool) -> Snapshot:
    """Return the description of a finished snapshot; `file` is the name that it will have."""
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        db = Database(connection)
        first, last = db.execute("SELECT min(observed_at), max(observed_at) FROM records").fetchone()
        return Snapshot(
            kind=kind,
            file=file,
            as_of=last,
            first_day=None if first is None else utc_day(first),
            last_day=None if last is None else utc_day(last),
            logs=logs,
            bytes=database.stat().st_size,
            sha256=file_sha256(database),
            logical_sha256=logical_hash(db),
            root=ledger_root(db),
            rows=row_counts(db),
            sqlite=sqlite3.sqlite_version,
        )


def row_counts(db: Database) -> dict[str, int]:
    """Return the number of rows of each public table."""
    return {t: int(db.execute(f"SELECT count(*) FROM [{t}]").fetchone()[0]) for t in _public_tables(db)}  # noqa: S608 - our own identifiers


def _public_tables(db: Database) -> list[str]:
    # A snapshot of an older PPP has fewer.
    found = set(db.table_names())
    return sorted(table for table in PUBLIC_TABLES if table in found)


def logical_hash(db: Database) -> str:
    """Return the sha256 (hex) of the rows of all public tables, independent of the file format.

    The hashed text is lines of RFC 8785 JSON: for each table, sorted by name, `["table",NAME,[COLUMN,…]]`, then an
    array of values for each row, in primary-key order (text compared byte by byte).
    """
    digest = hashlib.sha256()
    for line in _logical_lines(db):
        digest.update(plain_canonical_json(line) + b"\n")
    return digest.hexdigest()


def _logical_lines(db: Database) -> Iterator[object]:
    for table in _public_tables(db):
        columns = columns_of(db, table)
        yield ["table", table, columns]
        order = ", ".join(PUBLIC_TABLES[table])
        yield from db.execute(f"SELECT {', '.join(columns)} FROM [{table}] ORDER BY {order}")  # noqa: S608 - our own identifiers


def utc_day(epoch_s: int) -> str:
    """Return the UTC day of a time in epoch seconds, as `2026-11-20`."""
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()
