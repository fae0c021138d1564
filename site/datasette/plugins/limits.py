# ruff: noqa: INP001 - a folder of plugins is no package
"""No value, row or statement beyond two million bytes: a time limit alone lets one query answer with a gigabyte.

And crawlers are asked to stay away: every filter of every table is a page to them, and each costs a query.
"""

import sqlite3

from datasette import Response, hookimpl

MAX_BYTES = 2_000_000
ROBOTS = "User-agent: *\nDisallow: /ppp/\nDisallow: /ppp?\nDisallow: /-/\n"


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Cap what a query can make; beyond it SQLite refuses and Datasette answers 400."""
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)


@hookimpl
def register_routes() -> list[tuple[str, object]]:
    """Tell crawlers that only the front page is for them."""
    return [(r"^/robots\.txt$", robots)]


def robots() -> Response:
    """Give robots.txt."""
    return Response.text(ROBOTS)
