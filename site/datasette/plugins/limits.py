# ruff: noqa: INP001 - a folder of plugins is no package
"""No value, row or statement beyond two million bytes: a time limit alone lets one query answer with a gigabyte."""

import sqlite3

from datasette import hookimpl

MAX_BYTES = 2_000_000


@hookimpl
def prepare_connection(conn: sqlite3.Connection) -> None:
    """Cap what a query can make; beyond it SQLite refuses and Datasette answers 400."""
    conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
