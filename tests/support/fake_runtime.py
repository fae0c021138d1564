"""The port of `ppp.check.runtime` in memory: what a command does is a script's word. It passes the port's contract.

A script is a function from a command line and the sandbox's files to an `Act`; `Cell` is one for whole cells.
"""

import json
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ppp.check.inside import program
from ppp.check.runtime import Completed, EnvironmentUnavailableError, Output, Prepared, SandboxLostError
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network

Files: TypeAlias = MutableMapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What a command does: prints, takes its time, ends. Below zero is a signal."""

    output: bytes = b""
    exit_code: int = 0
    takes_s: float = 0.0
    oom: bool = False
    #: The sandbox goes away under it, for this reason.
    lost: str | None = None


Script: TypeAlias = Callable[[Sequence[str], Files], Act]


def prepared(environment: Environment, **facts: object) -> Prepared:
    """Give what an environment says of itself."""
    minor = environment.python.replace("3.", "")
    tags = (f"cp3{minor}-cp3{minor}-manylinux_2_36_x86_64", f"cp3{minor}-abi3-manylinux_2_36_x86_64", "py3-none-any")
    said: dict[str, object] = {
        "environment": environment,
        "python": f"{environment.python}.7",
        "arch": "x86_64",
        "image_digest": None if environment.platform is Platform.HOST else f"sha256:{'5a' * 32}",
        "standin": False,
        "network": Network.OPEN,
        "tags": tags,
        "suffixes": (f".cpython-3{minor}-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc"),
        "pip_version": "26.0.1",
    }
    return Prepared(**{**said, **facts})  # type: ignore[arg-type]


class FakeRuntime:
    """See `ppp.check.runtime.Runtime`. `commands` holds every command line that ran; `open` the sandboxes in use."""

    def __init__(self, matrix: Matrix, script: Script, *, unavailable: str = "") -> None:
        self._matrix = matrix
        self._script = script
        self._unavailable = unavailable
        self._closed = threading.Event()
        self.commands: list[Sequence[str]] = []
        self.isolated: list[str] = []
        self.open: set[int] = set()
        self.closed = 0

    def prepare(self, environment: Environment) -> Prepared:
        if self._unavailable:
            raise EnvironmentUnavailableError(self._unavailable)
        return prepared(environment, pip_version=self._matrix.pip.version)

    @contextmanager
    def sandbox(self, prepared: Prepared, file: Path) -> Iterator["FakeSandbox"]:  # noqa: ARG002 - the port's
        box = FakeSandbox(self, file)
        self.open.add(id(box))
        try:
            yield box
        finally:
            self.open.discard(id(box))
            box.files.clear()

    def close(self) -> None:
        self.closed += 1
        self._closed.set()


class FakeSandbox:
    """See `ppp.check.runtime.Sandbox`."""

    python = "python"
    pip = "/fake/pip/pip"
    work = "/fake/work"

    def __init__(self, runtime: FakeRuntime, file: Path) -> None:
        self._runtime = runtime
        self.file = f"/fake/file/{file.name}"
        self.files: dict[str, bytes] = {}

    def isolate(self) -> None:
        self._runtime.isolated.append(self.file)

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> Completed:
        runtime = self._runtime
        if runtime._closed.is_set():
            raise SandboxLostError("the run was ended")
        runtime.commands.append([*argv, f"cwd={cwd}"] if cwd else argv)
        act = runtime._script(argv, self.files)
        if act.lost is not None:
            raise SandboxLostError(act.lost)
        if act.takes_s and runtime._closed.wait(min(act.takes_s, timeout_s)):
            raise SandboxLostError("the run was ended")
        output = Output(runtime._matrix.limits.log_kb * 1024)
        output.feed(act.output)
        timed_out = act.takes_s > timeout_s
        return Completed(
            exit_code=None if timed_out else act.exit_code,
            output=output.text(),
            duration_ms=round(min(act.takes_s, timeout_s) * 1000),
            oom=act.oom,
        )


WORD: Final = b"<word>"


@dataclass(slots=True, kw_only=True)
class Cell:
    """The script of a cell that passes; each step can be given another act. `WORD` in an output is the proof."""

    setup: Act = Act()
    nodeps: Act = Act(output=b"Successfully installed\n")
    full: Act = Act(output=b"Successfully installed\n")
    inspect: Act | None = None
    importing: Act = Act(output=b"\n" + WORD + b"\n")
    installed: list[list[str | None]] = field(default_factory=list)
    paths: list[str] = field(default_factory=lambda: ["example_lib/__init__.py"])

    def __call__(self, argv: Sequence[str], _files: Files) -> Act:
        if program("environments") in argv:
            return self.setup
        if "--no-deps" in argv:
            return self.nodeps
        if "--report" in argv:
            return self.full
        if program("installed") in argv:
            return self.inspect or Act(output=json.dumps(self.told).encode())
        word = argv[-1].encode()
        return Act(
            output=self.importing.output.replace(WORD, word),
            exit_code=self.importing.exit_code,
            takes_s=self.importing.takes_s,
            oom=self.importing.oom,
            lost=self.importing.lost,
        )

    @property
    def told(self) -> dict[str, object]:
        """What the program says that looks at an installation."""
        target = {"paths": self.paths, "import_names": None, "top_level": []}
        return {"installed": self.installed, "target": target}
