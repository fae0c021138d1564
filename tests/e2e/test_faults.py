"""What breaks on our side while a cell runs makes it an `ERROR`, never a `FAIL`, and a later look mends it."""

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
from local_index import LocalIndex
from projects import Project, module_project

from ppp.check.cell import Checker, Observation
from ppp.check.gateway.gateway import Gateway, run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import DEFAULT_ENGINE, LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Cell, Environment
from ppp.model.record import Blame, Phase, Result
from ppp.model.release import Release

PASSES: Final = module_project("passes", "value = 1\n")
#: Needs the index while it is installed in full, and goes on for a moment when it is imported.
NEEDS: Final = module_project("needs", "import passes\n", requires=("passes",))

GATED: Final = [
    pytest.param(SLIM, id=SLIM.id, marks=[pytest.mark.docker, pytest.mark.online, pytest.mark.nginx]),
    pytest.param("host", id="host", marks=[pytest.mark.sandbox, pytest.mark.online, pytest.mark.nginx]),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaking:
    """A runtime under whose cells something breaks just before a step: `nodeps`, `full`, `prove`."""

    runtime: Runtime
    before: str
    fault: Callable[[], None]

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        return self.runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator[Sandbox]:
        with self.runtime.sandbox(prepared, file) as box:
            yield BreakingSandbox(box, self)

    def close(self) -> None:
        self.runtime.close()


class BreakingSandbox:
    def __init__(self, box: Sandbox, breaking: Breaking) -> None:
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

    def inspect_installation(self, package: str, *, timeout_s: float) -> CommandResult:
        return self._box.inspect_installation(package, timeout_s=timeout_s)

    def prove_import(self, module: str, *, timeout_s: float) -> CommandResult:
        self._before("prove")
        return self._box.prove_import(module, timeout_s=timeout_s)

    def reset(self) -> None:
        self._box.reset()

    def isolate(self) -> None:
        self._box.isolate()


@dataclass(kw_only=True)
class Bench:
    """An index, and what it takes to check cells with it, any part of which can be broken and made anew."""

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
        cache = self.folder / name
        return self.stack.enter_context(
            run_gateway(self.index.url, [self.index.url_of("")], cache=cache, environ=os.environ)
        )

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
            shutting = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door)
            made = HostRuntime(
                matrix, pip=self.pip.folder, index_url=self.index.url, environ=host_environ(), confinement=shutting
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
def bench(request: pytest.FixtureRequest, tmp_path: Path, pinned_pip: FetchedPip) -> Iterator[Bench]:
    environment = host_environment() if request.param == "host" else request.param
    with ExitStack() as stack:
        yield Bench(environment=environment, folder=tmp_path, pip=pinned_pip, stack=stack)


def assert_ours(observation: Observation, phase: Phase, cause: str) -> None:
    record = observation.record
    told = f"{record}\n{observation.log}"
    assert (record.result, record.failed_phase, record.cause) == (Result.ERROR, phase, cause), told
    assert record.blame is Blame.INFRASTRUCTURE, told


def assert_mended(observation: Observation) -> None:
    assert observation.record.result is Result.PASS, f"{observation.record}\n{observation.log}"
    assert [i.name for i in observation.record.installed] == ["needs", "passes"]


def kill_nginx(door: Gateway) -> None:
    """Kill its master and its worker, which would go on without it."""
    master = int((door.socket.parent / "pid").read_text())
    workers = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    for pid in (master, *map(int, workers)):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("bench", GATED, indirect=True)
def test_the_gateway_is_cut(bench: Bench) -> None:
    door = bench.gateway()
    runtime = bench.runtime(door)
    assert_ours(
        bench.check(Breaking(runtime=runtime, before="full", fault=lambda: kill_nginx(door))), Phase.FULL, "network"
    )
    assert_mended(bench.check(bench.runtime(bench.gateway())))


@pytest.mark.parametrize("bench", GATED, indirect=True)
def test_the_index_is_pulled_away(bench: Bench) -> None:
    runtime = bench.runtime(bench.gateway())
    pages = {path: bench.index.set_response(path, refuse) for path in ("/simple/passes/", "/simple/needs/")}
    assert pages
    del bench.index._responders["/simple/needs/"]
    assert_ours(bench.check(runtime), Phase.FULL, "network")
    del bench.index._responders["/simple/passes/"]
    assert_mended(bench.check(bench.runtime(bench.gateway("another"))))


def refuse(request: object) -> None:
    """Hang up without a word, as an index does that is gone."""
    connection = request.connection  # type: ignore[attr-defined]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("bench", GATED, indirect=True)
def test_the_index_is_gone_before_the_file_is_fetched(bench: Bench) -> None:
    runtime = bench.runtime(bench.gateway())
    bench.index.set_response(f"/files/needs/{NEEDS.filename}", refuse)
    assert_ours(bench.check(runtime), Phase.DOWNLOAD, "network")
    del bench.index._responders[f"/files/needs/{NEEDS.filename}"]
    assert_mended(bench.check(runtime))


class Engine:
    """A socket before the real engine's, which can be cut as if the engine had died."""

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

    def cut(self) -> None:
        """Let nothing through any more."""
        self._listening.close()
        self.path.unlink()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.nginx
# Of a connection that was cut docker-py leaves its own end to the garbage collector: it is called before the next test.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bench", [SLIM], indirect=True)
@pytest.mark.parametrize(("before", "phase"), [("nodeps", Phase.NODEPS), ("full", Phase.FULL), ("prove", Phase.IMPORT)])
def test_docker_dies(bench: Bench, before: str, phase: Phase, tmp_path: Path) -> None:
    bench.stack.callback(gc.collect)
    through = Engine(tmp_path / "engine")
    real = connect_engine()
    assert real is not None
    client = docker.DockerClient(base_url=f"unix://{through.path}", timeout=20)
    bench.stack.callback(real.close)
    bench.stack.callback(client.close)
    runtime = bench.runtime(bench.gateway(), client)
    assert isinstance(runtime, DockerRuntime)

    def die() -> None:
        through.cut()
        # Its containers go with it.
        for container in real.containers.list(ignore_removed=True, filters={"label": f"{LABEL}={runtime._label}"}):
            container.kill()

    assert_ours(bench.check(Breaking(runtime=runtime, before=before, fault=die)), phase, "sandbox")
    # And whoever asks it next gets no container.
    again = bench.check(replace_preparing(runtime, bench))
    assert_ours(again, Phase.NODEPS, "sandbox")
    assert_mended(bench.check(bench.runtime(bench.gateway("another"))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepares:
    """A runtime whose environments were prepared before its engine died."""

    runtime: Runtime
    prepared: PreparedEnvironment

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        assert environment == self.prepared.environment
        return self.prepared

    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> object:
        return self.runtime.sandbox(prepared, file)

    def close(self) -> None:
        self.runtime.close()


def replace_preparing(runtime: Runtime, bench: Bench) -> Runtime:
    """Give the runtime as one that has prepared its environment already."""
    other = bench.runtime(bench.gateway("third"))
    return Prepares(runtime=runtime, prepared=other.prepare(bench.environment))  # type: ignore[return-value]


@pytest.mark.mount
@pytest.mark.parametrize("bench", GATED, indirect=True)
def test_the_disk_is_full(bench: Bench, tmp_path: Path) -> None:
    (full := tmp_path / "full").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=True)
    bench.stack.callback(partial(subprocess.run, ["umount", full], check=True))
    with suppress(OSError), (full / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    runtime = bench.runtime(bench.gateway())
    assert_ours(bench.check(runtime, files=full / "files"), Phase.DOWNLOAD, "disk")
    (full / "filler").unlink()
    assert_mended(bench.check(runtime, files=full / "files"))


@pytest.mark.parametrize("bench", GATED, indirect=True)
def test_the_place_for_sandboxes_is_gone(bench: Bench) -> None:
    door = bench.gateway()
    runtime = bench.runtime(door)
    prepared = Prepares(runtime=runtime, prepared=runtime.prepare(bench.environment))
    kill_nginx(door)
    door.socket.unlink()
    assert_ours(bench.check(prepared), Phase.NODEPS, "sandbox")  # type: ignore[arg-type]
