"""A bound of the data folder: cached files make room, and nothing else does."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from ppp.check.index.file_cache import FileCache
from ppp.runner.disk_bound import folder_bytes, make_room

KIB = 1024


@pytest.fixture(name="data")
def _data(tmp_path: Path) -> Path:
    """A ledger of 100 KiB, and five cached files of 40 KiB each, the first one unused for longest."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "ppp.db").write_bytes(os.urandom(100 * KIB))
    for number in range(5):
        folder = cached(data, number)
        folder.mkdir(parents=True)
        (folder / "a-1.0-py3-none-any.whl").write_bytes(os.urandom(40 * KIB))
        os.utime(folder, (number, number))
    return data


def cached(data: Path, number: int) -> Path:
    return data / "cache" / "files" / sha256(bytes([number])).hexdigest()


def room(data: Path, kib: int) -> tuple[set[int], int]:
    """Make room, and return which cached files are left, and how many were removed."""
    use = make_room(data, [data / "cache" / "files", data / "cache" / "gateway"], kib * KIB)
    assert use.used == folder_bytes(data)
    return {number for number in range(5) if cached(data, number).exists()}, use.removed_files


def test_what_fits_stays(data: Path) -> None:
    assert room(data, 1_000) == ({0, 1, 2, 3, 4}, 0)


def test_what_was_unused_for_longest_makes_room_first(data: Path) -> None:
    assert room(data, 250) == ({2, 3, 4}, 2)


def test_the_ledger_is_never_removed(data: Path) -> None:
    (data / "cache" / "gateway").mkdir()
    (data / "cache" / "gateway" / "pages.db").write_bytes(b"x" * 5_000)
    assert room(data, 1) == (set(), 5)
    assert (data / "ppp.db").stat().st_size == 100 * KIB
    assert (data / "cache" / "gateway" / "pages.db").exists(), "only files by their hash"


def test_a_link_is_not_followed(data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (data / "cache" / "files" / ("a" * 64)).symlink_to(outside)
    room(data, 1)
    assert (outside / "precious").exists()


def test_a_file_that_is_used_is_the_last_to_go(data: Path) -> None:
    files = FileCache(data / "cache" / "files")
    content = os.urandom(40 * KIB)
    name = sha256(content).hexdigest()
    with files.add(name, "b.whl") as new:
        new.write(content)
    os.utime(data / "cache" / "files" / name, (0, 0))
    assert files.get(name, "b.whl", max_bytes=KIB * KIB)
    room(data, 250)
    assert files.get(name, "b.whl", max_bytes=KIB * KIB), "it was used just now"


def test_backups_before_upgrades_go_last_and_never_the_newest(data: Path) -> None:
    names = [f"ppp-m00{number}-20261129T09150{number}Z.db" for number in range(3)]
    for name in (*names, "ppp-m003.db"):
        (data / name).write_bytes(os.urandom(100 * KIB))
    use = make_room(data, [data / "cache" / "files"], 330 * KIB)
    assert (use.removed_files, use.removed_backups, use.used) == (5, 2, folder_bytes(data))
    make_room(data, [data / "cache" / "files"], 1)
    assert sorted(path.name for path in data.glob("*.db")) == ["ppp-m002-20261129T091502Z.db", "ppp-m003.db", "ppp.db"]
