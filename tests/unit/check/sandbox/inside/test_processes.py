"""What the keeper knows of processes, and how one that it forked ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ppp.check.sandbox.inside.processes import descendants_of, state_and_parent


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
