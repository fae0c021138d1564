"""Check every project of `tests/packages/hostile/` as a cell behind a gateway: its result, and what it reached.

None of them runs outside a sandbox except two that only read and send, which show that the test would notice.
"""

import ctypes
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest
from cell_environments import (
    ALPINE,
    SLIM,
    FetchedPip,
    docker_bridge_address,
    host_environ,
    host_environment,
    tiny_matrix,
)
from hostile import BYSTANDER, MARK, RecordingListener, hostile_projects
from local_index import LocalIndex
from projects import Project

from ppp.check.cell import Checker, Observation
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.recorded_text import LOG_TAIL_CHARS
from ppp.check.runtime import PreparedEnvironment, Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Network, Result
from ppp.model.release import Release
from ppp.schemas import schema_errors

PR_SET_CHILD_SUBREAPER: Final = 36
CANARY_VARIABLE: Final = "PPP_HOSTILE_CANARY"
JOBS: Final = 3
#: The project whose cell shows whether another one damaged what it needs; it runs last.
VICTIM: Final = "hostile-victim"
PROJECTS: Final = {project.name: project for project in hostile_projects({}) if project.expect}
#: What a project attacks besides the verdict, which the others try to change: theirs, or that of another cell.
ATTACKED: Final = {
    "bounded-input": """binary-metadata build-log-bomb deep-folders disk-bomb-build endless-hint floods-proof
        floods-then-exits huge-summary hundred-thousand-files inode-bomb log-bomb long-record many-requirements
        memory-bomb-build memory-swarm recurses zip-bomb""",
    "only-gateway": "calls-out gains-powers requires-address symlinks-out tar-escapes traverses traps-readers",
    "credentials": "reads-host",
    "separate-cells": """fork-bomb hogs-gateway leaves-daemon leaves-swarm litters overwrites-pip poisons-cache
        hostile-victim signals-everyone""",
    "deadlines": "endless-thread ignores-everything stops-itself",
    "inert-text": "hostile-text scripts-escape shell-imports",
}
PROMISES: Final = {name: promise for promise, names in ATTACKED.items() for name in names.split()}
MARKS: Final = [pytest.mark.online, pytest.mark.nginx, pytest.mark.slow]
ENVIRONMENTS: Final = [
    pytest.param("host", id="host", marks=[*MARKS, pytest.mark.sandbox]),
    pytest.param(SLIM, id=SLIM.id, marks=[*MARKS, pytest.mark.docker]),
    pytest.param(ALPINE, id=ALPINE.id, marks=[*MARKS, pytest.mark.docker]),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedObservation:
    """The observation of a cell, with its start and end in seconds of one clock."""

    started_s: float
    ended_s: float
    observation: Observation


@dataclass(slots=True, kw_only=True)
class HostileResults:
    """The results of an environment's cells, what they reached, what was left of them, and what they changed."""

    environment: Environment
    cells: dict[str, TimedObservation] = field(default_factory=dict)
    bystanders: list[TimedObservation] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    pip_before: Mapping[str, str] = field(default_factory=dict)
    pip_after: Mapping[str, str] = field(default_factory=dict)
    fetched: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    """A folder that other users of the machine can read; its path is short, because paths of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ppp-h-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def canary(shared_folder: Path) -> Iterator[Path]:
    """A file and a variable of this machine that no cell may read."""
    path = shared_folder / "canary-secret.txt"
    path.write_text("secret")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CANARY_VARIABLE, "secret")
        yield path


@pytest.fixture(scope="module")
def listener(shared_folder: Path) -> Iterator[RecordingListener]:
    client = connect_engine()
    hosts = ["127.0.0.1"]
    if client:
        hosts.append(docker_bridge_address(client))
        client.close()
    listening = RecordingListener(hosts, shared_folder)
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def projects(listener: RecordingListener, canary: Path, shared_folder: Path) -> dict[str, Project]:
    words = {
        "LISTENER": listener.addresses[0],
        "LISTENERS": " ".join(listener.addresses),
        "MARK": MARK,
        "SOCKET": str(listener.path),
        "ABSTRACT": listener.abstract,
        "CANARY": str(canary),
        "FOLDER": str(shared_folder),
    }
    return {project.name: project for project in hostile_projects(words)}


@pytest.fixture(scope="module")
def results(
    request: pytest.FixtureRequest,
    shared_folder: Path,
    listener: RecordingListener,
    projects: Mapping[str, Project],
    pinned_pip: FetchedPip,
) -> HostileResults:
    environment = host_environment() if request.param == "host" else request.param
    results = HostileResults(environment=environment)
    folder = shared_folder / environment.id
    (cells := folder / "cells").mkdir(parents=True)
    listener.requests.clear()
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
        stack.enter_context(_adopting_orphans())
        label = _run(results, folder, projects, pinned_pip)
        results.requests = list(listener.requests)
        results.processes = _descendants()
        results.files = [path.name for path in cells.iterdir()]
        results.mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(shared_folder) in line]
        if (client := connect_engine()) is not None:
            stack.callback(client.close)
            containers = (
                client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}={label}"})
                if label
                else []
            )
            results.containers = [str(container.name) for container in containers]
    results.fetched = {path.parent.name: _sha256(path) for path in (folder / "files").glob("*/*")}
    return results


def _run(results: HostileResults, folder: Path, projects: Mapping[str, Project], pip: FetchedPip) -> str:
    """Run all cells; return the label of their containers, empty if there are none."""
    with ExitStack() as stack:
        index = stack.enter_context(LocalIndex())
        index.add(*projects.values())
        simple = SimpleIndex(index.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        door = stack.enter_context(run_gateway(simple, cache=folder / "gateway", environ=os.environ))
        matrix = tiny_matrix(results.environment)
        runtime: Runtime
        label = ""
        if results.environment.image:
            client = connect_engine()
            assert client is not None
            stack.callback(client.close)
            runtime = docker = DockerRuntime(
                client, matrix, data=folder, pip=pip.folder, index_url=index.url, gateway=door
            )
            label = docker._label
        else:
            confinement = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door)
            runtime = HostRuntime(
                matrix, pip=pip.folder, index_url=index.url, environ=host_environ(), confinement=confinement
            )
        stack.callback(runtime.close)
        prepared = runtime.prepare(results.environment)
        assert prepared.network is Network.GATEWAY, "hostile code runs only in sandboxes"
        results.pip_before = _hashes(pip.folder)
        checker = Checker(index=simple, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=simple.hosts)
        _check_all(results, checker, prepared, projects)
        results.pip_after = _hashes(pip.folder)
    return label


def _check_all(
    results: HostileResults, checker: Checker, prepared: PreparedEnvironment, projects: Mapping[str, Project]
) -> None:
    """Run the hostile cells, a few at a time, and in parallel a bystander's cell again and again."""
    finished = threading.Event()

    def run(project: Project) -> TimedObservation:
        matrix = tiny_matrix(prepared.environment, timeouts_s=project.timeouts_s)
        cell = Cell(release=Release.parse(project.name, project.version), environment=prepared.environment.id)
        started_s = time.monotonic()
        observation = replace(checker, matrix=matrix).check(cell, prepared)
        return TimedObservation(started_s=started_s, ended_s=time.monotonic(), observation=observation)

    def run_bystander() -> None:
        while not finished.is_set():
            results.bystanders.append(run(projects[BYSTANDER]))
        results.bystanders.append(run(projects[BYSTANDER]))

    # Cells that run into their timeout start first.
    chosen = [p for p in projects.values() if p.expect and p.name not in {BYSTANDER, VICTIM}]
    chosen = [p for p in chosen if not p.expected(prepared.environment).skip]
    chosen.sort(key=lambda project: not project.timeouts_s)
    with ThreadPoolExecutor(1) as bystander_pool, ThreadPoolExecutor(JOBS) as pool:
        bystander = bystander_pool.submit(run_bystander)
        try:
            results.cells.update({p.name: timed for p, timed in zip(chosen, pool.map(run, chosen), strict=True)})
        finally:
            finished.set()
        bystander.result()
    results.cells[VICTIM] = run(projects[VICTIM])


class _adopting_orphans:  # noqa: N801 - used like a function
    """Within the context, orphaned descendants of this process become its children, so that they are found."""

    def __enter__(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _descendants() -> list[str]:
    """Return the descendants of this process that still run."""
    parents: dict[int, tuple[int, str]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            stat = (process / "stat").read_bytes().decode(errors="replace")
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        state, parent = stat.rpartition(")")[2].split()[:2]
        if state not in "ZX":
            parents[int(process.name)] = int(parent), words
    found = {os.getpid()}
    while more := {pid for pid, (parent, _) in parents.items() if parent in found} - found:
        found |= more
    return [f"{pid} {parents[pid][1][:200]}" for pid in sorted(found - {os.getpid()})]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _hashes(folder: Path) -> Mapping[str, str]:
    return {
        str(path.relative_to(folder)): f"{path.lstat().st_mode:o} {_sha256(path) if path.is_file() else ''}"
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.attack(PROMISES.get(name, "own-verdict")))
        for name in PROJECTS
        if name != BYSTANDER
    ],
)
def test_each_hostile_project_has_the_expected_result(results: HostileResults, name: str) -> None:
    expected = PROJECTS[name].expected(results.environment)
    if expected.skip:
        pytest.skip(expected.skip)
    observation = results.cells[name].observation
    record = observation.record
    output = f"{record}\n{observation.log}"
    assert (record.result, record.failed_phase, record.cause, record.blame) == (
        expected.result,
        expected.phase,
        expected.instead if record.cause == expected.instead else expected.cause,
        expected.blame,
    ), output
    assert expected.detail in (record.detail or ""), output
    if expected.imports is not None:
        assert list(record.imports) == expected.imports, output
    assert schema_errors("site/schemas/record.schema.json", record.to_json()) == []


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
def test_no_listener_of_this_machine_is_reached(results: HostileResults) -> None:
    assert results.requests == []


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
def test_nothing_is_left_of_the_cells(results: HostileResults) -> None:
    assert results.containers == []
    assert results.processes == []
    assert results.mounts == []
    assert results.files == []


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
def test_files_shared_by_all_cells_are_unchanged(results: HostileResults) -> None:
    assert len(results.pip_before) > 100
    assert results.pip_after == results.pip_before
    assert results.fetched
    assert [name for name, sha256 in results.fetched.items() if name != sha256] == []


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
def test_cells_that_run_in_parallel_and_afterwards_pass(results: HostileResults) -> None:
    output = [
        f"{timed.observation.record}\n{timed.observation.log}" for timed in results.bystanders if not _passed(timed)
    ]
    assert output == []
    for name, cell in results.cells.items():
        if name != VICTIM:
            assert any(b.started_s < cell.ended_s and cell.started_s < b.ended_s for b in results.bystanders), name
            assert any(b.started_s >= cell.ended_s for b in results.bystanders), name


def _passed(timed: TimedObservation) -> bool:
    return timed.observation.record.result is Result.PASS


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("results", ENVIRONMENTS, indirect=True)
def test_details_and_logs_are_short_plain_text(results: HostileResults) -> None:
    for name, timed in results.cells.items():
        detail, log = timed.observation.record.detail or "", timed.observation.log or ""
        assert detail.isprintable(), name
        assert len(log) <= LOG_TAIL_CHARS, name
        assert "\0" not in log, name


@pytest.mark.parametrize("name", ["calls-out", "reads-host"])
def test_outside_a_sandbox_they_would_reach_the_listener(
    name: str, projects: Mapping[str, Project], listener: RecordingListener
) -> None:
    source = projects[name].files[f"src/{name.replace('-', '_')}.py"]
    listener.requests.clear()
    done = subprocess.run(
        [sys.executable, "-I", "-c", source.decode()], capture_output=True, text=True, check=False, timeout=60
    )
    (output,) = re.findall(r"^RuntimeError: \w+: (.+)$", done.stderr, re.MULTILINE)
    wanted = {
        "calls-out": {"http", "dns", "socket", "abstract socket"},
        "reads-host": {"the variable", "the file"},
    }
    assert wanted[name] <= set(output.split(", "))
    assert name == "reads-host" or {"http", "dns"} <= set(listener.requests)


@pytest.mark.docker
def test_gained_privileges_would_be_noticed(projects: Mapping[str, Project]) -> None:
    client = connect_engine()
    assert client is not None
    try:
        output = client.containers.run(
            SLIM.image,
            ["sh", "-c", 'python -c "$SOURCE" 2>&1 || true'],
            environment={"SOURCE": projects["gains-powers"].files["src/gains_powers.py"].decode()},
            network_mode="none",
            remove=True,
        ).decode()
    finally:
        client.close()
    (gained,) = re.findall(r"^RuntimeError: gained: (.+)$", output, re.MULTILINE)
    assert {"capabilities", "new privileges", "another root", "a device"} <= set(gained.split(", "))
