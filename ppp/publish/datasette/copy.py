"""The database that Datasette serves: a copy of the ledger without private tables, optimized for queries.

The copy never changes, so expensive views are stored as tables with indexes, and package names are indexed for
full-text search. The same ledger gives the same bytes.
"""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.model.canonical import Json
from ppp.model.matrix import environment_sort_key
from ppp.publish.datasette.definition import added_columns, indexes, materialized_views

#: Tables that are not published: peers and feed state, the queue, and results not yet confirmed by the canary.
PRIVATE_TABLES: Final = (
    "peers",
    "trust_decisions",
    "queue",
    "queue_order",
    "pending",
    "journal_todo",
    "journal_margin",
    "journal_feeds",
    "journal_cursors",
)
#: Public views that are made from private tables.
VIEWS_OF_PRIVATE_TABLES: Final = ("coverage_releases",)
#: Views that depend on private tables.
PRIVATE_VIEWS: Final = ("given_up",)
#: The foreign keys of materialized views, by column: Datasette renders them as links.
_FOREIGN_KEYS: Final = {
    "package": "packages(package)",
    "environment": "environments(environment)",
    "fails_in": "environments(environment)",
    "passes_in": "environments(environment)",
    "record": "records(record)",
}
#: Views whose packages need not be on record: a foreign key would lead nowhere.
_WITHOUT_KEYS: Final = frozenset({"popularity", "coverage_releases"})
_CACHE_KIB: Final = 128 * 1024
#: A trigram index, so that any three letters of a name find it. Datasette detects it by these double quotes.
_SEARCH: Final = 'CREATE VIRTUAL TABLE packages_fts USING fts5 (package, content="packages", tokenize="trigram")'


def write_copy(ledger: Database, target: Path) -> None:
    """Write the copy of an open ledger to `target` atomically; raise what SQLite and the disk raise."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        # A compact file with one consistent state, even while the ledger is written to.
        ledger.execute("VACUUM INTO ?", (str(part),))
        with _open_for_writing(part) as db, db.atomic():
            # What became of releases follows from the queue: it is stored before that is dropped.
            for view in VIEWS_OF_PRIVATE_TABLES:
                _materialize(db, view, [])
            _drop_private(db)
            _add_columns(db)
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
        # No journal: nobody reads this file, and the next run removes what a crash leaves. secure_delete overwrites
        # dropped tables, so that no private data remains in free pages.
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


def _add_columns(db: Database) -> None:
    for table, columns in added_columns().items():
        for name in columns:
            db.execute(f"ALTER TABLE [{table}] ADD COLUMN [{name}] ANY")
        values = ", ".join(f"[{name}] = {expression}" for name, expression in columns.items())
        db.execute(f"UPDATE [{table}] SET {values}")  # noqa: S608 - our own definition


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
    # Sorted, so that the rows do not depend on the query plan.
    db.execute(f"INSERT INTO [materialized_{view}] SELECT {selected} FROM [{view}] ORDER BY {selected}")  # noqa: S608 - our own identifiers
    db.view(view).drop()
    db.execute("PRAGMA legacy_alter_table = ON")
    db.execute(f"ALTER TABLE [materialized_{view}] RENAME TO [{view}]")
    for column in columns:
        _add_index(db, view, column)


def _table_columns(db: Database, view: str) -> tuple[list[str], list[str]]:
    """Return the definition of each column of a view's table, and the expression that fills it from the view."""
    rows = db.execute("SELECT name, type FROM pragma_table_info(?)", (view,)).fetchall()
    keys = {} if view in _WITHOUT_KEYS else _FOREIGN_KEYS
    definitions = [f"[{name}] {type_}{f' REFERENCES {keys[name]}' if name in keys else ''}" for name, type_ in rows]
    expressions = [f"[{name}]" for name, _ in rows]
    if view == "matrix":
        # Unlike the view, a table made from the data can have a column for each environment.
        found = (name for (name,) in db.execute("SELECT DISTINCT environment FROM results"))
        environments = sorted(found, key=environment_sort_key)
        place = expressions.index("[results]")
        definitions[place : place + 1] = [f"[{name}] TEXT" for name in environments]
        expressions[place : place + 1] = [f"results ->> '{name}'" for name in environments]
    return definitions, expressions


def inspect_data(database: Path) -> dict[str, Json]:
    """Return what Datasette would otherwise compute at startup: digest, size, and the row count of each table."""
    db = Database(database)
    try:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        counts = {name: {"count": db.execute(f"SELECT count(*) FROM [{name}]").fetchone()[0]} for name in names}  # noqa: S608 - as above
    finally:
        db.close()
    description = {"hash": _sha256(database), "size": database.stat().st_size, "file": database.name, "tables": counts}
    return {database.stem: description}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
