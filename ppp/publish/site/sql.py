"""`/sql/`: SQLite in the reader's own browser, on the window database; and all files that the page is made of.

Nothing here depends on a ledger: what the page shows of one, it reads from the database itself. Scripts end in `.js`,
as old web servers call nothing else a script.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlite_utils import Database

from ppp.ledger.schema import migrations
from ppp.publish.datasette.definition import described_tables, saved_queries
from ppp.publish.site.front import render
from ppp.publish.snapshots.database import PUBLIC_TABLES
from ppp.resources import resource

#: The database that is asked, from the root of the site.
WINDOW_DATABASE: Final = "snapshots/window.db.gz"
#: Where each vendored file is published: the engine looks for its own second half beside it.
_VENDORED: Final = {"index.mjs": "sqlite3.js", "sqlite3.wasm": "sqlite3.wasm", "LICENSE.txt": "LICENSE.txt"}
#: Empty in a window, or half so: it has no logs, and what a node skipped or looked at twice stays with it.
_NOT_IN_WINDOW: Final = frozenset({"logs", "flakiness", "coverage", "coverage_by_day"})
#: What stands in the editor at first.
_FIRST_QUERY: Final = "newly_broken_cells"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column, and what it means, empty where its name says it."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTable:
    """A table or view that the window fills."""

    name: str
    description: str
    columns: tuple[TableColumn, ...]


def sql_files() -> Iterator[tuple[str, bytes]]:
    """Give the page, its own scripts and style, and SQLite, each with its path within the site."""
    yield sql_page()
    for source in sorted(resource("site/sql").iterdir()):
        yield f"sql/{source.name}", source.read_bytes()
    for name, published in _VENDORED.items():
        yield f"sql/{published}", resource(f"site/vendor/sqlite-wasm/{name}").read_bytes()


def sql_page() -> tuple[str, bytes]:
    """`/sql/index.html`: an editor, the tables, and the saved queries; without JavaScript only the queries, as text."""
    path = "sql/index.html"
    queries = [query for query in saved_queries() if query.name not in _NOT_IN_WINDOW]
    (first,) = (query for query in queries if query.name == _FIRST_QUERY)
    return path, render(
        "sql.html", path=path, database=WINDOW_DATABASE, tables=described_window_tables(), queries=queries, first=first
    )


@cache
def described_window_tables() -> tuple[DescribedTable, ...]:
    """Give the tables and views that are described and that a window fills, in the order of their description."""
    with closing(Database(memory=True)) as db:
        migrations.apply(db)
        views = set(db.view_names())
        return tuple(
            DescribedTable(
                name=name, description=said["description"], columns=_columns(db, name, said.get("columns", {}))
            )
            for name, said in described_tables().items()
            if not said.get("hidden") and name not in _NOT_IN_WINDOW and (name in views or name in PUBLIC_TABLES)
        )


def _columns(db: Database, table: str, descriptions: dict[str, str]) -> tuple[TableColumn, ...]:
    rows = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return tuple(TableColumn(name=name, description=descriptions.get(name, "")) for (name,) in rows)
