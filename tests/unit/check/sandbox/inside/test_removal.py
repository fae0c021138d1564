"""Removing what a cell left behind."""

import os
from pathlib import Path

import pytest

from ppp.check.sandbox.inside.removal import clear_folder, move_into


@pytest.mark.heavy
@pytest.mark.attack("separate-cells")
def test_a_folder_is_emptied_whatever_its_depth_and_modes(tmp_path: Path) -> None:
    (kept := tmp_path / "kept").mkdir()
    (kept / "file").write_text("kept")
    (top := tmp_path / "top").mkdir()
    (top / "strict" / "within").mkdir(parents=True)
    (top / "strict" / "within" / "file").touch()
    (top / "link").symlink_to(kept)
    (top / "strict" / "dangling").symlink_to(tmp_path / "gone")
    os.mkfifo(top / "pipe")
    (top / "strict" / "within").chmod(0)
    (top / "strict").chmod(0o500)
    deepest = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper-and-deeper", dir_fd=deepest)
        below = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = below
    os.close(deepest)
    clear_folder(str(top))
    assert list(top.iterdir()) == []
    assert (kept / "file").read_text() == "kept"


@pytest.mark.attack("separate-cells")
def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (kept := tmp_path / "kept").mkdir()
    (kept / "file").touch()
    (tmp_path / "top").symlink_to(kept)
    clear_folder(str(tmp_path / "top"))
    assert (kept / "file").exists()


def test_a_missing_folder_is_no_error(tmp_path: Path) -> None:
    clear_folder(str(tmp_path / "gone"))
    move_into(str(tmp_path), str(tmp_path / "gone"), own=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack("separate-cells")
def test_a_read_only_folder_is_moved(tmp_path: Path) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env").chmod(0o500)
    (used := tmp_path / "used").mkdir()
    move_into(str(used), str(tmp_path / "env"), own=True)
    assert not (tmp_path / "env").exists()
    assert (used / "env" / "bin").is_dir()
