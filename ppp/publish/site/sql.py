"""`/sql/`: SQLite in the browser, on the window database; the page and all files that it loads.

Nothing here depends on a ledger. Scripts are named `.js`, because old web servers send the right type for no other
name.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from typing import Final

from sqlite_utils import Database

from ppp.ledger.schema import migrations
from ppp.publish.datasette.definition import described_tables, saved_queries
from ppp.publish.site.addresses import datasette_query
from ppp.publish.site.templates import render
from ppp.publish.snapshots.database import PUBLIC_TABLES
from ppp.resources import resource

#: The path of the queried database within the site.
WINDOW_DATABASE: Final = "snapshots/window.db.gz"
#: The published name of each vendored file; sqlite3.js loads sqlite3.wasm from the same folder.
_VENDORED: Final = {"index.mjs": "sqlite3.js", "sqlite3.wasm": "sqlite3.wasm", "LICENSE.txt": "LICENSE.txt"}
#: Tables, views and queries that are empty or incomplete in a window: it has no logs, skips or A/A tests.
_NOT_IN_WINDOW: Final = frozenset({"logs", "flakiness", "coverage", "coverage_by_day"})
#: The query in the editor when the page opens.
_FIRST_QUERY: Final = "newly_broken_cells"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column and its description, which is empty if the name is self-explanatory."""

    name: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTable:
    """A table or view of the window, with its columns."""

    name: str
    description: str
    columns: tuple[TableColumn, ...]


def sql_files(datasette_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield the page, its scripts and style sheet, and SQLite, each with its path within the site."""
    yield sql_page(datasette_url)
    for source in sorted(resource("site/sql").iterdir()):
        yield f"sql/{source.name}", source.read_bytes()
    for name, published in _VENDORED.items():
        yield f"sql/{published}", resource(f"site/vendor/sqlite-wasm/{name}").read_bytes()


def sql_page(datasette_url: str) -> tuple[str, bytes]:
    """Return `/sql/index.html`: an editor, the tables, and the saved queries; without JavaScript, only the queries.

    `datasette_url` is where a Datasette has the same queries, `""` if nowhere.
    """
    path = "sql/index.html"
    queries = [query for query in saved_queries() if query.name not in _NOT_IN_WINDOW]
    (first,) = (query for query in queries if query.name == _FIRST_QUERY)
    return path, render(
        "sql.html",
        path=path,
        database=WINDOW_DATABASE,
        tables=described_window_tables(),
        queries=queries,
        first=first,
        datasette_url=datasette_url,
        datasette={q.name: datasette_query(datasette_url, q.name, **q.params) for q in queries if datasette_url},
    )


@cache
def described_window_tables() -> tuple[DescribedTable, ...]:
    """Return the described tables and views that have rows in a window, in the order of the definition."""
    with closing(Database(memory=True)) as db:
        migrations.apply(db)
        views = set(db.view_names())
        return tuple(
            DescribedTable(
                name=name, description=table["description"], columns=_columns(db, name, table.get("columns", {}))
            )
            for name, table in described_tables().items()
            if not table.get("hidden") and name not in _NOT_IN_WINDOW and (name in views or name in PUBLIC_TABLES)
        )


def _columns(db: Database, table: str, descriptions: dict[str, str]) -> tuple[TableColumn, ...]:
    rows = db.execute("SELECT name FROM pragma_table_info(?)", (table,))
    return tuple(TableColumn(name=name, description=descriptions.get(name, "")) for (name,) in rows)
