"""Connections to a ledger's file, whatever its schema is."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from ppp.model.errors import LedgerDamagedError
from ppp.storage_errors import translate_storage_errors

BUSY_TIMEOUT_S: Final = 10.0


def connect(path: Path, *, mode: str) -> sqlite3.Connection:
    """Return a connection to a file; `mode` is that of SQLite's URIs: `ro`, `rw` or `rwc`."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False)


def connect_as_it_is(path: Path) -> sqlite3.Connection:
    """Return a read-only connection to a ledger of any schema; raise `LedgerDamagedError` if there is none."""
    with translate_storage_errors(path):
        if not path.exists():
            raise LedgerDamagedError(f"no ledger at {path}", hint="name another folder with --data")
        finish_rollback(path)
        return connect(path, mode="ro")


def finish_rollback(path: Path) -> None:
    """Undo what a kill during a commit left in a ledger: only a connection that may write can do that."""
    if path.with_name(f"{path.name}-journal").exists():
        with closing(connect(path, mode="rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema")
