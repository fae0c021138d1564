"""Every project of `tests/packages/hostile/` as a cell, behind a gateway: what each comes to, and what it reached.

None of them ever runs outside a sandbox, but for two that only look and ask, to show that the test can tell.
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

from ppp.check.cell import LOG_TAIL_CHARS, Checker, Observation
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
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
#: Whose cell shows whether another one spoilt what it needs; it comes last.
VICTIM: Final = "hostile-victim"
UNSPELLED: Final = {project.name: project for project in hostile_projects({}) if project.expect}
MARKS: Final = [pytest.mark.online, pytest.mark.nginx, pytest.mark.slow]
PLACES: Final = [
    pytest.param("host", id="host", marks=[*MARKS, pytest.mark.part("host"), pytest.mark.sandbox]),
    pytest.param(SLIM, id=SLIM.id, marks=[*MARKS, pytest.mark.part("slim"), pytest.mark.docker]),
    pytest.param(ALPINE, id=ALPINE.id, marks=[*MARKS, pytest.mark.part("alpine"), pytest.mark.docker]),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A cell that ran, from when to when, in seconds of one clock."""

    began: float
    ended: float
    observation: Observation


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the cells of an environment came to, what they reached, and what was left of them and changed by them."""

    environment: Environment
    cells: dict[str, Ran] = field(default_factory=dict)
    bystanders: list[Ran] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    pip_before: Mapping[str, str] = field(default_factory=dict)
    pip_after: Mapping[str, str] = field(default_factory=dict)
    fetched: Mapping[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def grounds() -> Iterator[Path]:
    """A folder that the machine's other users may look into; its name is short, as those of sockets must be."""
    with tempfile.TemporaryDirectory(prefix="ppp-h-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="module")
def canary(grounds: Path) -> Iterator[Path]:
    """A file and a variable of this machine that no cell may see."""
    path = grounds / "canary-secret.txt"
    path.write_text("secret")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CANARY_VARIABLE, "secret")
        yield path


@pytest.fixture(scope="module")
def listener(grounds: Path) -> Iterator[RecordingListener]:
    client = connect_engine()
    hosts = ["127.0.0.1"]
    if client:
        hosts.append(docker_bridge_address(client))
        client.close()
    listening = RecordingListener(hosts, grounds)
    yield listening
    listening.close()


@pytest.fixture(scope="module")
def projects(listener: RecordingListener, canary: Path, grounds: Path) -> dict[str, Project]:
    words = {
        "LISTENER": listener.addresses[0],
        "LISTENERS": " ".join(listener.addresses),
        "MARK": MARK,
        "SOCKET": str(listener.path),
        "ABSTRACT": listener.abstract,
        "CANARY": str(canary),
        "FOLDER": str(grounds),
    }
    return {project.name: project for project in hostile_projects(words)}


@pytest.fixture(scope="module")
def seen(
    request: pytest.FixtureRequest,
    grounds: Path,
    listener: RecordingListener,
    projects: Mapping[str, Project],
    pinned_pip: FetchedPip,
) -> Seen:
    environment = host_environment() if request.param == "host" else request.param
    seen = Seen(environment=environment)
    folder = grounds / environment.id
    (cells := folder / "cells").mkdir(parents=True)
    listener.requests.clear()
    with ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
        stack.enter_context(_adopting_orphans())
        label = _run(seen, folder, projects, pinned_pip)
        seen.heard = list(listener.requests)
        seen.processes = _descendants()
        seen.files = [path.name for path in cells.iterdir()]
        seen.mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(grounds) in line]
        if (client := connect_engine()) is not None:
            stack.callback(client.close)
            held = (
                client.containers.list(all=True, ignore_removed=True, filters={"label": f"{LABEL}={label}"})
                if label
                else []
            )
            seen.containers = [str(container.name) for container in held]
    seen.fetched = {path.parent.name: _sha256(path) for path in (folder / "files").glob("*/*")}
    return seen


def _run(seen: Seen, folder: Path, projects: Mapping[str, Project], pip: FetchedPip) -> str:
    """Run all cells; give the label of the containers, if there were any."""
    with ExitStack() as stack:
        index = stack.enter_context(LocalIndex())
        index.add(*projects.values())
        simple = SimpleIndex(index.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        origins = simple.file_origins(BYSTANDER)
        door = stack.enter_context(run_gateway(index.url, origins, cache=folder / "gateway", environ=os.environ))
        matrix = tiny_matrix(seen.environment)
        runtime: Runtime
        label = ""
        if seen.environment.image:
            client = connect_engine()
            assert client is not None
            stack.callback(client.close)
            runtime = docker = DockerRuntime(
                client, matrix, data=folder, pip=pip.folder, index_url=index.url, gateway=door
            )
            label = docker._label
        else:
            shutting = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door)
            runtime = HostRuntime(
                matrix, pip=pip.folder, index_url=index.url, environ=host_environ(), confinement=shutting
            )
        stack.callback(runtime.close)
        prepared = runtime.prepare(seen.environment)
        assert prepared.network is Network.GATEWAY, "these are for sandboxes alone"
        seen.pip_before = _hashes(pip.folder)
        checker = Checker(index=simple, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=simple.hosts)
        _check_all(seen, checker, prepared, projects)
        seen.pip_after = _hashes(pip.folder)
    return label


def _check_all(seen: Seen, checker: Checker, prepared: PreparedEnvironment, projects: Mapping[str, Project]) -> None:
    """Run the hostile cells some at a time, and beside them, one after the other, a bystander's."""
    over = threading.Event()

    def run(project: Project) -> Ran:
        matrix = tiny_matrix(prepared.environment, timeouts_s=project.timeouts_s)
        cell = Cell(release=Release.parse(project.name, project.version), environment=prepared.environment.id)
        began = time.monotonic()
        observation = replace(checker, matrix=matrix).check(cell, prepared)
        return Ran(began=began, ended=time.monotonic(), observation=observation)

    def stand_by() -> None:
        while not over.is_set():
            seen.bystanders.append(run(projects[BYSTANDER]))
        seen.bystanders.append(run(projects[BYSTANDER]))

    # What waits for its timeout is begun first.
    chosen = [p for p in projects.values() if p.expect and p.name not in {BYSTANDER, VICTIM}]
    chosen = [p for p in chosen if not p.expected(prepared.environment).skip]
    chosen.sort(key=lambda project: not project.timeouts_s)
    with ThreadPoolExecutor(1) as beside, ThreadPoolExecutor(JOBS) as pool:
        standing_by = beside.submit(stand_by)
        try:
            seen.cells.update({p.name: ran for p, ran in zip(chosen, pool.map(run, chosen), strict=True)})
        finally:
            over.set()
        standing_by.result()
    seen.cells[VICTIM] = run(projects[VICTIM])


class _adopting_orphans:  # noqa: N801 - a context manager, used as a word
    """While it lasts, what loses its parent among what this process began is its child again, and is found."""

    def __enter__(self) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __exit__(self, *_: object) -> None:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _descendants() -> list[str]:
    """Give the processes that stem from this one and have not ended."""
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


@pytest.mark.parametrize("seen", PLACES, indirect=True)
@pytest.mark.parametrize("name", [name for name in UNSPELLED if name != BYSTANDER])
def test_each_hostile_project_gets_its_verdict(seen: Seen, name: str) -> None:
    expected = UNSPELLED[name].expected(seen.environment)
    if expected.skip:
        pytest.skip(expected.skip)
    observation = seen.cells[name].observation
    record = observation.record
    told = f"{record}\n{observation.log}"
    assert (record.result, record.failed_phase, record.cause, record.blame) == (
        expected.result,
        expected.phase,
        expected.instead if record.cause == expected.instead else expected.cause,
        expected.blame,
    ), told
    assert expected.detail in (record.detail or ""), told
    if expected.imports is not None:
        assert list(record.imports) == expected.imports, told
    assert schema_errors("site/schemas/record.schema.json", record.to_json()) == []


@pytest.mark.parametrize("seen", PLACES, indirect=True)
def test_nothing_on_this_machine_heard_from_them(seen: Seen) -> None:
    assert seen.heard == []


@pytest.mark.parametrize("seen", PLACES, indirect=True)
def test_nothing_of_them_remains(seen: Seen) -> None:
    assert seen.containers == []
    assert seen.processes == []
    assert seen.mounts == []
    assert seen.files == []


@pytest.mark.parametrize("seen", PLACES, indirect=True)
def test_what_serves_all_cells_is_unchanged(seen: Seen) -> None:
    assert len(seen.pip_before) > 100
    assert seen.pip_after == seen.pip_before
    assert seen.fetched
    assert [name for name, sha256 in seen.fetched.items() if name != sha256] == []


@pytest.mark.parametrize("seen", PLACES, indirect=True)
def test_whoever_runs_beside_and_after_them_passes(seen: Seen) -> None:
    told = [f"{ran.observation.record}\n{ran.observation.log}" for ran in seen.bystanders if not _passed(ran)]
    assert told == []
    for name, cell in seen.cells.items():
        if name != VICTIM:
            assert any(b.began < cell.ended and cell.began < b.ended for b in seen.bystanders), name
            assert any(b.began >= cell.ended for b in seen.bystanders), name


def _passed(ran: Ran) -> bool:
    return ran.observation.record.result is Result.PASS


@pytest.mark.parametrize("seen", PLACES, indirect=True)
def test_what_they_say_is_kept_short_and_shown_plain(seen: Seen) -> None:
    for name, ran in seen.cells.items():
        detail, log = ran.observation.record.detail or "", ran.observation.log or ""
        assert detail.isprintable(), name
        assert len(log) <= LOG_TAIL_CHARS, name
        assert "\0" not in log, name


@pytest.mark.parametrize("name", ["calls-out", "reads-host"])
def test_outside_a_sandbox_they_would_reach_it(
    name: str, projects: Mapping[str, Project], listener: RecordingListener
) -> None:
    source = projects[name].files[f"src/{name.replace('-', '_')}.py"]
    listener.requests.clear()
    done = subprocess.run(
        [sys.executable, "-I", "-c", source.decode()], capture_output=True, text=True, check=False, timeout=60
    )
    (told,) = re.findall(r"^RuntimeError: \w+: (.+)$", done.stderr, re.MULTILINE)
    wanted = {
        "calls-out": {"http", "dns", "socket", "abstract socket"},
        "reads-host": {"the variable", "the file"},
    }
    assert wanted[name] <= set(told.split(", "))
    assert name == "reads-host" or {"http", "dns"} <= set(listener.requests)


@pytest.mark.docker
def test_with_more_powers_they_would_be_noticed(projects: Mapping[str, Project]) -> None:
    client = connect_engine()
    assert client is not None
    try:
        told = client.containers.run(
            SLIM.image,
            ["sh", "-c", 'python -c "$SOURCE" 2>&1 || true'],
            environment={"SOURCE": projects["gains-powers"].files["src/gains_powers.py"].decode()},
            network_mode="none",
            remove=True,
        ).decode()
    finally:
        client.close()
    (gained,) = re.findall(r"^RuntimeError: gained: (.+)$", told, re.MULTILINE)
    assert {"capabilities", "new privileges", "another root", "a device"} <= set(gained.split(", "))
