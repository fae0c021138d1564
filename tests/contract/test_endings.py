"""What a command may use, and that nothing of it is left when it has ended; confined or not."""

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
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[RuntimePlace]:
    with running_runtime(request.param, tmp_path_factory.mktemp(request.param), pinned_pip) as running:
        yield running


@pytest.fixture(scope="module")
def sandbox(running: RuntimePlace) -> Iterator[Sandbox]:
    with running.sandbox() as sandbox:
        yield sandbox


# ---------------------------------------------------------------- limits


@pytest.mark.attack("only-gateway")
def test_no_program_gains_privileges(sandbox: Sandbox) -> None:
    rows = "dict(line.split(':', 1) for line in open('/proc/self/status'))"
    assert json_output(sandbox, f"print(int({rows}['NoNewPrivs']))") == 1


@pytest.mark.attack("separate-cells")
def test_limits_are_those_of_the_matrix(sandbox: Sandbox) -> None:
    limits = json_output(
        sandbox,
        """
        import resource
        names = ('NOFILE', 'FSIZE', 'CORE')
        print(json.dumps({name: resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in names}))
        """,
    )
    assert limits == {"NOFILE": [LIMITS.open_files] * 2, "FSIZE": [LIMITS.disk_mb * MIB] * 2, "CORE": [0, 0]}


@pytest.mark.attack("separate-cells")
def test_files_can_be_opened_up_to_a_limit(sandbox: Sandbox) -> None:
    opening = """
        held = []
        try:
            while True:
                held.append(open('/dev/null'))
        except OSError as error:
            print(json.dumps([error.strerror, len(held)]))
    """
    reason, count = json_output(sandbox, opening)
    assert reason in {"Too many open files", "No file descriptors available"}
    assert LIMITS.open_files - 10 < count < LIMITS.open_files


@pytest.mark.attack("separate-cells")
def test_memory_is_limited_and_a_container_reports_it(running: RuntimePlace, sandbox: Sandbox) -> None:
    hungry = f"held = [bytearray({MIB}) for _ in range({2 * (LIMITS.memory_mb + LIMITS.disk_mb)})]"
    done = run_python(sandbox, hungry)
    if running.kind.is_container:
        assert (done.exit_code, done.oom) == (-9, True)
        child = run_python(sandbox, f"import os\nif os.fork() == 0:\n    {hungry}\nprint(os.wait()[1])")
        assert (child.exit_code, child.oom, child.output) == (0, True, "9\n")
    else:
        assert (done.exit_code, done.oom) == (1, False)
        assert "MemoryError" in done.output
    after = run_python(sandbox, "print('still here')")
    assert (after.ok, after.oom, after.output) == (True, False, "still here\n")


@pytest.mark.attack("separate-cells")
def test_the_size_of_a_file_is_limited(sandbox: Sandbox) -> None:
    growing = f"""
        import os
        try:
            with open('large', 'wb') as file:
                while True:
                    file.write(bytes({MIB}))
        except OSError as error:
            print(json.dumps([error.strerror, os.path.getsize('large') // {MIB}]))
    """
    reason, size = json_output(sandbox, growing)
    assert reason in {"No space left on device", "File too large"}
    assert LIMITS.disk_mb / 2 < size <= LIMITS.disk_mb
    sandbox.reset()


# ---------------------------------------------------------------- what is left behind

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


@pytest.mark.attack("separate-cells")
def test_a_daemon_ends_with_the_command_that_left_it(running: RuntimePlace, sandbox: Sandbox) -> None:
    mark = f"left-by-{running.kind}-{os.getpid()}"
    assert run_python(sandbox, DAEMON.replace("MARK", repr(mark))).ok
    assert not [words for words in command_lines() if mark in words]


@pytest.mark.attack("separate-cells")
def test_a_daemon_of_an_import_ends_with_it(running: RuntimePlace, sandbox: Sandbox) -> None:
    mark = f"left-by-import-{running.kind}-{os.getpid()}"
    daemon = DAEMON.replace("MARK", repr(mark))
    module = f"import os, time\nif os.fork() == 0:\n    exec({daemon!r})\ntime.sleep(0.2)\n"
    path = "sysconfig.get_path('purelib') + '/leaves.py'"
    json_output(sandbox, f"import sysconfig\nwith open({path}, 'w') as file:\n    print(file.write({module!r}))")
    assert sandbox.prove_import("leaves", timeout_s=30).import_proved
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


@pytest.mark.attack("separate-cells")
def test_a_reset_removes_a_hostile_tree(sandbox: Sandbox) -> None:
    sandbox.reset()
    before = json_output(sandbox, LISTED)
    json_output(sandbox, HOSTILE_TREE, timeout_s=60)
    sandbox.reset()
    after = json_output(sandbox, LISTED)
    assert after == before
    assert after["work"] == ["empty", "env", "scratch"]
    assert (after["tmp"], after["empty"], after["scratch"]) == ([], [], [])
    assert sandbox.pip(["install", "--no-deps", sandbox.file], timeout_s=30).ok
    sandbox.reset()


@pytest.mark.attack("separate-cells")
def test_a_reset_restores_an_environment_that_the_cell_removed(sandbox: Sandbox) -> None:
    run_python(sandbox, "import shutil, sys; shutil.rmtree(sys.prefix, ignore_errors=True)")
    sandbox.reset()
    assert sandbox.prove_import("json", timeout_s=30).import_proved


# ---------------------------------------------------------------- when this program is killed

HOLDING_PROGRAM: Final = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[4:]
from cell_environments import FetchedPip
from runtimes import RuntimeKind, run_python, running_runtime
pip = FetchedPip(wheel=Path(), folder=Path(sys.argv[3]))
with running_runtime(RuntimeKind(sys.argv[1]), Path(sys.argv[2]), pip) as running:
    with running.sandbox() as sandbox:
        print("ready", flush=True)
        run_python(sandbox, "import time; time.sleep(600)  # kept by " + sys.argv[2], timeout_s=600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder with a path that is short enough for sockets; temporary files of the program are there too."""
    with TemporaryDirectory(prefix="ppp-killed-") as made:
        yield Path(made)


@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("kind", REAL)
def test_a_program_that_is_killed_leaves_nothing_running(
    kind: RuntimeKind, folder: Path, pinned_pip: FetchedPip
) -> None:
    support = str(Path(__file__).parents[1] / "support")
    argv = [
        sys.executable,
        "-c",
        HOLDING_PROGRAM,
        str(kind),
        str(folder),
        str(pinned_pip.folder),
        support,
        *sys.path[1:],
    ]
    mark = f"kept by {folder}"
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(folder)},
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        wait_until(lambda: bool([words for words in command_lines() if mark in words and "import sys" not in words]))
        program.send_signal(signal.SIGKILL)
    wait_until(lambda: not [words for words in command_lines() if mark in words or str(folder) in words])
    if kind.is_container:
        with running_runtime(kind, folder_of(folder), pinned_pip) as running:
            wait_until(lambda: not running.remains())


def folder_of(folder: Path) -> Path:
    """Return the same data folder, without what the first runtime put into it."""
    for name in ("file", "cells"):
        if (folder / name).exists():
            (folder / name).rename(folder / f"{name}-before")
    return folder
