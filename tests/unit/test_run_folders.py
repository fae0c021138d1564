"""Temporary folders of runs, and those that killed runs left behind."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ppp.run_folders import remove_folder, remove_leftovers, run_folder

HOLDING = """
import sys, time
from pathlib import Path
from ppp.run_folders import run_folder
with run_folder("kept-", Path(sys.argv[1])) as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@contextmanager
def holder(parent: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a process that holds a folder, and kill it at the end."""
    with subprocess.Popen([sys.executable, "-c", HOLDING, parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_folder_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    with run_folder("mine-", tmp_path) as folder:
        assert folder.name.startswith("mine-")
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "deep" / "er").mkdir(parents=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_be_renamed(tmp_path: Path) -> None:
    with run_folder("mine-", tmp_path) as folder:
        (folder / "file").touch()
        folder.rename(tmp_path / "done")
    assert [path.name for path in tmp_path.rglob("*")] == ["done", "file"]


def test_what_a_killed_process_left_is_removed_and_what_lives_is_not(tmp_path: Path) -> None:
    with holder(tmp_path) as (living, kept), run_folder("kept-", tmp_path) as own:
        with holder(tmp_path) as (process, left):
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert (left / "file").exists()
            assert remove_leftovers(["kept-"], tmp_path) == [left]
        assert sorted(tmp_path.iterdir()) == sorted([kept, own])
        assert (kept / "file").exists()
        assert living.poll() is None


def test_a_program_that_the_process_started_does_not_hold_it(tmp_path: Path) -> None:
    with run_folder("mine-", tmp_path) as folder:
        with subprocess.Popen(["sleep", "600"], close_fds=False) as program:
            listed = [str(path.readlink()) for path in Path(f"/proc/{program.pid}/fd").iterdir()]
            program.kill()
        assert str(folder) not in listed


def test_other_names_links_and_files_stay(tmp_path: Path) -> None:
    (target := tmp_path / "target").mkdir()
    (target / "file").touch()
    (tmp_path / "kept-link").symlink_to(target)
    (tmp_path / "kept-file").touch()
    (tmp_path / "other-").mkdir()
    assert remove_leftovers(["kept-"], tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a folder as somebody else")
def test_what_belongs_to_another_user_stays(tmp_path: Path) -> None:
    (folder := tmp_path / "kept-theirs").mkdir()
    os.chown(folder, 65534, 65534)
    assert remove_leftovers(["kept-"], tmp_path) == []
    assert folder.exists()


def test_a_link_within_a_leftover_is_not_followed(tmp_path: Path) -> None:
    (outside := tmp_path / "outside").mkdir()
    (outside / "file").touch()
    (folder := tmp_path / "kept-").mkdir()
    (folder / "link").symlink_to(outside)
    assert remove_leftovers(["kept-"], tmp_path) == [folder]
    assert (outside / "file").exists()


def test_a_deep_tree_that_cannot_be_read_is_removed(tmp_path: Path) -> None:
    (folder := tmp_path / "deep").mkdir()
    before = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(3000):
            os.mkdir("d")  # noqa: PTH102 - the path is too long for one
            os.chdir("d")
        Path("file").touch()
    finally:
        os.chdir(before)
    (folder / "strict" / "within").mkdir(parents=True)
    (folder / "strict" / "within").chmod(0)
    (folder / "strict").chmod(0o500)
    remove_folder(folder)
    assert not folder.exists()


def test_creation_and_cleaning_at_once_lose_nothing(tmp_path: Path) -> None:
    done = threading.Event()

    def clean() -> None:
        while not done.is_set():
            remove_leftovers(["mine-"], tmp_path)

    cleaning = threading.Thread(target=clean)
    cleaning.start()
    try:
        for _ in range(100):
            with run_folder("mine-", tmp_path) as folder:
                (folder / "file").touch()
                with pytest.raises(BlockingIOError):
                    _lock_again(folder)
    finally:
        done.set()
        cleaning.join()
    assert list(tmp_path.iterdir()) == []


def _lock_again(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
