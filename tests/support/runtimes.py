"""Real runtimes of each kind: containers, bubblewrap, and cells that are not confined."""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, FetchedPip, host_environ, host_environment, tiny_matrix
from local_gateway import gateway_to
from local_index import LocalIndex
from projects import module_project

from ppp.check.gateway.gateway import Gateway
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Environment, Matrix

#: Larger than the tail, so that the beginning of an output is kept as well.
LOG_KB: Final = 128
UNREACHABLE_INDEX: Final = "http://127.0.0.1:9/simple/"
#: The file that every sandbox gets, and what the index has besides.
EXAMPLE: Final = module_project("example-lib", "value = 1\n")
OTHER: Final = module_project("other", f"# {'x' * 5000}\n")
#: Prints every folder and file that its user can write to; `json` and `os` are imported already.
WRITABLE: Final = """
found = []
def can_be_written(folder):
    try:
        open(folder + '/probe', 'w').close()
        os.unlink(folder + '/probe')
    except OSError:
        return False
    return True
for folder, folders, files in os.walk('/'):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ('/proc', '/sys')]
    found += [folder] if can_be_written(folder) else []
    found += [p for name in files if os.path.isfile(p := os.path.join(folder, name)) and os.access(p, os.W_OK)]
print(json.dumps(found))
"""


class RuntimeKind(StrEnum):
    """The kinds of runtimes."""

    FAKE = "fake"
    OPEN = "open"
    BUBBLEWRAP = "bubblewrap"
    CONTAINER = "container"
    GATED_CONTAINER = "gated-container"

    @property
    def is_container(self) -> bool:
        return self in {RuntimeKind.CONTAINER, RuntimeKind.GATED_CONTAINER}

    @property
    def is_gated(self) -> bool:
        """Whether cells reach only the gateway."""
        return self in {RuntimeKind.BUBBLEWRAP, RuntimeKind.GATED_CONTAINER}

    @property
    def environment(self) -> Environment:
        match self:
            case RuntimeKind.FAKE | RuntimeKind.CONTAINER:
                return SLIM
            case RuntimeKind.GATED_CONTAINER:
                return ALPINE
            case RuntimeKind.OPEN | RuntimeKind.BUBBLEWRAP:
                return host_environment()


_NEEDED: Final = {
    RuntimeKind.OPEN: (pytest.mark.online,),
    RuntimeKind.BUBBLEWRAP: (pytest.mark.online, pytest.mark.sandbox, pytest.mark.nginx),
    RuntimeKind.CONTAINER: (pytest.mark.online, pytest.mark.docker),
    RuntimeKind.GATED_CONTAINER: (pytest.mark.online, pytest.mark.docker, pytest.mark.nginx),
}
REAL: Final = [pytest.param(kind, id=str(kind), marks=marks) for kind, marks in _NEEDED.items()]
#: Those whose cells reach only the gateway.
GATED: Final = [pytest.param(kind, id=str(kind), marks=marks) for kind, marks in _NEEDED.items() if kind.is_gated]
#: Those that confine package code.
CONFINED: Final = [param for param in REAL if param.values != (RuntimeKind.OPEN,)]


@dataclass(kw_only=True)
class RuntimePlace:
    """A runtime, a file for its sandboxes, and a function that lists what remains of them outside."""

    kind: RuntimeKind
    runtime: Runtime
    file: Path
    remains: Callable[[], Sequence[object]]
    index: LocalIndex | None = None
    prepared_once: list[PreparedEnvironment] = field(default_factory=list)

    @property
    def environment(self) -> Environment:
        return self.kind.environment

    def prepared(self) -> PreparedEnvironment:
        """Return the environment, which is prepared once."""
        if not self.prepared_once:
            self.prepared_once.append(self.runtime.prepare(self.environment))
        return self.prepared_once[0]

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        with self.runtime.sandbox(self.prepared(), self.file) as sandbox:
            yield sandbox


def small_matrix(environment: Environment) -> Matrix:
    """Return a matrix with low limits."""
    matrix = tiny_matrix(environment)
    return replace(matrix, limits=replace(matrix.limits, log_kb=LOG_KB))


def example_file(folder: Path) -> Path:
    """Write the file that every sandbox gets, alone in a folder, and return its path."""
    (folder / "file").mkdir()
    file = folder / "file" / EXAMPLE.filename
    file.write_bytes(EXAMPLE.build())
    return file


@contextmanager
def running_runtime(
    kind: RuntimeKind, folder: Path, pip: FetchedPip, *, container_runtime: str | None = None
) -> Iterator[RuntimePlace]:
    """Yield a runtime of a kind, with all that it needs, and close it at the end."""
    with ExitStack() as stack:
        index, running_gateway = stack.enter_context(_gated(folder)) if kind.is_gated else (None, None)
        if kind.is_container:
            docker, remains = _containers(
                kind, folder, pip, running_gateway, stack, container_runtime=container_runtime
            )
            runtime: Runtime = docker
        else:
            runtime, remains = _on_the_host(kind, folder, pip, running_gateway, stack)
        yield RuntimePlace(kind=kind, runtime=runtime, file=example_file(folder), remains=remains, index=index)


@contextmanager
def open_runtime(
    environment: Environment, *, pip: Path, folder: Path, index_url: str, gateway: Gateway | None, matrix: Matrix
) -> Iterator[Runtime]:
    """Yield a runtime for one environment, in containers or confined on the host, and close it at the end."""
    with ExitStack() as stack:
        runtime: Runtime
        if environment.image:
            client = connect_engine()
            assert client is not None
            stack.callback(client.close)
            runtime = DockerRuntime(client, matrix, data=folder, pip=pip, index_url=index_url, gateway=gateway)
        else:
            runtime = HostRuntime(
                matrix, pip=pip, index_url=index_url, environ=host_environ(), confinement=_confinement(gateway)
            )
        stack.callback(runtime.close)
        yield runtime


def _confinement(gateway: Gateway | None) -> Confinement | None:
    return Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=gateway) if gateway else None


@contextmanager
def _gated(folder: Path) -> Iterator[tuple[LocalIndex, Gateway]]:
    with LocalIndex() as index:
        index.add(EXAMPLE, OTHER)
        with gateway_to(index, folder) as running_gateway:
            yield index, running_gateway


def _containers(
    kind: RuntimeKind,
    folder: Path,
    pip: FetchedPip,
    running_gateway: Gateway | None,
    stack: ExitStack,
    *,
    container_runtime: str | None,
) -> tuple[DockerRuntime, Callable[[], Sequence[object]]]:
    client = connect_engine()
    assert client is not None
    stack.callback(client.close)
    runtime = DockerRuntime(
        client,
        small_matrix(kind.environment),
        data=folder,
        pip=pip.folder,
        index_url=UNREACHABLE_INDEX,
        gateway=running_gateway,
        container_runtime=container_runtime,
    )
    stack.callback(runtime.close)
    return runtime, lambda: client.containers.list(
        all=True, ignore_removed=True, filters={"label": f"{LABEL}={runtime._label}"}
    )


def _on_the_host(
    kind: RuntimeKind, folder: Path, pip: FetchedPip, running_gateway: Gateway | None, stack: ExitStack
) -> tuple[HostRuntime, Callable[[], Sequence[object]]]:
    # Cells that are not confined have folders among temporary files, others beside the gateway's socket.
    (cells := folder / "cells").mkdir()
    stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
    runtime = HostRuntime(
        small_matrix(kind.environment),
        pip=pip.folder,
        index_url=UNREACHABLE_INDEX,
        environ=host_environ(),
        confinement=_confinement(running_gateway),
    )
    stack.callback(runtime.close)
    where = running_gateway.socket.parent if running_gateway else cells
    return runtime, lambda: [path.name for path in where.iterdir() if path.name.startswith(("cell-", "ppp-cell-"))]


def run_python(sandbox: Sandbox, source: str, *, timeout_s: float = 30) -> CommandResult:
    """Run a Python program in a sandbox."""
    return sandbox.run([sandbox.python, "-I", "-c", source], timeout_s=timeout_s)


def json_output(sandbox: Sandbox, source: str, *, timeout_s: float = 30) -> Any:
    """Run a program whose last line is JSON, and return its value."""
    done = run_python(sandbox, f"import json, os\n{dedent(source)}", timeout_s=timeout_s)
    assert done.ok, done
    return json.loads(done.output.splitlines()[-1])


def wait_until(condition: Callable[[], bool], *, limit_s: float = 30) -> None:
    """Wait until a condition is true, which the kernel or the engine brings about; fail after the limit."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "not within the time limit"
        time.sleep(0.02)


def command_lines() -> Iterator[str]:
    """Yield the command line of every process of this machine, those in containers too."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
