"""One public database: a ledger of records and of what follows from them, and nothing that is a node's own.

It is laid anew by our own schema, filled in an order that only the records decide, and written by `VACUUM INTO`: the
same records give the same bytes, whatever the ledger went through. What is not named public here stays empty.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from sqlite_utils import Database

from ppp.ledger.batches import ledger_root
from ppp.ledger.schema import migrations
from ppp.model.record import Json
from ppp.storage_errors import translate_storage_errors

SCHEMA: Final = "ppp-snapshot-1"
#: The tables that are filled, each with the columns that put its rows in order: its primary key.
PUBLIC_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "environments": ("environment",),
    "logs": ("log_sha256",),
    "nodes": ("node",),
    "packages": ("package",),
    "records": ("record",),
    "releases": ("package", "version"),
    "results": ("package", "version", "environment"),
}
#: When the migrations of a snapshot say they were applied: a clock would tell two snapshots apart.
MIGRATIONS_APPLIED_AT: Final = "1970-01-01 00:00:00+00:00"
#: Beyond every time that a record may hold.
END_OF_TIME: Final = 1 << 62
_CACHE_KIB: Final = 64 * 1024


class SnapshotKind(StrEnum):
    """What a snapshot holds: all there is, one month, or the newest days without their logs."""

    DAY = "day"
    MONTH = "month"
    WINDOW = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSelection:
    """Which records: observed from `first` (epoch seconds) until before `end`; with their logs, or without."""

    start: int = 0
    end: int = END_OF_TIME
    logs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressedFile:
    """The gzip of a snapshot: its name, size in bytes, sha256 (hex), and the zlib that made it."""

    file: str
    bytes: int
    sha256: str
    zlib: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is said of a snapshot beside it: digests are sha256 in hex, `as_of` the newest observation (epoch seconds).

    `logical_sha256` is `logical_hash`'s; `root` is that of `current.json` where a snapshot holds all records.
    """

    kind: SnapshotKind
    file: str
    as_of: int | None
    first_day: str | None
    last_day: str | None
    logs: bool
    bytes: int
    sha256: str
    logical_sha256: str
    root: str
    rows: Mapping[str, int]
    sqlite: str
    gzip: CompressedFile | None = None

    def to_json(self) -> dict[str, Json]:
        """Give the object that `snapshot.schema.json` describes."""
        return {
            "schema": SCHEMA,
            "kind": str(self.kind),
            "file": self.file,
            "as_of": self.as_of,
            "first_day": self.first_day,
            "last_day": self.last_day,
            "logs": self.logs,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "logical_sha256": self.logical_sha256,
            "root": self.root,
            "rows": dict(self.rows),
            "sqlite": self.sqlite,
            "gzip": None
            if self.gzip is None
            else {
                "file": self.gzip.file,
                "bytes": self.gzip.bytes,
                "sha256": self.gzip.sha256,
                "zlib": self.gzip.zlib,
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build from an object that `snapshot.schema.json` has passed."""
        rest = {name: value for name, value in data.items() if name not in {"schema", "kind", "gzip"}}
        zipped = data["gzip"] and CompressedFile(**data["gzip"])
        return cls(kind=SnapshotKind(data["kind"]), gzip=zipped, **rest)


def extract(source: Path, target: Path, selection: RecordSelection) -> None:
    """Write a share of a ledger's records to a new database, from one moment of that ledger.

    `target` and its neighbour for staging are overwritten, and are gone where this raises: `DiskFullError`,
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
    # Nobody reads it, and a kill leaves only what the next run clears away.
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
            db.execute(f"INSERT INTO [{table}]([{table}]) VALUES ('rebuild')")  # noqa: S608 - our own schema's
    db.execute("DETACH ledger")
    db.execute("PRAGMA schema_version = 1")


def _fill(db: Database, selection: RecordSelection) -> None:
    # A package's rows lie together: that is how they are asked for, and how they shrink best.
    _copy(
        db, "records", "observed_at >= ? AND observed_at < ?", "package, version, environment, observed_at, record",
        (selection.start, selection.end),
    )  # fmt: skip
    for table, key in (("packages", "package"), ("environments", "environment"), ("nodes", "node")):
        _copy(db, table, f"{key} IN (SELECT {key} FROM main.records)", key)  # noqa: S608 - our own words
    _copy(
        db, "releases",
        "EXISTS (SELECT 1 FROM main.records AS r WHERE r.package = t.package AND r.version = t.version)",
        "package, version",
    )  # fmt: skip
    if selection.logs:
        _copy(db, "logs", "log_sha256 IN (SELECT log_sha256 FROM main.records)", "log_sha256")
    db.execute(f"INSERT INTO main.results (package, version, environment, record) {current_sql('main.records')}")


def _copy(db: Database, table: str, where: str, order: str, values: tuple[object, ...] = ()) -> None:
    columns = ", ".join(columns_of(db, table))
    rows = f"SELECT {columns} FROM ledger.{table} AS t WHERE {where} ORDER BY {order}"  # noqa: S608 - our own words
    db.execute(f"INSERT INTO main.{table} ({columns}) {rows}", values)


def current_sql(records: str) -> str:
    """Give the SQL of what is current among some records, as `ppp.model.record.current_rank` orders them."""
    return (
        "SELECT package, version, environment, record FROM ("  # noqa: S608 - our own words
        "SELECT package, version, environment, record, row_number() OVER (PARTITION BY package, version, environment"
        f" ORDER BY result <> 'ERROR' DESC, observed_at DESC, record DESC) AS place FROM {records})"
        " WHERE place = 1 ORDER BY package, version, environment"
    )


def columns_of(db: Database, table: str) -> list[str]:
    """Give the names of a table's columns in their order."""
    return [name for (name,) in db.execute("SELECT name FROM pragma_table_info(?, 'main') ORDER BY cid", (table,))]


def _full_text_tables(db: Database) -> list[str]:
    rows = db.execute("SELECT name FROM main.sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%' ORDER BY name")
    return [name for (name,) in rows]


def describe(database: Path, *, kind: SnapshotKind, file: str, logs: bool) -> Snapshot:
    """Say what a finished snapshot holds; `file` is the name that it will have."""
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
    """Count the rows of each public table."""
    return {t: int(db.execute(f"SELECT count(*) FROM [{t}]").fetchone()[0]) for t in PUBLIC_TABLES}  # noqa: S608 - our own names


def logical_hash(db: Database) -> str:
    """Give the sha256 (hex) over the rows of all public tables, whatever file they are kept in.

    Hashed are lines of RFC 8785 JSON: for each table in the order of their names `["table",NAME,[COLUMN,…]]`, then
    an array of values for each row, in the order of the primary key (text byte by byte).
    """
    digest = hashlib.sha256()
    for line in _logical_lines(db):
        # Arrays of texts, integers and nulls: here Python's own encoder writes what RFC 8785 asks for.
        digest.update(json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _logical_lines(db: Database) -> Iterator[object]:
    for table in sorted(PUBLIC_TABLES):
        columns = columns_of(db, table)
        yield ["table", table, columns]
        order = ", ".join(PUBLIC_TABLES[table])
        yield from db.execute(f"SELECT {', '.join(columns)} FROM [{table}] ORDER BY {order}")  # noqa: S608 - our own names


def file_sha256(path: Path) -> str:
    """Give a file's sha256 (hex), however large it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def utc_day(epoch_s: int) -> str:
    """Give the UTC day of a time as `2026-11-20`."""
    return datetime.fromtimestamp(epoch_s, UTC).date().isoformat()
