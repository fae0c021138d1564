"""Check every project of `tests/packages/` as a cell: its `spec.toml` says what must result."""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
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
from local_gateway import gateway_to
from local_index import YANKED, LocalIndex
from projects import Project, all_projects

from ppp.check.cell import Checker, Observation
from ppp.check.index.client import SimpleIndex
from ppp.check.recorded_text import LOG_TAIL_CHARS
from ppp.check.runtime import PreparedEnvironment, Runtime
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Cell, Environment
from ppp.model.record import ModuleFailure, Phase, Record
from ppp.model.release import Release
from ppp.schemas import schema_errors

PROJECTS: Final = {project.name: project for project in all_projects() if project.expect}
ONLINE: Final = [pytest.mark.online]
DOCKER: Final = [pytest.mark.online, pytest.mark.docker]
ENVIRONMENTS: Final = [
    pytest.param("host", id="host", marks=ONLINE),
    pytest.param("bubblewrap", id="bubblewrap", marks=[*ONLINE, pytest.mark.sandbox, pytest.mark.nginx]),
    pytest.param(SLIM, id=SLIM.id, marks=DOCKER),
    pytest.param(ALPINE, id=ALPINE.id, marks=DOCKER),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProjects:
    """The results of all cells of an environment, and what was left of them at the end."""

    environment: Environment
    observations: Mapping[str, Observation]
    containers: list[str]
    processes: list[str]
    files: list[str]
    index_host: str
    asked: Mapping[str, int]


@pytest.fixture(scope="module")
def checked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pinned_pip: FetchedPip
) -> Iterator[CheckedProjects]:
    environment = request.param if isinstance(request.param, Environment) else host_environment()
    folder = tmp_path_factory.mktemp(environment.id)
    with ExitStack() as stack:
        client = connect_engine() if isinstance(request.param, Environment) else None
        if client:
            stack.callback(client.close)
        index = stack.enter_context(LocalIndex(docker_bridge_address(client) if client else "127.0.0.1"))
        index.add(*all_projects())
        confinement = None
        if request.param == "bubblewrap":
            door = gateway_to(index, folder)
            confinement = Confinement(
                bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=stack.enter_context(door)
            )
        # Cells of the host platform live where temporary files do, or the gateway's socket.
        (cells := folder / "cells").mkdir()
        stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
        matrix = tiny_matrix(environment)
        runtime: Runtime
        if client:
            runtime = DockerRuntime(client, matrix, data=folder, pip=pinned_pip.folder, index_url=index.url)
        else:
            runtime = HostRuntime(
                matrix, pip=pinned_pip.folder, index_url=index.url, environ=host_environ(), confinement=confinement
            )
        stack.callback(runtime.close)
        simple = SimpleIndex(index.url, cache=folder / "files", user_agent="the-pypi-place/tests")
        observations = _check_all(
            Checker(index=simple, runtime=runtime, matrix=matrix, node="ab" * 32, index_hosts=simple.hosts), environment
        )
        runtime.close()
        run = confinement.gateway.socket.parent if confinement else cells
        confined = [output for output in _processes_in(run) if "bwrap" in output]
        label = f"{LABEL}={runtime._label}" if isinstance(runtime, DockerRuntime) else ""
        yield CheckedProjects(
            environment=environment,
            observations=observations,
            containers=[
                str(c.name) for c in client.containers.list(all=True, ignore_removed=True, filters={"label": label})
            ]
            if client
            else [],
            processes=[*_processes_in(cells), *confined],
            files=[path.name for path in (*cells.iterdir(), *run.glob("cell-*"))],
            index_host=index.host,
            asked=dict(index.request_counts),
        )


def _check_all(checker: Checker, environment: Environment) -> Mapping[str, Observation]:
    prepared: PreparedEnvironment = checker.runtime.prepare(environment)

    def work(project: Project) -> Observation:
        matrix = tiny_matrix(environment, timeouts_s=project.timeouts_s)
        cell = Cell(release=Release.parse(project.name, project.version), environment=environment.id)
        return replace(checker, matrix=matrix).check(cell, prepared)

    # Cells that run into their timeout start first.
    queue = [p for p in PROJECTS.values() if not p.expected(environment).skip]
    queue.sort(key=lambda project: not project.timeouts_s)
    with ThreadPoolExecutor(4) as threads:
        return dict(zip([project.name for project in queue], threads.map(work, queue), strict=True))


def _processes_in(folder: Path) -> Iterator[str]:
    """Yield the processes whose working folder or arguments are in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or str(folder) in where:
            yield f"{process.name} {words}"


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
@pytest.mark.parametrize("name", PROJECTS)
def test_each_project_has_the_expected_result(checked: CheckedProjects, name: str) -> None:
    expected = PROJECTS[name].expected(checked.environment)
    if expected.skip:
        pytest.skip(expected.skip)
    observation = checked.observations[name]
    record = observation.record
    output = f"{record}\n{observation.log}"
    assert (record.result, record.failed_phase, record.cause, record.blame) == (
        expected.result,
        expected.phase,
        expected.cause,
        expected.blame,
    ), output
    assert expected.detail in (record.detail or ""), output
    assert list(record.relies_on) == expected.relies_on, output
    if expected.imports is not None:
        assert list(record.imports) == expected.imports, output
    if expected.ground is not None:
        assert record.grounds[Phase.IMPORT] == expected.ground, output
    if expected.scripts is not None:
        assert record.entry_points is not None, output
        assert [broken.name for broken in record.entry_points.broken] == expected.scripts, output
    if expected.mismatch is not None:
        assert record.record_mismatch is not None, output
        found = record.record_mismatch
        assert [found.missing, found.unlisted, found.different] == expected.mismatch, output
    assert _conflicts(record) == (expected.conflicts or []), output
    assert (record.shared_files.equal if record.shared_files else 0) == expected.duplicates, output


def _conflicts(record: Record) -> list[str]:
    files = record.shared_files.files if record.shared_files else ()
    return [f"{file.path} {' '.join(file.owners)} kept {file.kept}" for file in files if not file.equal]


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
@pytest.mark.parametrize("name", [name for name, project in PROJECTS.items() if "primary" in project.expect])
def test_each_module_that_was_not_imported_is_recorded(checked: CheckedProjects, name: str) -> None:
    expected = PROJECTS[name].expected(checked.environment)
    if expected.skip:
        pytest.skip(expected.skip)
    record = checked.observations[name].record
    assert (record.primary_module or "") == expected.primary
    if expected.import_failures is not None:
        assert _failures(record.import_failures) == expected.import_failures
    if expected.submodules_failed is not None:
        assert record.submodules is not None
        assert _failures(record.submodules.failed) == expected.submodules_failed
        assert (record.submodules.tried, record.submodules.left_out) == (expected.submodules_tried, 0)


def _failures(failures: Iterable[ModuleFailure]) -> list[str]:
    assert all(failure.detail for failure in failures)
    return [f"{failure.module} {failure.outcome} {failure.cause}" for failure in failures]


@pytest.mark.attack("valid-records")
@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_every_record_is_valid(checked: CheckedProjects) -> None:
    assert len(checked.observations) > 30
    mistakes = {
        name: schema_errors("site/schemas/record.schema.json", observation.record.to_json())
        for name, observation in checked.observations.items()
    }
    assert {name: output for name, output in mistakes.items() if output} == {}


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_the_host_of_the_index_is_not_recorded(checked: CheckedProjects) -> None:
    output = [f"{o.record.detail} {o.log}" for o in checked.observations.values()]
    assert not [text for text in output if checked.index_host in text]


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_nothing_is_left_of_the_cells(checked: CheckedProjects) -> None:
    assert checked.containers == []
    assert checked.processes == []
    assert checked.files == []


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_a_long_log_is_cut_and_says_so(checked: CheckedProjects) -> None:
    log = checked.observations["floods-log"].log or ""
    assert "cut" in log.splitlines()[0]
    assert len(log) <= LOG_TAIL_CHARS
    assert log.rstrip().endswith("RuntimeError: enough")


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_the_duration_of_a_timeout_is_measured(checked: CheckedProjects) -> None:
    record = checked.observations["hangs"].record
    assert 2000 <= record.duration_ms[Phase.IMPORT] < 10_000


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_installed_distributions_are_recorded_with_hashes(checked: CheckedProjects) -> None:
    record = checked.observations["depends"].record
    assert [(i.name, i.version) for i in record.installed] == [("depends", "1.0"), ("passes", "2.0")]
    assert record.file is not None
    assert record.installed[0].sha256 == record.file.sha256


@pytest.mark.parametrize("checked", ENVIRONMENTS, indirect=True)
def test_what_the_index_says_of_a_release_is_recorded(checked: CheckedProjects) -> None:
    records = {name: observation.record for name, observation in checked.observations.items()}
    assert {name: record.yanked for name, record in records.items() if record.yanked is not None} == {
        "yanked": YANKED
    }, "of a yanked dependency, the record says nothing"
    assert {name: record.project_status for name, record in records.items() if record.project_status} == {
        "quarantined": "quarantined"
    }
