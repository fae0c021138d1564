"""A fault of our infrastructure while a cell runs makes it an `ERROR`, never a `FAIL`; the next check succeeds."""

import gc
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import docker
import pytest
from cell_environments import SLIM, FetchedPip, host_environ, host_environment, tiny_matrix
from local_gateway import gateway_to
from local_index import LocalIndex
from projects import Project, module_project

from ppp.check.cell import Checker, Observation
from ppp.check.gateway.gateway import Gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DEFAULT_ENGINE, LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Blame, Phase, Result
from ppp.model.release import Release

PASSES: Final = module_project("passes", "value = 1\n")
#: Needs the index while it is installed with its dependency.
NEEDS: Final = module_project("needs", "import passes\n", requires=("passes",))

GATED: Final = [
    pytest.param(SLIM, id=SLIM.id, marks=[pytest.mark.docker, pytest.mark.online, pytest.mark.nginx]),
    pytest.param("host", id="host", marks=[pytest.mark.sandbox, pytest.mark.online, pytest.mark.nginx]),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyRuntime:
    """A runtime in which a fault happens just before a step: `nodeps`, `full`, `prove`."""

    runtime: Runtime
    before: str
    fault: Callable[[], None]

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        return self.runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator[Sandbox]:
        with self.runtime.sandbox(prepared, file) as box:
            yield FaultySandbox(box, self)

    def close(self) -> None:
        self.runtime.close()


class FaultySandbox:
    def __init__(self, box: Sandbox, breaking: FaultyRuntime) -> None:
        self._box = box
        self._breaking = breaking
        self.python, self.scratch, self.file, self.aliases = box.python, box.scratch, box.file, box.aliases

    def _before(self, step: str) -> None:
        if step == self._breaking.before:
            self._breaking.fault()

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        return self._box.run(argv, timeout_s=timeout_s, cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        self._before("nodeps" if "--no-deps" in arguments else "full")
        return self._box.pip(arguments, timeout_s=timeout_s)

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        return self._box.inspect_installation(package, folder=folder, timeout_s=timeout_s)

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        self._before("prove")
        return self._box.prove_import(module, timeout_s=timeout_s, watched=watched, hidden=hidden)

    def reset(self) -> None:
        self._box.reset()

    def isolate(self) -> None:
        self._box.isolate()


@dataclass(kw_only=True)
class CheckSetup:
    """An index and everything that checking its cells needs; a test can break any part and make it anew."""

    environment: Environment
    folder: Path
    pip: FetchedPip
    stack: ExitStack
    index: LocalIndex = field(default_factory=LocalIndex)
    matrix_changes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stack.enter_context(self.index)
        self.index.add(PASSES, NEEDS)

    def gateway(self, name: str = "gateway") -> Gateway:
        return self.stack.enter_context(gateway_to(self.index, self.folder / name))

    def runtime(self, door: Gateway, client: docker.DockerClient | None = None) -> Runtime:
        matrix = tiny_matrix(self.environment)
        made: Runtime
        if self.environment == SLIM:
            if client is None:
                client = connect_engine()
                assert client is not None
                self.stack.callback(client.close)
            made = DockerRuntime(
                client, matrix, data=self.folder, pip=self.pip.folder, index_url=self.index.url, gateway=door
            )
        else:
            confinement = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door)
            made = HostRuntime(
                matrix, pip=self.pip.folder, index_url=self.index.url, environ=host_environ(), confinement=confinement
            )
        self.stack.callback(made.close)
        return made

    def check(self, runtime: Runtime, project: Project = NEEDS, *, files: Path | None = None) -> Observation:
        simple = SimpleIndex(self.index.url, cache=files or self.folder / "files", user_agent="the-pypi-place/tests")
        checker = Checker(
            index=simple,
            runtime=runtime,
            matrix=tiny_matrix(self.environment),
            node="ab" * 32,
            index_hosts=simple.hosts,
        )
        cell = Cell(release=Release.parse(project.name, project.version), environment=self.environment.id)
        return checker.check(cell, runtime.prepare(self.environment))


@pytest.fixture
def check_setup(request: pytest.FixtureRequest, tmp_path: Path, pinned_pip: FetchedPip) -> Iterator[CheckSetup]:
    environment = host_environment() if request.param == "host" else request.param
    with ExitStack() as stack:
        yield CheckSetup(environment=environment, folder=tmp_path, pip=pinned_pip, stack=stack)


def assert_infrastructure_error(observation: Observation, phase: Phase, cause: str) -> None:
    record = observation.record
    details = f"{record}\n{observation.log}"
    assert (record.result, record.failed_phase, record.cause) == (Result.ERROR, phase, cause), details
    assert record.blame is Blame.INFRASTRUCTURE, details


def assert_passes(observation: Observation) -> None:
    assert observation.record.result is Result.PASS, f"{observation.record}\n{observation.log}"
    assert [i.name for i in observation.record.installed] == ["needs", "passes"]


def kill_nginx(door: Gateway) -> None:
    """Kill its master and its workers, which would continue without it."""
    master = int((door.socket.parent / "pid").read_text())
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in (master, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("check_setup", GATED, indirect=True)
def test_a_gateway_that_dies(check_setup: CheckSetup) -> None:
    door = check_setup.gateway()
    runtime = check_setup.runtime(door)
    assert_infrastructure_error(
        check_setup.check(FaultyRuntime(runtime=runtime, before="full", fault=lambda: kill_nginx(door))),
        Phase.FULL,
        "network",
    )
    assert_passes(check_setup.check(check_setup.runtime(check_setup.gateway())))


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("check_setup", GATED, indirect=True)
def test_an_index_that_goes_down(check_setup: CheckSetup) -> None:
    runtime = check_setup.runtime(check_setup.gateway())
    pages = {path: check_setup.index.set_response(path, refuse) for path in ("/simple/passes/", "/simple/needs/")}
    assert pages
    del check_setup.index._responders["/simple/needs/"]
    assert_infrastructure_error(check_setup.check(runtime), Phase.FULL, "network")
    del check_setup.index._responders["/simple/passes/"]
    assert_passes(check_setup.check(check_setup.runtime(check_setup.gateway("another"))))


def refuse(request: object) -> None:
    """Close the connection without a response, as an index that is down."""
    connection = request.connection  # type: ignore[attr-defined]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("check_setup", GATED, indirect=True)
def test_an_index_that_is_down_before_the_file_is_fetched(check_setup: CheckSetup) -> None:
    runtime = check_setup.runtime(check_setup.gateway())
    check_setup.index.set_response(f"/files/needs/{NEEDS.filename}", refuse)
    assert_infrastructure_error(check_setup.check(runtime), Phase.DOWNLOAD, "network")
    del check_setup.index._responders[f"/files/needs/{NEEDS.filename}"]
    assert_passes(check_setup.check(runtime))


class EngineProxy:
    """A proxy socket in front of the real engine, which can be closed as if the engine had died."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(64)
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect((os.environ.get("DOCKER_HOST") or DEFAULT_ENGINE).removeprefix("unix://"))
            self._open += [near, far]
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def disconnect(self) -> None:
        """Close all connections and accept no more."""
        self._listening.close()
        self.path.unlink()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.mark.attack("own-verdict")
@pytest.mark.docker
@pytest.mark.online
@pytest.mark.nginx
# docker-py leaves its end of a closed connection to the garbage collector, which is called before the next test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("check_setup", [SLIM], indirect=True)
@pytest.mark.parametrize(("before", "phase"), [("nodeps", Phase.NODEPS), ("full", Phase.FULL), ("prove", Phase.IMPORT)])
def test_an_engine_that_dies(check_setup: CheckSetup, before: str, phase: Phase, tmp_path: Path) -> None:
    check_setup.stack.callback(gc.collect)
    proxy = EngineProxy(tmp_path / "engine")
    real = connect_engine()
    assert real is not None
    client = docker.DockerClient(base_url=f"unix://{proxy.path}", timeout=20)
    check_setup.stack.callback(real.close)
    check_setup.stack.callback(client.close)
    runtime = check_setup.runtime(check_setup.gateway(), client)
    assert isinstance(runtime, DockerRuntime)

    def die() -> None:
        proxy.disconnect()
        # An engine's containers die with it.
        for container in real.containers.list(ignore_removed=True, filters={"label": f"{LABEL}={runtime._label}"}):
            container.kill()

    assert_infrastructure_error(
        check_setup.check(FaultyRuntime(runtime=runtime, before=before, fault=die)), phase, "sandbox"
    )
    # The next cell gets no container.
    again = check_setup.check(already_prepared(runtime, check_setup))
    assert_infrastructure_error(again, Phase.NODEPS, "sandbox")
    assert_passes(check_setup.check(check_setup.runtime(check_setup.gateway("another"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRuntime:
    """A runtime whose environment was prepared before its engine died."""

    runtime: Runtime
    prepared: PreparedEnvironment

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        assert environment == self.prepared.environment
        return self.prepared

    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> object:
        return self.runtime.sandbox(prepared, file)

    def close(self) -> None:
        self.runtime.close()


def already_prepared(runtime: Runtime, check_setup: CheckSetup) -> Runtime:
    """Return the runtime with an environment that is already prepared."""
    other = check_setup.runtime(check_setup.gateway("third"))
    return PreparedRuntime(runtime=runtime, prepared=other.prepare(check_setup.environment))  # type: ignore[return-value]


@pytest.mark.attack("own-verdict")
@pytest.mark.mount
@pytest.mark.parametrize("check_setup", GATED, indirect=True)
def test_a_full_disk(check_setup: CheckSetup, tmp_path: Path) -> None:
    (full := tmp_path / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=True)
    check_setup.stack.callback(partial(subprocess.run, ["umount", full], check=True))
    with suppress(OSError), (full / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    runtime = check_setup.runtime(check_setup.gateway())
    assert_infrastructure_error(check_setup.check(runtime, files=full / "files"), Phase.DOWNLOAD, "disk")
    (full / "filler").unlink()
    assert_passes(check_setup.check(runtime, files=full / "files"))


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("check_setup", GATED, indirect=True)
def test_a_missing_folder_for_sandboxes(check_setup: CheckSetup) -> None:
    door = check_setup.gateway()
    runtime = check_setup.runtime(door)
    prepared = PreparedRuntime(runtime=runtime, prepared=runtime.prepare(check_setup.environment))
    kill_nginx(door)
    door.socket.unlink()
    assert_infrastructure_error(check_setup.check(prepared), Phase.NODEPS, "sandbox")  # type: ignore[arg-type]
