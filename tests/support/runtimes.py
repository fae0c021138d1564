"""Real runtimes of each kind, each in a place of its own: containers, bubblewrap, and cells in the open."""

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
from local_index import LocalIndex
from projects import module_project

from ppp.check.gateway.gateway import Gateway, run_gateway
from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.check.sandbox import bubblewrap
from ppp.check.sandbox.docker import LABEL, DockerRuntime, connect_engine
from ppp.check.sandbox.host import Confinement, HostRuntime
from ppp.model.matrix import Environment, Matrix

#: More than the tail is kept, so that there is a head as well.
LOG_KB: Final = 128
UNREACHABLE_INDEX: Final = "http://127.0.0.1:9/simple/"
#: What every sandbox is lent, and what the index has beside it.
EXAMPLE: Final = module_project("example-lib", "value = 1\n")
OTHER: Final = module_project("other", f"# {'x' * 5000}\n")
#: Tells every folder and file that whoever runs it can write; `json` and `os` are there already.
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
    """What a sandbox is made by."""

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
        """Cells have no network but the way to the gateway."""
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
#: Those that hold package code to the same rules.
CONFINED: Final = [param for param in REAL if param.values != (RuntimeKind.OPEN,)]


@dataclass(kw_only=True)
class RuntimePlace:
    """A runtime, a file for its sandboxes, and what remains of them outside."""

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
        """Give the environment, asked once what it is."""
        if not self.prepared_once:
            self.prepared_once.append(self.runtime.prepare(self.environment))
        return self.prepared_once[0]

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        with self.runtime.sandbox(self.prepared(), self.file) as box:
            yield box


def small_matrix(environment: Environment) -> Matrix:
    """Give a matrix with limits that are soon reached."""
    matrix = tiny_matrix(environment)
    return replace(matrix, limits=replace(matrix.limits, log_kb=LOG_KB))


def example_file(folder: Path) -> Path:
    """Give the file that every sandbox is lent, alone in a folder."""
    (folder / "file").mkdir()
    file = folder / "file" / EXAMPLE.filename
    file.write_bytes(EXAMPLE.build())
    return file


@contextmanager
def running_runtime(
    kind: RuntimeKind, folder: Path, pip: FetchedPip, *, container_runtime: str | None = None
) -> Iterator[RuntimePlace]:
    """Give a runtime of a kind, with all that it needs; at the end it is closed."""
    with ExitStack() as stack:
        index, door = stack.enter_context(_gated(folder)) if kind.is_gated else (None, None)
        if kind.is_container:
            docker, remains = _containers(kind, folder, pip, door, stack, container_runtime=container_runtime)
            runtime: Runtime = docker
        else:
            runtime, remains = _on_the_host(kind, folder, pip, door, stack)
        yield RuntimePlace(kind=kind, runtime=runtime, file=example_file(folder), remains=remains, index=index)


@contextmanager
def _gated(folder: Path) -> Iterator[tuple[LocalIndex, Gateway]]:
    with LocalIndex() as index:
        index.add(EXAMPLE, OTHER)
        with run_gateway(index.url, [index.url_of("")], cache=folder / "gateway", environ=os.environ) as door:
            yield index, door


def _containers(
    kind: RuntimeKind,
    folder: Path,
    pip: FetchedPip,
    door: Gateway | None,
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
        gateway=door,
        container_runtime=container_runtime,
    )
    stack.callback(runtime.close)
    return runtime, lambda: client.containers.list(
        all=True, ignore_removed=True, filters={"label": f"{LABEL}={runtime._label}"}
    )


def _on_the_host(
    kind: RuntimeKind, folder: Path, pip: FetchedPip, door: Gateway | None, stack: ExitStack
) -> tuple[HostRuntime, Callable[[], Sequence[object]]]:
    # Cells in the open live where temporary files do, others beside the gateway's socket.
    (cells := folder / "cells").mkdir()
    stack.enter_context(pytest.MonkeyPatch.context()).setattr(tempfile, "tempdir", str(cells))
    shutting = Confinement(bubblewrap=bubblewrap.find_bubblewrap(os.environ), gateway=door) if door else None
    runtime = HostRuntime(
        small_matrix(kind.environment),
        pip=pip.folder,
        index_url=UNREACHABLE_INDEX,
        environ=host_environ(),
        confinement=shutting,
    )
    stack.callback(runtime.close)
    where = door.socket.parent if door else cells
    return runtime, lambda: [path.name for path in where.iterdir() if path.name.startswith(("cell-", "ppp-cell-"))]


def run_python(box: Sandbox, source: str, *, timeout_s: float = 30) -> CommandResult:
    """Run a Python program in a sandbox."""
    return box.run([box.python, "-I", "-c", source], timeout_s=timeout_s)


def json_output(box: Sandbox, source: str, *, timeout_s: float = 30) -> Any:
    """Run a program that prints JSON in its last line, and give that."""
    done = run_python(box, f"import json, os\n{dedent(source)}", timeout_s=timeout_s)
    assert done.ok, done
    return json.loads(done.output.splitlines()[-1])


def wait_until(happened: Callable[[], bool], *, limit_s: float = 30) -> None:
    """Wait until something has happened, which the kernel or the engine was told to do; it must within the limit."""
    deadline = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def command_lines() -> Iterator[str]:
    """Give what every process of this machine was started with, those in containers too."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
