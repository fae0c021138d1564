"""Map errors of SQLite and of the file system to errors that tell a person what to do next.

A full disk is always named as such. The error that reports it often does not say which file system is full: SQLite also
writes temporary files elsewhere, and the programs that PPP starts may report nothing but a lost connection.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ppp.model.errors import (
    DataReadOnlyError,
    DiskFullError,
    LedgerBusyError,
    LedgerDamagedError,
    PPPError,
)

#: With less than this, or with fewer files, the programs that a run starts fail in ways that do not say why.
MIN_FREE_BYTES: Final = 64 * 1024 * 1024
MIN_FREE_FILES: Final = 1000
_FULL: Final = ("os", errno.ENOSPC), ("os", errno.EDQUOT), ("sqlite", sqlite3.SQLITE_FULL)
_FREE_SPACE: Final = "free some space, then run the same command again"


def check_space(*folders: Path) -> None:
    """Raise `DiskFullError` if one of the file systems of these folders has hardly any space left."""
    for folder in folders:
        if _is_nearly_full(folder):
            raise DiskFullError(f"no space left for {folder}", hint=_FREE_SPACE)


def temporary_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder for temporary files."""
    # Not gettempdir: it writes a file to find out, and silently uses another folder if the configured one fails.
    named = filter(None, map(environ.get, ("TMPDIR", "TEMP", "TMP")))
    return Path(next(named, "/tmp"))  # noqa: S108 - the default of tempfile


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error of SQLite or of the file system says that a disk, or a user's share of it, is full."""
    return isinstance(error, sqlite3.Error | OSError) and _error_number(error) in _FULL


def disk_full_error(error: sqlite3.Error | OSError, *folders: Path) -> DiskFullError:
    """Return the error to show for one that `is_disk_full`, naming the one of the folders that is full."""
    named = [Path(name) for name in (getattr(error, "filename2", None), getattr(error, "filename", None)) if name]
    candidates = [*named, *folders, temporary_folder(os.environ)]
    where = next((each for each in candidates if _is_nearly_full(each)), next(iter([*named, *folders]), None))
    return DiskFullError(f"no space left for {where or 'what it writes'}", hint=_FREE_SPACE)


@contextmanager
def full_disks_named(*folders: Path) -> Iterator[None]:
    """Raise `DiskFullError` for any error that says that a disk is full; `folders` are where the block may write."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if not is_disk_full(error):
            raise
        raise disk_full_error(error, *folders) from error


def _is_nearly_full(folder: Path) -> bool:
    existing = next((each for each in (folder, *folder.absolute().parents) if each.exists()), Path("/"))
    try:
        space = os.statvfs(existing)
    except OSError:
        return False
    # Some file systems do not count files.
    few_files = space.f_files > 0 and space.f_favail < MIN_FREE_FILES
    return few_files or space.f_bavail * space.f_frsize < MIN_FREE_BYTES


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
        case number if number in _FULL:
            return disk_full_error(error, path)
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
