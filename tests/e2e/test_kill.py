"""A run that is killed or stopped: observations are kept, and finished cells are not run again."""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, FetchedPip, docker_bridge_address, host_environment, matrix_toml, tiny_matrix
from local_index import LocalIndex
from program import Program, new_program, wait_until
from projects import module_project

from ppp.check.sandbox.docker import LABEL, connect_engine
from ppp.model.canonical import sha256_hex
from ppp.model.errors import LedgerDamagedError

PACKAGES: Final = [f"project-{number:02}" for number in range(12)]
HANGS: Final = "import time\ntime.sleep(60)\n"
PER_CELL: Final = "SELECT package, count(*) FROM records GROUP BY package, version, environment ORDER BY package"
RECORDS: Final = "SELECT record, package, observed_at FROM records ORDER BY record"
#: Observations: pending ones, and those that have become records.
OBSERVED: Final = (
    "SELECT record, json_extract(document, '$.package') FROM pending"
    " UNION SELECT record, package FROM records ORDER BY record"
)


@pytest.fixture
def cells() -> Iterator[Path]:
    """A folder for sandboxes. Its path is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ppp-kill-") as folder:
        yield Path(folder)


@pytest.fixture
def node(program: Program, local: LocalIndex, pinned_pip: FetchedPip, tmp_path: Path, cells: Path) -> Program:
    """A node with a watchlist of twelve packages, whose sandboxes are in a known folder."""
    local.add_pip(pinned_pip.wheel)
    local.add(*(module_project(name, "") for name in PACKAGES))
    (tmp_path / "twelve.txt").write_text("\n".join(PACKAGES))
    program.settings["TMPDIR"] = str(cells)
    return program


def recorded(node: Program) -> list[tuple[str, str, int]]:
    return node.query(RECORDS)


def observed(node: Program) -> list[tuple[str, str]]:
    try:
        return node.query(OBSERVED)
    except LedgerDamagedError:
        # It does not exist yet, or is incomplete.
        return []


def workplaces_in(folder: Path) -> list[Path]:
    """Return the working folder of each process that works inside a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((process / "cwd").readlink())
    return [path for path in found if path.is_relative_to(folder)]


def imports_in(folder: Path) -> bool:
    return "empty" in {path.name for path in workplaces_in(folder)}


@pytest.mark.attack("crash-safe")
@pytest.mark.online
def test_kill_9_in_the_middle_of_a_run_of_twelve(node: Program) -> None:
    command = ("run", "--no-feed", "--watchlist", "twelve.txt")
    first = node.start(*command)
    wait_until(lambda: len(observed(node)) >= 2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    kept = observed(node)
    assert 2 <= len(kept) < len(PACKAGES), "it was killed in the middle"
    assert node.query("PRAGMA integrity_check") == [("ok",)]
    assert recorded(node) == [], "no canary has confirmed it yet"
    queued = {package for (package,) in node.query("SELECT package FROM queue")}
    assert queued == set(PACKAGES) - {package for _, package in kept}, "what was not observed is still queued"
    in_hand = "SELECT count(*) FROM queue WHERE leased_until > strftime('%s') + 600"
    assert node.query(in_hand) > [(0,)], "and leased by the run that was killed"

    node.run_ok(*command)
    assert set(kept) <= set(observed(node)), "nothing observed is lost"
    assert node.query("SELECT * FROM pending") == []
    assert node.query(PER_CELL) == [(package, 1) for package in PACKAGES], "no finished cell is run twice"
    assert node.query("SELECT * FROM queue") == []
    assert node.query("SELECT count(DISTINCT record) FROM batch_records") == [(len(PACKAGES),)]


@pytest.mark.attack("crash-safe")
@pytest.mark.online
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_stops_a_run(node: Program, local: LocalIndex, cells: Path, number: signal.Signals) -> None:
    local.add(module_project("quick", ""), module_project("slow", HANGS))
    node.matrix.write_text(matrix_toml(tiny_matrix(host_environment(), timeouts_s={"import": 60})))
    run = node.start("run", "--package", "quick", "--package", "slow")
    wait_until(lambda: len(observed(node)) == 1 and imports_in(cells))
    run.send_signal(number)
    # The import would take a minute.
    _, err = run.communicate(timeout=30)
    assert (run.returncode, "Traceback" in err) == (130, False), err
    assert "stopping: finished cells are kept" in err
    assert (recorded(node), [package for _, package in observed(node)]) == ([], ["quick"])
    assert node.query("SELECT package, attempts FROM queue") == [("slow", 0)]
    assert (node.data / "public" / "current.json").exists()
    assert workplaces_in(cells) == []
    assert list(cells.iterdir()) == []
    node.run_ok("run", "--package", "quick")
    assert node.query(PER_CELL) == [("quick", 1)], "the next run publishes it without running it again"


@pytest.mark.attack("crash-safe")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_server_for_peers(program: Program, number: signal.Signals) -> None:
    program.run_in_process_ok("publish")
    server = program.start("serve", "--mesh", "--port", "0")
    assert server.stdout
    port = int(server.stdout.readline().rstrip("/\n").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        # An open connection does not keep it from ending.
        server.send_signal(number)
        _, err = server.communicate(timeout=20)
    assert (server.returncode, "Traceback" in err) == (0, False), err
    with socket.create_server(("127.0.0.1", port)):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class InContainers:
    """A node that checks in containers, in one of which a package hangs."""

    program: Program
    containers: Callable[[], list[str]]

    def start_hanging_run(self) -> "subprocess.Popen[str]":
        run = self.program.start("run", "--package", "quick", "--package", "slow")
        wait_until(lambda: len(observed(self.program)) == 1, timeout_s=60)
        wait_until(lambda: bool(self.containers()))
        return run


@pytest.fixture
def in_containers(pinned_pip: FetchedPip, tmp_path: Path) -> Iterator[InContainers]:
    with ExitStack() as stack:
        client = connect_engine()
        assert client
        stack.callback(client.close)
        index = stack.enter_context(LocalIndex(docker_bridge_address(client)))
        index.add_pip(pinned_pip.wheel)
        index.add(module_project("quick", ""), module_project("slow", HANGS))
        program = stack.enter_context(new_program(tmp_path, index))
        program.matrix.write_text(matrix_toml(tiny_matrix(SLIM, timeouts_s={"import": 60})))
        ours: dict[str, str | list[str] | bool] = {
            "label": f"{LABEL}={sha256_hex(str(program.data.resolve()).encode())}"
        }

        def containers() -> list[str]:
            held = client.containers.list(all=True, filters=ours, ignore_removed=True)
            return [str(container.name) for container in held]

        yield InContainers(program=program, containers=containers)
        for name in containers():
            client.containers.get(name).remove(force=True)


@pytest.mark.attack("crash-safe")
@pytest.mark.docker
@pytest.mark.online
def test_a_stop_leaves_no_container(in_containers: InContainers) -> None:
    run = in_containers.start_hanging_run()
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=30)
    assert (run.returncode, "Traceback" in err) == (130, False), err
    assert in_containers.containers() == []
    assert [package for _, package in observed(in_containers.program)] == ["quick"]


@pytest.mark.attack("crash-safe")
@pytest.mark.docker
@pytest.mark.online
def test_containers_of_a_killed_run_are_removed_by_the_next(in_containers: InContainers) -> None:
    run = in_containers.start_hanging_run()
    os.kill(run.pid, signal.SIGKILL)
    run.wait(10)
    assert in_containers.containers() != []
    in_containers.program.run_ok("run", "--package", "quick")
    assert in_containers.containers() == []
    assert [package for _, package, _ in recorded(in_containers.program)] == ["quick"]
