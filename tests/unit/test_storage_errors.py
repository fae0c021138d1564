"""Which errors say that a disk is full, and which folder they name."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ppp.model.errors import DiskFullError
from ppp.storage_errors import check_space, full_disks_named, is_disk_full, temporary_folder, translate_storage_errors

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


def test_the_folder_for_temporary_files_is_the_configured_one() -> None:
    assert temporary_folder({"TMPDIR": "/one", "TMP": "/two"}) == Path("/one")
    assert temporary_folder({"TMPDIR": "", "TMP": "/two"}) == Path("/two")
    assert temporary_folder({}) == Path("/tmp")  # noqa: S108 - the default of tempfile
