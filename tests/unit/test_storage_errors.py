"""Which errors say that a disk is full, and which folder they name."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ppp.model.errors import DataReadOnlyError, DiskFullError
from ppp.storage_errors import (
    check_space,
    full_disks_named,
    is_disk_full,
    storage_error,
    temporary_folder,
    translate_storage_errors,
)

#: A file system that has no space at all, on every Linux.
FULL = Path("/proc")


def raised(error: Exception, *folders: Path) -> str:
    with pytest.raises(DiskFullError) as caught, full_disks_named(*folders):
        raise error
    return caught.value.message


def test_the_full_folder_is_named(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    assert raised(error, tmp_path) == f"no space left for {tmp_path}"
    assert raised(error, tmp_path, FULL) == f"no space left for {FULL}"
    assert raised(error) == "no space left for what it writes"
    named = OSError(errno.EDQUOT, "Disk quota exceeded", str(tmp_path / "part"))
    used_up = f"no space left for {tmp_path / 'part'}, because this user's quota is used up"
    assert raised(named, tmp_path) == used_up
    moved = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "part"), None, str(tmp_path / "whole"))
    assert raised(moved) == f"no space left for {tmp_path / 'whole'}"


def test_sqlite_says_it_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("PRAGMA max_page_count = 2")
        with pytest.raises(DiskFullError, match=r"no space left for .*x\.db"), translate_storage_errors(db_path(db)):
            db.executescript("CREATE TABLE a (b); CREATE TABLE c (d)")


def db_path(db: sqlite3.Connection) -> Path:
    return Path(db.execute("PRAGMA database_list").fetchone()[2])


def test_other_errors_pass(tmp_path: Path) -> None:
    for error in (OSError(errno.EIO, "Input/output error"), sqlite3.OperationalError("locked"), ValueError("x")):
        assert not is_disk_full(error)
        with pytest.raises(type(error)), full_disks_named(tmp_path):
            raise error


def test_space_is_checked_before_it_is_needed(tmp_path: Path) -> None:
    check_space(tmp_path, tmp_path / "not" / "there", tmp_path.parent)
    assert list(tmp_path.iterdir()) == [], "nothing is left of the attempt"
    with pytest.raises(DiskFullError, match="no space left for /proc"):
        check_space(tmp_path, FULL)


@pytest.mark.parametrize(
    ("number", "message", "hint"),
    [
        (errno.EACCES, "cannot use /a/b: Permission denied", "make the folder writable"),
        (errno.EPERM, "cannot use /a/b: Operation not permitted", "make the folder writable"),
        (errno.EROFS, "cannot write /a/b", "make the folder writable"),
        (errno.ENOENT, "/a/b cannot be created: No such file or directory", "name another folder with --data"),
        (errno.ENAMETOOLONG, "/a/b cannot be created: File name too long", "name another folder with --data"),
        (errno.ENOLCK, "/a/b is on a file system that cannot lock files: No locks available", "a disk of this machine"),
        (errno.EOPNOTSUPP, "/a/b is on a file system that cannot lock files", "a disk of this machine"),
        (errno.EIO, "cannot use /a/b: Input/output error", "check that disk"),
        (errno.ESTALE, "cannot use /a/b: Stale file handle", "check that disk"),
        (errno.EFBIG, "cannot use /a/b: File too large", "raise the limit of file sizes"),
        (errno.EMFILE, "cannot use /a/b: Too many open files", "raise the limit of open files"),
    ],
)
def test_an_error_of_a_file_says_what_to_do(number: int, message: str, hint: str) -> None:
    for error, path in ((OSError(number, "?"), Path("/a/b")), (OSError(number, "?", "/a/b"), None)):
        found = storage_error(error, path)
        assert isinstance(found, DataReadOnlyError)
        assert message in found.message
        assert hint in found.hint


def test_an_error_that_is_about_no_file_is_not_explained() -> None:
    assert storage_error(OSError(errno.EIO, "Input/output error")) is None
    assert storage_error(ConnectionResetError(errno.ECONNRESET, "reset", "/a/b")) is None
    assert storage_error(sqlite3.OperationalError("no code")) is None


def test_the_temporary_folder_has_a_remedy_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    full = storage_error(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "part")))
    assert full is not None
    assert full.hint == "free some space, or set TMPDIR to another folder, then run the same command again"
    elsewhere = storage_error(OSError(errno.ENOSPC, "No space left on device", "/other/part"))
    assert elsewhere is not None
    assert "TMPDIR" not in elsewhere.hint


def test_the_folder_for_temporary_files_is_the_configured_one() -> None:
    assert temporary_folder({"TMPDIR": "/one", "TMP": "/two"}) == Path("/one")
    assert temporary_folder({"TMPDIR": "", "TMP": "/two"}) == Path("/two")
    assert temporary_folder({}) == Path("/tmp")  # noqa: S108 - the default of tempfile
