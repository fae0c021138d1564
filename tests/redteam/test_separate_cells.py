"""Whether a cell can use up what the kernel counts by user, so that its neighbours' installations and imports fail.

One cell takes all that it can get, and holds it while another one asks for a little of it.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import FetchedPip
from runtimes import CONFINED, RuntimeKind, RuntimePlace, json_output, run_python, running_runtime, wait_until

from ppp.check.runtime import CommandResult, Sandbox

pytestmark = pytest.mark.attack("separate-cells")

#: How long an attack lasts at most.
ATTACK_S: Final = 60
PROCESSES: Final = 24
#: Those in which the engine says which users there are.
CONTAINERS: Final = [param for param in CONFINED if param.values != (RuntimeKind.BUBBLEWRAP,)]


@pytest.fixture(scope="module", params=CONFINED)
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as running:
        if not running.kind.is_container and os.geteuid() != 0:
            pytest.skip("an ordinary user's cells under bubblewrap are that user")
        yield running


@pytest.fixture(scope="module")
def attacker(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def neighbour(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


SETUP: Final = """
import ctypes, fcntl, os, signal, time
libc = ctypes.CDLL(None, use_errno=True)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGRTMIN})
class Attributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_long) for name in ('flags', 'most', 'size', 'count', 'a', 'b', 'c', 'd')]
def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""
#: Functions that take one more of what is counted, and raise OSError where nothing is left.
COUNTED: Final = {
    "inotify-instances": """
def take(number):
    return check(libc.inotify_init1(0))
""",
    "pending-signals": """
def take(number):
    check(libc.sigqueue(os.getpid(), int(signal.SIGRTMIN), None))
""",
    "message-queue-bytes": """
queues = libc if hasattr(libc, 'mq_open') else ctypes.CDLL('librt.so.1', use_errno=True)
def take(number):
    name = b'/queue-%d-%d' % (os.getpid(), number)
    queue = check(queues.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, ctypes.byref(Attributes(0, 10, 8192))))
    check(queues.mq_unlink(name))
    return queue
""",
    "pipe-memory": """
F_GETPIPE_SZ = 1032
def take(number):
    ends = os.pipe()
    if fcntl.fcntl(ends[0], F_GETPIPE_SZ) < 65536:
        raise OSError('a smaller pipe')
    return ends
""",
}
#: Asks for a little.
ASKING: Final = """
take(0), take(1)
print('had both')
"""
#: Takes all, in several processes, each of which is called MARK once nothing was left, and goes on.
TAKING: Final = f"""
PR_SET_NAME = 15
for _ in range({PROCESSES - 1}):
    if os.fork() == 0:
        break
held, number = [], 0
while True:
    number += 1
    try:
        held.append(take(number))
    except OSError:
        libc.prctl(PR_SET_NAME, b'MARK', 0, 0, 0)
        time.sleep(0.05)
"""


def processes_called(name: str) -> list[int]:
    """Return the processes of this machine with a name, those in cells too."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "comm").read_text().strip() == name:
                found.append(int(process.name))
    return found


@contextmanager
def attack(attacker: Sandbox, taking: str) -> Iterator[None]:
    """Have a cell take everything; enter the block when nothing is left, and end the attack afterwards."""
    mark = f"taken-{os.urandom(4).hex()}"
    source = SETUP + taking + TAKING.replace("MARK", mark)
    ended: list[CommandResult] = []
    attacking = threading.Thread(target=lambda: ended.append(run_python(attacker, source, timeout_s=ATTACK_S)))
    attacking.start()
    try:
        wait_until(lambda: bool(ended) or len(processes_called(mark)) == PROCESSES, limit_s=ATTACK_S)
        assert not ended, ended
        yield
        assert len(processes_called(mark)) == PROCESSES, "the attack went on until now"
    finally:
        for process in processes_called(mark):
            # Only root may; otherwise it ends when its time is up.
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        attacking.join()


@pytest.mark.parametrize("counted", COUNTED)
def test_a_cell_that_takes_everything_leaves_its_neighbour_enough(
    attacker: Sandbox, neighbour: Sandbox, counted: str
) -> None:
    ask = SETUP + COUNTED[counted] + ASKING
    assert run_python(neighbour, ask).output == "had both\n"
    with attack(attacker, COUNTED[counted]):
        assert run_python(neighbour, ask).output == "had both\n"
        assert neighbour.prove_import("json", timeout_s=30).import_proved


def test_cells_are_different_users_with_a_name(attacker: Sandbox, neighbour: Sandbox) -> None:
    source = """
        import getpass, grp, pwd
        account = pwd.getpwuid(os.getuid())
        alone = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == os.getuid()]
        print(json.dumps([os.getuid(), os.getgid(), getpass.getuser(), account.pw_gid, alone, os.getgroups()]))
    """
    ours, theirs = json_output(attacker, source), json_output(neighbour, source)
    assert ours[0] != theirs[0]
    assert ours[1] != theirs[1]
    for user, group, name, own_group, alone, groups in (ours, theirs):
        assert (user, name, own_group, alone, groups) == (group, "nobody", group, ["nobody"], [])


@pytest.mark.parametrize("running", CONTAINERS, indirect=True)
@pytest.mark.parametrize("end", [65_536, 2_000])
def test_where_an_engine_maps_few_users_each_cell_still_has_its_own(running: RuntimePlace, end: int) -> None:
    """As rootless engines and those with user namespaces do."""
    prepared = replace(running.prepared(), end_of_users=end)
    source = "import getpass\nprint(json.dumps([os.getuid(), getpass.getuser()]))"
    with running.runtime.sandbox(prepared, running.file) as one, running.runtime.sandbox(prepared, running.file) as two:
        (first, name), (second, same_name) = json_output(one, source), json_output(two, source)
    assert first != second
    assert 0 < min(first, second) < max(first, second) < end
    assert (name, same_name) == ("nobody", "nobody")
