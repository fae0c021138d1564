"""Map errors of SQLite and of the file system to errors that tell a person what to do next.

A full disk is always named as such, and so is a used-up quota. The error that reports it often does not say which file
system is full: SQLite also writes temporary files elsewhere, and the programs that PPP starts may report nothing but a
lost connection.
"""

import errno
import os
import sqlite3
import tempfile
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
#: What a file system answers that cannot do what is asked of it, although it may have room.
_CANNOT_ALLOCATE: Final = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV})
_ANOTHER_FOLDER: Final = "name another folder with --data"


def check_space(*folders: Path) -> None:
    """Raise `DiskFullError` if one of these folders has hardly any space left, `DataReadOnlyError` if none at all.

    A folder that does not exist would be created. A file is allocated, and removed at once: only that shows a quota.
    """
    for folder in folders:
        if _is_nearly_full(folder):
            raise _disk_full(folder)
        place = _nearest_existing(folder)
        with translate_storage_errors(place), tempfile.TemporaryFile(dir=place) as file:
            _allocate(file.fileno())


def _allocate(handle: int) -> None:
    try:
        os.posix_fallocate(handle, 0, MIN_FREE_BYTES)
    except OSError as error:
        if error.errno not in _CANNOT_ALLOCATE:
            raise


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
    candidates = [*_named_files(error), *folders, temporary_folder(os.environ)]
    full = next((each for each in candidates if _is_nearly_full(each)), None)
    where = full or next(iter([*_named_files(error), *folders]), None)
    return _disk_full(where, quota=_error_number(error) == ("os", errno.EDQUOT))


def _named_files(error: sqlite3.Error | OSError) -> list[Path]:
    named = (getattr(error, "filename2", None), getattr(error, "filename", None))
    return [Path(os.fsdecode(name)) for name in named if isinstance(name, str | bytes) and name]


def _disk_full(where: Path | None, *, quota: bool = False) -> DiskFullError:
    why = ", because this user's quota is used up" if quota else ""
    if where is not None and _lacks_files(where):
        why = ", because its file system has no more inodes"
    temporary = temporary_folder(os.environ)
    elsewhere = ", or set TMPDIR to another folder" if where and where.is_relative_to(temporary) else ""
    return DiskFullError(
        f"no space left for {where or 'what it writes'}{why}",
        hint=f"free some space{elsewhere}, then run the same command again",
    )


@contextmanager
def full_disks_named(*folders: Path) -> Iterator[None]:
    """Raise `DiskFullError` for any error that says that a disk is full; `folders` are where the block may write."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if not is_disk_full(error):
            raise
        raise disk_full_error(error, *folders) from error


def _nearest_existing(folder: Path) -> Path:
    # Not Path.exists, which raises if a folder on the way cannot be looked into.
    return next((each for each in (folder, *folder.absolute().parents) if os.access(each, os.F_OK)), Path("/"))


def _is_nearly_full(folder: Path) -> bool:
    try:
        space = os.statvfs(_nearest_existing(folder))
    except OSError:
        return False
    return _lacks_files(folder) or space.f_bavail * space.f_frsize < MIN_FREE_BYTES


def _lacks_files(folder: Path) -> bool:
    try:
        space = os.statvfs(_nearest_existing(folder))
    except OSError:
        return False
    # Some file systems do not count files.
    return space.f_files > 0 and space.f_favail < MIN_FREE_FILES


@contextmanager
def translate_storage_errors(path: Path) -> Iterator[None]:
    """Translate errors of SQLite and of the file system into `PPPError`s; let all others through."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if translated := storage_error(error, path):
            raise translated from error
        raise


def storage_error(error: sqlite3.Error | OSError, path: Path | None = None) -> PPPError | None:
    """Return the error to show for one of SQLite or of the file system; None if it is about neither a file nor a disk.

    `path` is what was used; without it, it is the file that the error itself names.
    """
    path = path or next(iter(_named_files(error)), None)
    number = _error_number(error)
    if number in _FULL:
        return disk_full_error(error, *([path] if path else []))
    if path is None:
        return None
    return _file_error(number, path) if number[0] == "os" else _sqlite_error(number, error, path)


def _file_error(number: tuple[str, int | None], path: Path) -> PPPError | None:
    # Match numbers, never texts: these contain paths, and a folder may have any name.
    code = number[1] or 0
    message, hint = f"cannot use {path}: {os.strerror(code)}", _ANOTHER_FOLDER
    match code:
        case errno.EROFS:
            return _not_writable(path)
        case errno.ENOLCK | errno.EOPNOTSUPP | errno.ENOSYS:
            return _cannot_lock(path, os.strerror(code))
        case errno.EACCES | errno.EPERM:
            hint = f"make the folder writable, or {_ANOTHER_FOLDER}"
        case errno.EEXIST | errno.ENOTDIR | errno.EISDIR | errno.ELOOP:
            message, hint = _in_the_way(path), f"move it away, or {_ANOTHER_FOLDER}"
        case errno.ENOENT | errno.ENAMETOOLONG | errno.EINVAL:
            message = f"{path} cannot be created: {os.strerror(code)}"
        case errno.EFBIG:
            hint = "raise the limit of file sizes (`ulimit -f`)"
        case errno.EMFILE | errno.ENFILE:
            hint = "raise the limit of open files (`ulimit -n`)"
        case errno.EIO | errno.ESTALE | errno.ENODEV | errno.ENXIO | errno.EREMOTEIO:
            hint = f"check that disk, or {_ANOTHER_FOLDER}"
        case _:
            return None
    return DataReadOnlyError(message, hint=hint)


def _sqlite_error(number: tuple[str, int | None], error: Exception, path: Path) -> PPPError | None:
    match number[1]:
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return _not_writable(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return LedgerBusyError(f"{path} is locked by another program", hint="wait for it, or close it")
        case sqlite3.SQLITE_PROTOCOL | sqlite3.SQLITE_NOLFS:
            return _cannot_lock(path, str(error))
        case sqlite3.SQLITE_ERROR | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_IOERR:
            return LedgerDamagedError(f"{path} cannot be read: {error}", hint="restore it from a snapshot or a peer")
    return None


def _not_writable(path: Path) -> DataReadOnlyError:
    return DataReadOnlyError(f"cannot write {path}", hint=f"make the folder writable, or {_ANOTHER_FOLDER}")


def _cannot_lock(path: Path, text: str) -> DataReadOnlyError:
    return DataReadOnlyError(
        f"{path} is on a file system that cannot lock files: {text}",
        hint="name a folder on a disk of this machine with --data",
    )


def _in_the_way(path: Path) -> str:
    found = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if found.is_symlink() and not os.access(found, os.F_OK):
        return f"{found} is a symbolic link that leads nowhere"
    present, needed = ("folder", "file") if found.is_dir() else ("file", "folder")
    return f"{found} is a {present} where a {needed} is needed"


def _error_number(error: sqlite3.Error | OSError) -> tuple[str, int | None]:
    if isinstance(error, OSError):
        return "os", error.errno
    # An extended code holds the primary one in its lowest byte; an error of the module itself has none.
    return "sqlite", getattr(error, "sqlite_errorcode", 0) & 0xFF
