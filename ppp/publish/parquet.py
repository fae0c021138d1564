"""Write the public part of a ledger as Parquet files, for people who work with DuckDB, pandas or Polars.

- `current.parquet` has the current result of each cell, with the blame that pages show; `records/` all observations,
  in a folder for each month (`month=2026-11`), as those programs read partitions. The other public tables are a file
  each; one without rows is left out.
- Times are timestamps (UTC), `standin` is a boolean, other numbers are integers; what the ledger has as JSON stays
  text.
- Each file says title and licence in its metadata, as the view `about` does.
- The same records give the same bytes by the same pyarrow. Rows are read and written in portions, so memory is bounded.

pyarrow is an extra and is imported only here.
"""

import importlib
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ppp.ledger.connect import connect
from ppp.model.errors import ExportError
from ppp.publish.snapshots.database import PUBLIC_TABLES
from ppp.storage_errors import translate_storage_errors

EXTRA: Final = "the-pypi-place[parquet]"
#: How many rows are held in memory, and stand in a row group: a record takes about 1 kB.
PORTION: Final = 20_000
COMPRESSION: Final = "zstd"
#: The tables that say nothing that `records` and `current` do not.
REDUNDANT: Final = frozenset({"nodes", "packages", "records", "results"})
_RECORDS_ORDER: Final = "package, version, environment, observed_at, record"
_MONTH: Final = "strftime('%Y-%m', observed_at, 'unixepoch')"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """A file that was written: its path within the folder, its rows, and its size in bytes."""

    path: str
    rows: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """What one file holds: the rows of a statement, whose columns have the types of a table or view."""

    path: str
    table: str
    sql: str
    params: tuple[str, ...] = ()


def export_parquet(ledger: Path, folder: Path, *, portion: int = PORTION) -> tuple[ExportedFile, ...]:
    """Write a ledger's public tables as Parquet files into a new folder; return them by path.

    All of it is one state of the ledger. At most `portion` rows are held in memory. Raise `ExportError` if the folder
    holds something, or pyarrow is missing.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not an empty folder", hint="name a new one: nothing is overwritten")
    arrow, parquet = _load("pyarrow"), _load("pyarrow.parquet")
    part = folder.with_name(f".{folder.name}.part")
    with translate_storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
    try:
        with translate_storage_errors(ledger), closing(connect(ledger, mode="ro")) as db:
            db.execute("BEGIN")
            written = [_write(db, arrow, parquet, query, part, portion=portion) for query in _queries(db)]
        with translate_storage_errors(folder):
            part.replace(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return tuple(sorted(filter(None, written), key=lambda file: file.path))


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ExportError(f"{name} cannot be imported: {error}", hint=f"install the extra: {EXTRA}") from error


def _queries(db: sqlite3.Connection) -> Iterator[_Query]:
    yield _Query(
        path="current.parquet",
        table="judged",
        sql="SELECT * FROM judged ORDER BY package, version_key, environment",
    )
    for (month,) in db.execute(f"SELECT DISTINCT {_MONTH} FROM records ORDER BY 1").fetchall():  # noqa: S608 - a constant
        yield _Query(
            path=f"records/month={month}/records.parquet",
            table="records",
            sql=f"SELECT * FROM records WHERE {_MONTH} = ? ORDER BY {_RECORDS_ORDER}",  # noqa: S608 - constants
            params=(month,),
        )
    for table, key in PUBLIC_TABLES.items():
        if table not in REDUNDANT:
            order = ", ".join(key)
            yield _Query(path=f"{table}.parquet", table=table, sql=f"SELECT * FROM {table} ORDER BY {order}")  # noqa: S608 - constants


def _write(
    db: sqlite3.Connection, arrow: ModuleType, parquet: ModuleType, query: _Query, folder: Path, *, portion: int
) -> ExportedFile | None:
    """Write one file; None if it would have no row."""
    cursor = db.execute(query.sql, query.params)
    some = cursor.fetchmany(portion)
    if not some:
        return None
    schema = _schema(db, arrow, query.table)
    path = folder / query.path
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    with parquet.ParquetWriter(path, schema, compression=COMPRESSION) as writer:
        while some:
            rows += len(some)
            writer.write_batch(_batch(arrow, schema, some), row_group_size=portion)
            some = cursor.fetchmany(portion)
    return ExportedFile(path=query.path, rows=rows, size=path.stat().st_size)


def _schema(db: sqlite3.Connection, arrow: ModuleType, table: str) -> Any:  # noqa: ANN401 - pyarrow has no types here
    columns = db.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
    about = {name.encode(): value.encode() for name, value in db.execute("SELECT name, value FROM about")}
    return arrow.schema([(name, _type(arrow, name, kind)) for name, kind in columns], metadata=about)


def _type(arrow: ModuleType, name: str, kind: str) -> Any:  # noqa: ANN401 - pyarrow has no types here
    if name == "standin":
        return arrow.bool_()
    if kind != "INTEGER":
        return arrow.string()
    return arrow.timestamp("s", tz="UTC") if name.endswith("_at") else arrow.int64()


def _batch(arrow: ModuleType, schema: Any, rows: Sequence[Sequence[object]]) -> Any:  # noqa: ANN401 - pyarrow has no types here
    columns = []
    for field, values in zip(schema, zip(*rows, strict=True), strict=True):
        kept = [None if value is None else bool(value) for value in values] if field.name == "standin" else [*values]
        columns.append(arrow.array(kept, type=field.type))
    return arrow.record_batch(columns, schema=schema)
