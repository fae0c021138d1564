"""Map errors of SQLite and of the file system to errors that tell a person what to do next."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ppp.model.errors import (
    DataReadOnlyError,
    DiskFullError,
    LedgerBusyError,
    LedgerDamagedError,
    PPPError,
)


@contextmanager
def translate_storage_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite and of the file system into `PPPError`s; let all others through."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if translated := _translate(error, path):
            raise translated from error
        raise


def _translate(error: sqlite3.Error | OSError, path: Path) -> PPPError | None:
    # Match numbers, never texts: these contain paths, and a folder may have any name.
    match _error_number(error):
        case ("os", errno.ENOSPC | errno.EDQUOT) | ("sqlite", sqlite3.SQLITE_FULL):
            return DiskFullError(f"no space left for {path}", hint="free some space, then run the same command again")
        case ("os", errno.EACCES | errno.EROFS | errno.EPERM) | (
            "sqlite",
            sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM,
        ):
            return DataReadOnlyError(
                f"cannot write {path}", hint="make the folder writable, or name another with --data"
            )
        case ("os", errno.EEXIST | errno.ENOTDIR | errno.EISDIR):
            return DataReadOnlyError(
                _file_or_folder_in_the_way(path), hint="move it away, or name another folder with --data"
            )
        case ("sqlite", sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED):
            return LedgerBusyError(f"{path} is locked by another program", hint="wait for it, or close it")
        case ("sqlite", sqlite3.SQLITE_ERROR | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_IOERR):
            return LedgerDamagedError(f"{path} cannot be read: {error}", hint="restore it from a snapshot or a peer")
    return None


def _file_or_folder_in_the_way(path: Path) -> str:
    found = next(each for each in (path, *path.parents) if each.exists())
    present, needed = ("folder", "file") if found.is_dir() else ("file", "folder")
    return f"{found} is a {present} where a {needed} is needed"


def _error_number(error: sqlite3.Error | OSError) -> tuple[str, int | None]:
    if isinstance(error, OSError):
        return "os", error.errno
    # An extended code holds the primary one in its lowest byte; an error of the module itself has none.
    return "sqlite", getattr(error, "sqlite_errorcode", 0) & 0xFF
