"""The database that Datasette serves: a ledger of one moment, without what is a node's own, made to be asked quickly.

Nothing in it changes, so that what is costly to find is found once: views of findings become tables with indexes, and
names of packages can be searched. The same ledger gives the same bytes.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.model.matrix import environment_sort_key
from ppp.model.record import Json
from ppp.publish.datasette.definition import indexes, materialized_views

#: What of a ledger is not shown to strangers: whom a node listens to, what it has in hand, what nothing vouches for.
PRIVATE_TABLES: Final = ("peers", "sources", "queue", "pending")
#: What is made of these, and goes with them.
PRIVATE_VIEWS: Final = ("given_up",)
#: What a column of a view leads to, as Datasette makes links of foreign keys.
_FOREIGN_KEYS: Final = {
    "package": "packages(package)",
    "environment": "environments(environment)",
    "fails_in": "environments(environment)",
    "passes_in": "environments(environment)",
    "record": "records(record)",
}
_CACHE_KIB: Final = 128 * 1024
#: Any three letters of a name find it, as nobody knows where a name begins a word. Datasette looks for these quotes.
_SEARCH: Final = 'CREATE VIRTUAL TABLE packages_fts USING fts5 (package, content="packages", tokenize="trigram")'


def write_copy(ledger: Database, target: Path) -> None:
    """Write the copy of an open ledger to `target`, whole or not at all; raises what SQLite and the disk raise."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        # A whole, compact file of one moment, whoever writes the ledger meanwhile.
        ledger.execute("VACUUM INTO ?", (str(part),))
        with _open_for_writing(part) as db, db.atomic():
            _drop_private(db)
            _add_indexes(db)
            for view, columns in materialized_views().items():
                _materialize(db, view, columns)
            db.execute(_SEARCH)
            db.execute("INSERT INTO packages_fts (packages_fts) VALUES ('rebuild')")
            db.execute("ANALYZE")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _open_for_writing(path: Path) -> Iterator[Database]:
    db = Database(path)
    try:
        # Nobody reads it yet, and a kill leaves only what the next one clears away. What is dropped is overwritten.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "secure_delete = ON", f"cache_size = -{_CACHE_KIB}"):
            db.execute(f"PRAGMA {pragma}")
        yield db
    finally:
        db.close()


def _drop_private(db: Database) -> None:
    for view in PRIVATE_VIEWS:
        db.view(view).drop()
    for table in PRIVATE_TABLES:
        db.table(table).drop()


def _add_indexes(db: Database) -> None:
    for table, rows in indexes().items():
        for columns in rows:
            _add_index(db, table, columns)
    db.execute("ANALYZE")


def _add_index(db: Database, table: str, columns: str) -> None:
    name = "_by_".join([table, *re.findall(r"\w+", columns)[:1]])
    db.execute(f"CREATE INDEX [served_{name}] ON [{table}] ({columns})")


def _materialize(db: Database, view: str, columns: list[str]) -> None:
    definitions, expressions = _table_columns(db, view)
    db.execute(f"CREATE TABLE [materialized_{view}] ({', '.join(definitions)})")
    selected = ", ".join(expressions)
    # In one order, whatever plan SQLite takes.
    db.execute(f"INSERT INTO [materialized_{view}] SELECT {selected} FROM [{view}] ORDER BY {selected}")  # noqa: S608 - our own names
    db.view(view).drop()
    db.execute("PRAGMA legacy_alter_table = ON")
    db.execute(f"ALTER TABLE [materialized_{view}] RENAME TO [{view}]")
    for each in columns:
        _add_index(db, view, each)


def _table_columns(db: Database, view: str) -> tuple[list[str], list[str]]:
    """Return the definition of each column of a view's table, and the expression that fills it from the view."""
    rows = db.execute("SELECT name, type FROM pragma_table_info(?)", (view,)).fetchall()
    definitions = [
        f"[{name}] {type_}{f' REFERENCES {_FOREIGN_KEYS[name]}' if name in _FOREIGN_KEYS else ''}"
        for name, type_ in rows
    ]
    expressions = [f"[{name}]" for name, _ in rows]
    if view == "matrix":
        # A view cannot have a column for each environment in the data; a table that is made from the data can.
        found = (name for (name,) in db.execute("SELECT DISTINCT environment FROM results"))
        environments = sorted(found, key=environment_sort_key)
        place = expressions.index("[results]")
        definitions[place : place + 1] = [f"[{name}] TEXT" for name in environments]
        expressions[place : place + 1] = [f"results ->> '{name}'" for name in environments]
    return definitions, expressions


def inspect_data(database: Path) -> dict[str, Json]:
    """Give what Datasette would find by reading the whole copy: its digest, its size, and the rows of each table."""
    db = Database(database)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        counts = {name: {"count": db.execute(f"SELECT count(*) FROM [{name}]").fetchone()[0]} for name in names}  # noqa: S608 - as above
    finally:
        db.close()
    said = {"hash": _sha256(database), "size": database.stat().st_size, "file": database.name, "tables": counts}
    return {database.stem: said}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
