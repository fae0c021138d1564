# ruff: noqa: INP001 - Datasette loads plugins from a plain folder
"""Limit values, rows and statements to two million bytes: with a time limit alone, one query can return a gigabyte.

Also serve a robots.txt that keeps crawlers off the tables, where every filter link would cost a query.
"""

import sqlite3

from datasette import Response, hookimpl

MAX_BYTES = 2_000_000
ROBOTS = "User-agent: *\nDisallow: /ppp/\nDisallow: /ppp?\nDisallow: /-/\n"


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Set SQLite's length limit; Datasette answers 400 to queries that exceed it."""
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)


@hookimpl
def register_routes() -> list[tuple[str, object]]:
    """Register the route of robots.txt."""
    return [(r"^/robots\.txt$", robots)]


def robots() -> Response:
    """Return robots.txt, which allows only the front page."""
    return Response.text(ROBOTS)
