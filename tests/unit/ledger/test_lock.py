"""One writer at a time: the error names the other process, and a lock ends with its process."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ppp.ledger.lock import LOCK_NAME, writer_lock
from ppp.model.errors import DataReadOnlyError, LedgerBusyError

HOLDER = """
import sys
import threading
from pathlib import Path
from ppp.ledger.lock import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_writer(data: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        yield holder


def test_the_error_of_the_second_writer_names_the_first(tmp_path: Path) -> None:
    with another_writer(tmp_path / "data") as holder:
        with pytest.raises(LedgerBusyError) as caught, writer_lock(tmp_path / "data"):
            pytest.fail("both hold the lock")
        assert caught.value.message == f"another PPP (process {holder.pid}) is writing {tmp_path / 'data'}"
        assert "wait for it" in caught.value.hint
    with writer_lock(tmp_path / "data"):
        assert (tmp_path / "data" / LOCK_NAME).read_text() == f"{os.getpid()}\n"


@pytest.mark.attack("crash-safe")
def test_a_lock_is_released_when_its_process_dies(tmp_path: Path) -> None:
    with another_writer(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(timeout=10)
        with writer_lock(tmp_path):
            assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"


def test_the_lock_is_released_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writer_lock(tmp_path):
        raise ZeroDivisionError
    with writer_lock(tmp_path), pytest.raises(LedgerBusyError, match=f"process {os.getpid()}"), writer_lock(tmp_path):
        pytest.fail("both hold the lock")


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    with another_writer(tmp_path) as holder:
        timer = threading.Timer(0.3, holder.kill)
        timer.start()
        with writer_lock(tmp_path, wait_s=30):
            assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
        timer.join()


def test_a_lock_is_waited_for_no_longer_than_asked(tmp_path: Path) -> None:
    with (
        writer_lock(tmp_path),
        pytest.raises(LedgerBusyError, match=f"process {os.getpid()}"),
        writer_lock(tmp_path, wait_s=0.2),
    ):
        pytest.fail("both hold the lock")


def test_locks_of_different_folders_are_independent(tmp_path: Path) -> None:
    with writer_lock(tmp_path / "one"), writer_lock(tmp_path / "other"):
        assert (tmp_path / "one" / LOCK_NAME).exists()


def test_a_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(DataReadOnlyError), writer_lock(tmp_path / "data"):
        pytest.fail("it holds a lock in a file")
