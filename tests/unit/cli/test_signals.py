"""Signals that end a command: its folders are removed, and a signal that was ignored stays ignored."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ppp.cli.signals import ENDING

#: Holds a folder of a run, as a command does, and says when it does so.
HOLDING: Final = """
import signal, sys, threading, time
from pathlib import Path
for name in sys.argv[2:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
from ppp.cli.signals import interrupted_by_signals, stop_on_signals
from ppp.run_folders import run_folder
stop = threading.Event()
try:
    with interrupted_by_signals(), run_folder("ppp-gateway-", Path(sys.argv[1])) as folder:
        (folder / "socket").touch()
        {block}
except KeyboardInterrupt:
    sys.exit(130)
sys.exit(3 if stop.is_set() else 0)
"""
WAIT: Final = "print(flush=True); time.sleep({seconds})"
#: As a run does: it notices a request to stop, and then takes a moment to end.
RUN: Final = """
        with stop_on_signals(stop):
            print(flush=True)
            stop.wait(20)
            print("noticed", flush=True)
            time.sleep(0.3)
"""


@contextmanager
def holder(folder: Path, block: str, *ignored: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the program until it holds its folder; kill it at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING.format(block=block), folder, *ignored],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "it has begun"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("number", ENDING)
def test_an_ending_signal_leaves_no_folder(tmp_path: Path, number: signal.Signals) -> None:
    with holder(tmp_path, WAIT.format(seconds=20)) as process:
        process.send_signal(number)
        assert process.wait(10) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_was_ignored_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    # As after `nohup`, or in the background of a shell without job control.
    with holder(tmp_path, WAIT.format(seconds=0.5), number.name) as process:
        process.send_signal(number)
        assert process.wait(10) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_that_is_closed_sends_several(tmp_path: Path) -> None:
    with holder(tmp_path, RUN) as process:
        for _ in range(5):
            process.send_signal(signal.SIGHUP)
        assert process.wait(10) == 3, "the first one requests a stop, and the others do not cut it short"
    assert list(tmp_path.iterdir()) == []


def test_a_second_request_is_not_patient(tmp_path: Path) -> None:
    with holder(tmp_path, RUN) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        assert process.stdout.readline() == "noticed\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert list(tmp_path.iterdir()) == []
