"""Removing the stored files that were not used for longest."""

import os
from pathlib import Path

from ppp.check.gateway.stored_files import remove_unused_files

NOW = 1_000_000.0


def store(folder: Path, name: str, size: int, used_at: float) -> Path:
    (folder / name).mkdir()
    path = folder / name / "lib.zip"
    path.write_bytes(b"x" * size)
    os.utime(path, (used_at, used_at))
    return path


def test_the_files_used_longest_ago_are_removed(tmp_path: Path) -> None:
    paths = [store(tmp_path, f"{number:02}", 10, NOW - 100 * number) for number in range(1, 6)]
    remove_unused_files(tmp_path, max_bytes=30, clock=lambda: NOW)
    assert [path.exists() for path in paths] == [True, True, True, False, False]
    remove_unused_files(tmp_path, max_bytes=30, clock=lambda: NOW)
    assert sum(path.exists() for path in paths) == 3


def test_a_file_from_the_future_is_not_kept_for_ever(tmp_path: Path) -> None:
    future = store(tmp_path, "00", 10, NOW + 10**6)
    recent = store(tmp_path, "11", 10, NOW)
    remove_unused_files(tmp_path, max_bytes=10, clock=lambda: NOW)
    assert [future.exists(), recent.exists()] == [False, True]


def test_what_is_no_stored_file_is_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    kept = store(outside, "00", 10, NOW)
    files = tmp_path / "files"
    files.mkdir()
    (files / "link").symlink_to(outside / "00")
    (files / "plain").write_bytes(b"x")
    (files / "empty").mkdir()
    remove_unused_files(files, max_bytes=0, clock=lambda: NOW)
    assert kept.exists()
    assert (files / "plain").exists()
