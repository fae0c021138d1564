"""What the keeper knows of processes, and how one that it forked ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from ppp.check.sandbox.inside.processes import descendants_of, state_and_parent
from ppp.check.sandbox.seccomp import filter_program, this_architecture


def test_a_process_is_found_whatever_its_name(tmp_path: Path) -> None:
    (odd := tmp_path / "a) Z 1 (b").symlink_to("/bin/sleep")
    with subprocess.Popen([str(odd), "60"]) as process:
        state, parent = state_and_parent(process.pid) or ("", 0)
        assert (state in {*"RSD"}, parent) == (True, os.getpid())
        assert process.pid in descendants_of(os.getpid())
        process.kill()
    assert process.pid not in descendants_of(os.getpid())
    assert state_and_parent(process.pid) is None


def test_grandchildren_are_descendants() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        assert {process.pid, grandchild} <= descendants_of(os.getpid())
        assert descendants_of(process.pid) == {grandchild}
        os.kill(grandchild, signal.SIGKILL)


FILTERED: Final = """
import os, sys
from ppp.check.sandbox.inside.processes import install_call_filter
try:
    install_call_filter(bytes.fromhex(sys.argv[1]))
    print("installed")
    assert os.system("exit 0") == 0
    os.chroot("/")
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(filter_program(this_architecture()), "installed\nPermissionError\n", id="ours"),
        pytest.param(b"", "OSError\n", id="empty"),
        pytest.param(bytes(8), "OSError\n", id="not a program"),
        pytest.param(filter_program(this_architecture())[:-8], "OSError\n", id="without an end"),
    ],
)
def test_a_filter_of_calls_is_applied_or_refused(program: bytes, said: str) -> None:
    done = subprocess.run([sys.executable, "-c", FILTERED, program.hex()], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (said, 0), done.stderr


@pytest.mark.parametrize(
    ("ending", "code"),
    [("pass", 9), ("raise SystemExit", 0), ("raise SystemExit(3)", 3), ("raise SystemExit('no')", 1), ("1 / 0", 9)],
)
def test_a_forked_process_never_returns(ending: str, code: int) -> None:
    program = (
        "import sys; from ppp.check.sandbox.inside.processes import exiting\n"
        f"with exiting(9):\n    print('said', flush=False)\n    {ending}\nprint('came back')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "said\n")


def test_a_process_whose_first_thread_has_ended_still_runs() -> None:
    program = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print(flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            deadline = time.monotonic() + 10
            while first_thread_state(process.pid) != "Z" and time.monotonic() < deadline:
                time.sleep(0.01)
            assert first_thread_state(process.pid) == "Z"
            assert process.pid in descendants_of(os.getpid())
        finally:
            process.kill()


def first_thread_state(pid: int) -> str:
    """Return the state letter of a process's first thread."""
    return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
