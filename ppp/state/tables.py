"""The tables of a ledger that no batch holds, as files of JSON lines: the queue, the journal, the chain, peers.

A file begins with a line that names the table and its columns; then each row is an array, in the order of the primary
key. What a file would exceed goes into the next one. Which tables there are follows from the schema: one that is added
is saved without a change here.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.mesh.untrusted import reject
from ppp.model.canonical import Json, plain_canonical_json, sha256_hex
from ppp.state.manifest import HINT

#: What batches hold, and what follows from records: all of it is in a base snapshot, and made anew from batches.
CONTENT_TABLES: Final[Mapping[str, str]] = {
    "logs": "log_sha256",
    "records": "package, version, environment, observed_at, record",
    "packages": "package",
    "releases": "package, version",
    "environments": "environment",
    "nodes": "node",
    "results": "package, version, environment",
    "batches": "batch",
    "batch_files": "batch",
    "batch_records": "batch, record",
    "installations": "package, environment",
    "dependents": "dependency, environment, package",
}
#: It counts rows of `records`, which a restored ledger has in another order: saved as the records that are beyond it.
LANDINGS: Final = "landings_cursor"
#: How many bytes of lines one file holds at most, unless a single row has more; GitHub warns of files above 50 MB.
CHUNK_BYTES: Final = 16 * 1024 * 1024
#: The largest file that is read, unpacked: a single row with the longest log.
MAX_UNPACKED_BYTES: Final = 64 * 1024 * 1024
_GZIP_LEVEL: Final = 6
#: The `wbits` of zlib that accepts a gzip stream and no other format.
_GZIP: Final = 16 + zlib.MAX_WBITS
_UNLOOKED: Final = (
    "SELECT l.environment, (SELECT json_group_array(record) FROM (SELECT r.record FROM records AS r"
    " WHERE r.rowid > l.last_row AND r.environment = l.environment ORDER BY r.record))"
    " FROM landings_cursor AS l ORDER BY l.environment"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A file that is to be written: its path below the folder, which its content decides, and its bytes."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """A file of rows that was read."""

    table: str
    columns: tuple[str, ...]
    rows: list[list[Json]]


def carried_tables(db: Database) -> dict[str, tuple[str, ...]]:
    """Return the tables that are saved row by row, each with its columns, by name."""
    names = db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " AND name NOT LIKE '\\_sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    ours = [name for (name,) in names.fetchall() if name not in {*CONTENT_TABLES, LANDINGS}]
    return {name: columns_of(db, name) for name in ours}


def columns_of(db: Database, table: str) -> tuple[str, ...]:
    """Return the names of a table's columns, in order."""
    return tuple(name for (name,) in db.execute("SELECT name FROM pragma_table_info(?) ORDER BY cid", (table,)))


def dump_tables(db: Database) -> Iterator[NamedFile]:
    """Yield the files of all tables that have rows."""
    for table, columns in carried_tables(db).items():
        key = ", ".join(name for (name,) in db.execute(
            "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,)
        ))  # fmt: skip
        rows = db.execute(f"SELECT {', '.join(columns)} FROM [{table}] ORDER BY {key or 'rowid'}")  # noqa: S608 - our own schema
        yield from row_files("tables", table, columns, rows)
    unlooked = db.execute(_UNLOOKED)
    yield from row_files("tables", LANDINGS, ("environment", "unlooked"), ((e, json.loads(ids)) for e, ids in unlooked))


def dump_loose_records(records: Iterable[tuple[dict[str, Json], str | None]]) -> Iterator[NamedFile]:
    """Yield the files of records that are in no batch, each with its log."""
    yield from row_files("records", "loose", ("record", "log"), records)


def row_files(folder: str, name: str, columns: tuple[str, ...], rows: Iterable[Iterable[Json]]) -> Iterator[NamedFile]:
    """Yield the files of some rows; none if there is no row."""
    head = plain_canonical_json({"table": name, "columns": list(columns)})
    number, lines, room = 0, [head], CHUNK_BYTES
    for row in rows:
        line = plain_canonical_json(list(row))
        if len(lines) > 1 and len(line) > room:
            yield _file(folder, name, number, lines)
            number, lines, room = number + 1, [head], CHUNK_BYTES
        lines.append(line)
        room -= len(line) + 1
    if len(lines) > 1:
        yield _file(folder, name, number, lines)


def _file(folder: str, name: str, number: int, lines: list[bytes]) -> NamedFile:
    content = gzip.compress(b"\n".join([*lines, b""]), _GZIP_LEVEL, mtime=0)
    return NamedFile(path=f"{folder}/{name}-{number}-{sha256_hex(content)[:16]}.jsonl.gz", content=content)


def read_rows(content: bytes, path: str) -> TableRows:
    """Return the rows of a file; raise `RejectedDataError` if it is none."""
    stream = zlib.decompressobj(_GZIP)
    try:
        head, *lines = stream.decompress(content, MAX_UNPACKED_BYTES).splitlines()
        described = json.loads(head)
        rows = [json.loads(line) for line in lines]
        found = TableRows(table=described["table"], columns=tuple(described["columns"]), rows=rows)
        whole = stream.eof and all(len(row) == len(found.columns) for row in rows)
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        reject(path, f"it is not a file of rows: {error}", hint=HINT)
    if not whole:
        reject(path, f"it is cut short, or unpacks to more than {MAX_UNPACKED_BYTES:,} bytes", hint=HINT)
    return found


def load_rows(db: Database, found: TableRows, path: str) -> None:
    """Insert the rows of a file, within an open transaction, into a ledger whose schema is that of the state."""
    known = carried_tables(db).get(found.table, ())
    if not found.columns or not set(found.columns) <= set(known):
        reject(
            path, f"this schema has no table {found.table!r} with the columns {', '.join(found.columns)!r}", hint=HINT
        )
    marks = ", ".join("?" * len(found.columns))
    db.conn.executemany(
        f"INSERT INTO [{found.table}] ({', '.join(found.columns)}) VALUES ({marks})",  # noqa: S608 - checked above
        found.rows,
    )


def set_landings(db: Database, rows: Iterable[tuple[str, list[str]]]) -> None:
    """Put the records that were not looked at yet behind all others, within an open transaction.

    Each row names an environment and these records; what is before them was looked at.
    """
    rows = list(rows)
    (last,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
    for environment, _ in rows:
        db.execute("INSERT OR REPLACE INTO landings_cursor VALUES (?, ?)", (environment, last))
    for record in sorted(record for _, records in rows for record in records):
        db.execute("UPDATE records SET rowid = (SELECT max(rowid) + 1 FROM records) WHERE record = ?", (record,))
