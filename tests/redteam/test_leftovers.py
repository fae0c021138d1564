"""What is left of a run that was ended in the middle of a cell: nothing, at once or when the next run has ended."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, FetchedPip, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex
from program import Program, new_program, wait_until
from projects import module_project
from runtimes import command_lines

from ppp.check.sandbox.docker import LABEL, connect_engine
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Platform

pytestmark = [pytest.mark.attack("crash-safe"), pytest.mark.online]

#: Shows on the command line of a process that the import becomes.
HANGS: Final = "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(99)', {!r}])\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a run has its temporary files. Its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ppp-left-") as folder:
        yield Path(folder)


@pytest.fixture
def program(tmp_path: Path, folder: Path, pinned_pip: FetchedPip) -> Iterator[Program]:
    """A program whose index has one package whose import never ends, and one that passes."""
    with LocalIndex() as index, new_program(tmp_path, index) as program:
        index.add_pip(pinned_pip.wheel)
        index.add(module_project("hangs", HANGS.format(str(folder))), module_project("quiet", ""))
        program.settings["TMPDIR"] = str(folder)
        yield program


def containers_of(data: Path) -> int:
    client = connect_engine()
    if client is None:
        return 0
    try:
        label = f"{LABEL}={sha256_hex(str(data.resolve()).encode())}"
        return len(client.containers.list(all=True, ignore_removed=True, filters={"label": label}))
    finally:
        client.close()


@pytest.mark.parametrize(
    ("network", "platform"),
    [
        pytest.param("open", Platform.HOST, id="host"),
        pytest.param("gateway", Platform.HOST, id="bubblewrap", marks=[pytest.mark.sandbox, pytest.mark.nginx]),
        pytest.param("gateway", Platform.SLIM, id="container", marks=[pytest.mark.docker, pytest.mark.nginx]),
    ],
)
def test_the_next_run_removes_what_a_killed_one_left(
    program: Program, folder: Path, network: str, platform: Platform
) -> None:
    environment = host_environment() if platform is Platform.HOST else SLIM
    program.matrix.write_text(matrix_toml(tiny_matrix(environment, timeouts_s={"import": 60})))
    program.settings["PPP_NETWORK"] = network

    def running() -> list[str]:
        return [words for words in command_lines() if str(folder) in words and "ppp run" not in words]

    run = program.start("run", "--package", "hangs")
    wait_until(lambda: any("time.sleep(99)" in words for words in running()), timeout_s=120)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(10)
    wait_until(lambda: not running(), timeout_s=60)
    left = sorted(path.name for path in folder.iterdir())
    assert left, "a killed run cannot remove its folders itself: this test can tell"

    program.run_ok("run", "--package", "quiet")
    assert sorted(path.name for path in folder.iterdir()) == []
    assert not running()
    assert containers_of(program.data) == 0


@pytest.mark.sandbox
@pytest.mark.nginx
@pytest.mark.parametrize(
    ("command", "number"),
    [("run", signal.SIGHUP), ("check", signal.SIGHUP), ("check", signal.SIGQUIT), ("check", signal.SIGTERM)],
)
def test_an_ending_signal_leaves_nothing(program: Program, folder: Path, command: str, number: signal.Signals) -> None:
    program.matrix.write_text(matrix_toml(tiny_matrix(host_environment(), timeouts_s={"import": 60})))
    program.settings["PPP_NETWORK"] = "gateway"
    words = ("run", "-p", "hangs") if command == "run" else ("check", program.environment, "hangs")
    started = program.start(*words)
    wait_until(
        lambda: any("time.sleep(99)" in words and str(folder) in words for words in command_lines()), timeout_s=120
    )
    assert [path.name for path in folder.iterdir() if path.name.startswith("ppp-gateway-")]
    started.send_signal(number)
    _, err = started.communicate(timeout=60)
    assert (started.returncode, "Traceback" in err) == (130, False), err
    assert list(folder.iterdir()) == []
    assert not [words for words in command_lines() if str(folder) in words]


@pytest.mark.sandbox
@pytest.mark.nginx
def test_a_reader_that_goes_away_leaves_nothing(program: Program, folder: Path) -> None:
    program.settings["PPP_NETWORK"] = "gateway"
    run = program.start("run", "-p", "quiet")
    assert run.stderr
    assert run.stdout
    run.stderr.readline()
    run.stderr.close()
    run.stdout.close()
    assert run.wait(60) == 1
    assert list(folder.iterdir()) == []
