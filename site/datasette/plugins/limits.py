# ruff: noqa: INP001 - Datasette loads plugins from a plain folder
"""Limit what one query may cost, whatever it says: memory, time inside one function of SQLite, and what it shows.

Datasette's time limit is checked between the steps of a query, so no single step may take long: the functions are those
whose cost is in proportion to their arguments, and arguments are short. A thread in which a query nevertheless does not
stop cannot be ended alone: then the process ends, with status 75, and whoever started it starts it again.
"""

import os
import sqlite3
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from datasette import hookimpl

MAX_BYTES = 1_000_000
MAX_RESULT_BYTES = 8_000_000
MAX_HEAP_BYTES = 256 * 1024 * 1024
MAX_TRIMMED_CHARACTERS = 100
#: Several times Datasette's own time limit.
QUERY_S = 10.0
RESTART_STATUS = 75

LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    # A value is compared with a pattern of n characters in up to n passes.
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
}
# Sorting spills to files otherwise, as large as there is room.
PRAGMAS = ("temp_store = MEMORY", f"hard_heap_limit = {MAX_HEAP_BYTES}")

#: Left out, among others: printf and format (a width of 1e9 takes minutes in older versions of SQLite), json_patch
#: (quadratic), json_pretty (its output has no limit), and everything that a new version of SQLite adds.
FUNCTION_NAMES = """
    avg count group_concat json_group_array json_group_object max min string_agg sum total
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
    abs char coalesce glob hex ifnull iif if instr length like likelihood likely lower ltrim nullif octet_length quote
    random randomblob replace round rtrim sign sqlite_version substr substring trim typeof unhex unicode unlikely upper
    acos asin atan atan2 ceil ceiling cos degrees exp floor ln log log10 log2 mod pi pow power radians sin sqrt tan
    current_date current_time current_timestamp date datetime julianday strftime time timediff trunc unixepoch zeroblob
    -> ->> json json_array json_array_length json_extract json_object json_quote json_type json_valid
    bm25 escape_fts fts5_source_id highlight match snippet
"""
FUNCTIONS = frozenset(FUNCTION_NAMES.split())


@hookimpl
def prepare_connection(conn: sqlite3.Connection, database: str) -> None:
    """Limit the queries of a connection; Datasette answers 400 to those that exceed a limit."""
    for limit, value in LIMITS.items():
        conn.setlimit(limit, value)
    if "internal" in database.lower():
        # Datasette's own, which it writes to and nobody can query.
        return
    for pragma in PRAGMAS:
        conn.execute(f"PRAGMA {pragma}").fetchall()
    for name, count, function in (("instr", 2, instr), ("replace", 3, replace)):
        conn.create_function(name, count, function, deterministic=True)
    for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        conn.create_function(name, 2, trimmer(strip), deterministic=True)
    conn.row_factory = LimitedRows()
    conn.set_authorizer(authorize)


def authorize(action: int, first: str | None, second: str | None, *_: object) -> int:
    """Allow the listed functions only, and show no path of this machine."""
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in FUNCTIONS:
        return sqlite3.SQLITE_DENY
    # SQLite spells the table as the first query of the connection did.
    if action == sqlite3.SQLITE_READ and ((first or "").lower(), second) == ("pragma_database_list", "file"):
        return sqlite3.SQLITE_IGNORE
    return sqlite3.SQLITE_OK


class LimitedRows:
    """A row factory that raises where the rows of one result are larger than `MAX_RESULT_BYTES` together."""

    def __init__(self) -> None:
        """Start with no result."""
        self._cursor: sqlite3.Cursor | None = None
        self._bytes = 0

    def __call__(self, cursor: sqlite3.Cursor, values: tuple[object, ...]) -> sqlite3.Row:
        """Return a row of a result."""
        if cursor is not self._cursor:
            self._cursor, self._bytes = cursor, 0
        self._bytes += sum(len(value) for value in values if isinstance(value, str | bytes))
        if self._bytes > MAX_RESULT_BYTES:
            raise sqlite3.DataError(f"the result is larger than {MAX_RESULT_BYTES:,} bytes")
        return sqlite3.Row(cursor, values)


# SQLite's own versions of these take quadratic time.


def text(value: object) -> str:
    """Return a value as text, as SQLite converts it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def instr(value: object, part: object) -> int | None:
    """Return the position of a part in a value, from 1, or 0."""
    return None if value is None or part is None else text(value).find(text(part)) + 1


def replace(value: object, old: object, new: object) -> str | None:
    """Return a value in which each `old` is replaced with `new`."""
    if value is None or old is None or new is None:
        return None
    whole, part, other = text(value), text(old), text(new)
    if not part:
        return whole
    if len(whole) + whole.count(part) * (len(other) - len(part)) > MAX_BYTES:
        raise sqlite3.DataError("string or blob too big")
    return whole.replace(part, other)


def trimmer(strip):  # noqa: ANN001, ANN201 - three methods of str
    """Return a function of SQL that removes characters from the ends of a value."""

    def trim(value: object, characters: object) -> str | None:
        if value is None or characters is None:
            return None
        distinct = "".join({*text(characters)})
        if len(distinct) > MAX_TRIMMED_CHARACTERS:
            raise sqlite3.DataError(f"more than {MAX_TRIMMED_CHARACTERS} different characters to trim")
        return strip(text(value), distinct)

    return trim


@hookimpl
def startup(datasette) -> None:  # noqa: ANN001 - its class differs between versions
    """Watch the threads that run queries."""
    if datasette.executor is not None:
        datasette.executor = WatchedThreads(max_workers=datasette.setting("num_sql_threads"))


class WatchedThreads(ThreadPoolExecutor):
    """Threads that run queries; the process ends when one of them is in the same query for more than `QUERY_S`."""

    def __init__(self, max_workers: int) -> None:
        """Start to watch."""
        super().__init__(max_workers=max_workers)
        self._since: dict[int, float] = {}
        threading.Thread(target=self._watch, name="query watchdog", daemon=True).start()

    def submit(self, fn, /, *args, **kwargs) -> Future:  # noqa: ANN001, ANN002, ANN003 - as it is inherited
        """Run a function in a thread, watched."""
        return super().submit(self._timed, fn, *args, **kwargs)

    def _timed(self, fn, *args, **kwargs):  # noqa: ANN001, ANN002, ANN003, ANN202 - as it is inherited
        me = threading.get_ident()
        self._since[me] = time.monotonic()
        try:
            return fn(*args, **kwargs)
        finally:
            del self._since[me]

    def _watch(self) -> None:
        while True:
            time.sleep(1)
            if any(time.monotonic() - since > QUERY_S for since in list(self._since.values())):
                sys.stderr.write(f"a query did not stop within {QUERY_S:g} seconds: this process ends\n")
                sys.stderr.flush()
                os._exit(RESTART_STATUS)
