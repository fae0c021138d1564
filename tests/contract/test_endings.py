"""What a command may use, and that nothing of it is left when it has ended: in the open as within walls."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from cell_environments import LIMITS, FetchedPip
from runtimes import (
    REAL,
    RuntimeKind,
    RuntimePlace,
    command_lines,
    json_output,
    run_python,
    running_runtime,
    wait_until,
)

from ppp.check.runtime import Sandbox

MIB: Final = 1024 * 1024


@pytest.fixture(scope="module", params=REAL)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as place:
        yield place


@pytest.fixture(scope="module")
def box(place: RuntimePlace) -> Iterator[Sandbox]:
    with place.sandbox() as lent:
        yield lent


# ---------------------------------------------------------------- what it may use


def test_nobody_gains_rights_by_running_a_program(box: Sandbox) -> None:
    rows = "dict(line.split(':', 1) for line in open('/proc/self/status'))"
    assert json_output(box, f"print(int({rows}['NoNewPrivs']))") == 1


def test_limits_are_the_matrixs(box: Sandbox) -> None:
    limits = json_output(
        box,
        """
        import resource
        names = ('NOFILE', 'FSIZE', 'CORE')
        print(json.dumps({name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in names}))
        """,
    )
    assert limits == {"NOFILE": [LIMITS.open_files] * 2, "FSIZE": [LIMITS.disk_mb * MIB] * 2, "CORE": [0, 0]}


def test_files_can_be_opened_up_to_a_limit(box: Sandbox) -> None:
    opening = """
        held = []
        try:
            while True:
                held.append(open('/dev/null'))
        except OSError as error:
            print(json.dumps([error.strerror, len(held)]))
    """
    reason, count = json_output(box, opening)
    assert reason in {"Too many open files", "No file descriptors available"}
    assert LIMITS.open_files - 10 < count < LIMITS.open_files


def test_memory_is_limited_and_a_container_says_so(place: RuntimePlace, box: Sandbox) -> None:
    hungry = f"held = [bytearray({MIB}) for _ in range({2 * (LIMITS.memory_mb + LIMITS.disk_mb)})]"
    done = run_python(box, hungry)
    if place.kind.is_container:
        assert (done.exit_code, done.oom) == (-9, True)
        child = run_python(box, f"import os\nif os.fork() == 0:\n    {hungry}\nprint(os.wait()[1])")
        assert (child.exit_code, child.oom, child.output) == (0, True, "9\n")
    else:
        assert (done.exit_code, done.oom) == (1, False)
        assert "MemoryError" in done.output
    after = run_python(box, "print('still here')")
    assert (after.ok, after.oom, after.output) == (True, False, "still here\n")


def test_one_file_cannot_grow_for_ever(box: Sandbox) -> None:
    growing = f"""
        import os
        try:
            with open('large', 'wb') as file:
                while True:
                    file.write(bytes({MIB}))
        except OSError as error:
            print(json.dumps([error.strerror, os.path.getsize('large') // {MIB}]))
    """
    reason, size = json_output(box, growing)
    assert reason in {"No space left on device", "File too large"}
    assert LIMITS.disk_mb / 2 < size <= LIMITS.disk_mb
    box.reset()


# ---------------------------------------------------------------- what is left

DAEMON: Final = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork():
    time.sleep(0.2)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execv(sys.executable, [sys.executable, '-I', '-c', 'import time; time.sleep(60)', MARK])
"""


def test_a_daemon_ends_with_the_command_that_left_it(place: RuntimePlace, box: Sandbox) -> None:
    mark = f"left-by-{place.kind}-{os.getpid()}"
    assert run_python(box, DAEMON.replace("MARK", repr(mark))).ok
    assert not [words for words in command_lines() if mark in words]


def test_a_daemon_of_an_import_ends_with_it(place: RuntimePlace, box: Sandbox) -> None:
    mark = f"left-by-import-{place.kind}-{os.getpid()}"
    daemon = DAEMON.replace("MARK", repr(mark))
    module = f"import os, time\nif os.fork() == 0:\n    exec({daemon!r})\ntime.sleep(0.2)\n"
    path = "sysconfig.get_path('purelib') + '/leaves.py'"
    json_output(box, f"import sysconfig\nwith open({path}, 'w') as file:\n    print(file.write({module!r}))")
    assert box.prove_import("leaves", timeout_s=30).import_proved
    assert not [words for words in command_lines() if mark in words]


HOSTILE_TREE: Final = """
import sysconfig, sys
site = sysconfig.get_path('purelib')
for top in (os.getcwd(), site, os.environ['TMPDIR']):
    os.makedirs(top + '/strict/within')
    open(top + '/strict/within/file', 'w').close()
    os.symlink('/', top + '/strict/root')
    os.symlink('/ppp/work', top + '/strict/work')
    os.chmod(top + '/strict/within', 0)
    os.chmod(top + '/strict', 0o500)
os.makedirs(sys.prefix + '/scratch/in-the-way')
os.makedirs(sys.prefix + '/empty')
open(sys.prefix + '/bin/tool', 'w').close()
os.chdir('../empty')
open('left', 'w').close()
os.chdir(site)
for _ in range(10_000):
    os.mkdir('deeper')
    os.chdir('deeper')
open('file', 'w').close()
print('null')
"""
LISTED: Final = """
import sys, sysconfig
work = os.path.dirname(os.getcwd())
places = {'tmp': os.environ['TMPDIR'], 'site': sysconfig.get_path('purelib'), 'empty': work + '/empty'}
seen = {name: os.listdir(path) for name, path in {**places, 'scratch': os.getcwd()}.items()}
print(json.dumps({**seen, 'work': sorted(os.listdir(work)), 'bin': sorted(os.listdir(sys.prefix + '/bin'))}))
"""


def test_nothing_is_left_by_a_hostile_tree_when_all_is_new(box: Sandbox) -> None:
    box.reset()
    before = json_output(box, LISTED)
    json_output(box, HOSTILE_TREE, timeout_s=60)
    box.reset()
    after = json_output(box, LISTED)
    assert after == before
    assert after["work"] == ["empty", "env", "scratch"]
    assert (after["site"], after["tmp"], after["empty"], after["scratch"]) == ([], [], [], [])
    assert box.pip(["install", "--no-deps", box.file], timeout_s=30).ok
    box.reset()


def test_a_cell_that_removes_its_own_environment_gets_a_new_one(box: Sandbox) -> None:
    run_python(box, "import shutil, sys; shutil.rmtree(sys.prefix, ignore_errors=True)")
    box.reset()
    assert box.prove_import("json", timeout_s=30).import_proved


# ---------------------------------------------------------------- when the program dies

HOLDS: Final = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from cell_environments import FetchedPip
from runtimes import RuntimeKind, run_python, running_runtime
pip = FetchedPip(wheel=Path(), folder=Path(sys.argv[3]))
with running_runtime(RuntimeKind(sys.argv[1]), Path(sys.argv[2]), pip) as place:
    with place.sandbox() as box:
        print("held", flush=True)
        run_python(box, "import time; time.sleep(600)  # held by " + sys.argv[2], timeout_s=600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder whose path is short enough for sockets; what the program leaves in temporary files is there too."""
    with TemporaryDirectory(prefix="ppp-killed-") as made:
        yield Path(made)


@pytest.mark.parametrize("kind", REAL)
def test_a_program_that_is_killed_leaves_nothing_running(
    kind: RuntimeKind, folder: Path, pinned_pip: FetchedPip
) -> None:
    support = str(Path(__file__).parents[1] / "support")
    argv = [sys.executable, "-c", HOLDS, str(kind), str(folder), str(pinned_pip.folder), support, *sys.path[1:]]
    mark = f"held by {folder}"
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"held\n"
        wait_until(lambda: bool([words for words in command_lines() if mark in words and "import sys" not in words]))
        program.send_signal(signal.SIGKILL)
    wait_until(lambda: not [words for words in command_lines() if mark in words or str(folder) in words])
    if kind.is_container:
        with running_runtime(kind, folder_of(folder), pinned_pip) as place:
            wait_until(lambda: not place.remains())


def folder_of(folder: Path) -> Path:
    """Give the same data folder, made anew for what a runtime of the tests' puts into it."""
    for name in ("file", "cells"):
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}-before")
    return folder
