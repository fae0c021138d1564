"""The port of `ppp.check.runtime` in memory: a script says what each command does. It passes the port's contract.

A script is a function from a command line and the sandbox's files to a `ScriptedCommand`; `CellScript` is one for whole
cells. A line begins with the request: `begin`, `pip …`, `inspect PACKAGE`, `prove MODULE [without MODULE …]`,
`run …`, `reset` or `isolate`.
"""

import json
import threading
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from packaging.utils import canonicalize_name

from ppp.check.runtime import (
    CommandResult,
    EnvironmentUnavailableError,
    PreinstalledDistribution,
    PreparedEnvironment,
    SandboxLostError,
)
from ppp.check.sandbox.inside.output import Output
from ppp.model.matrix import Environment, Matrix, Platform
from ppp.model.record import Network

TMP: Final = "/tmp"  # noqa: S108 - a name in a log
Files: TypeAlias = MutableMapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCommand:
    """What a command prints, how long it takes and how it ends. A negative `exit_code` is a signal."""

    output: bytes = b""
    exit_code: int = 0
    takes_s: float = 0.0
    oom: bool = False
    import_proved: bool = False
    received_bytes: int = 0
    waited_ms: int = 0
    #: Modules that an import loads, of those that are watched.
    loaded: tuple[str, ...] = ()
    #: If set, the sandbox is lost during the command, for this reason.
    lost: str | None = None


Script: TypeAlias = Callable[[Sequence[str], Files], ScriptedCommand]

#: What is preinstalled, unless a test says otherwise.
PREINSTALLED_PIP: Final = PreinstalledDistribution(name="pip", version="24.0", modules=("pip",))


def prepared_environment(environment: Environment, **facts: object) -> PreparedEnvironment:
    """Return the description of an environment, with these facts in place of the usual ones."""
    minor = environment.python.replace("3.", "")
    tags = (f"cp3{minor}-cp3{minor}-manylinux_2_36_x86_64", f"cp3{minor}-abi3-manylinux_2_36_x86_64", "py3-none-any")
    usual: dict[str, object] = {
        "environment": environment,
        "python": f"{environment.python}.7",
        "arch": "x86_64",
        "image_digest": None if environment.platform is Platform.HOST else f"sha256:{'5a' * 32}",
        "standin": False,
        "network": Network.OPEN,
        "tags": tags,
        "suffixes": (f".cpython-3{minor}-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc"),
        "pip_version": "26.0.1",
        "markers": {
            "implementation_name": "cpython",
            "implementation_version": f"{environment.python}.7",
            "os_name": "posix",
            "platform_machine": "x86_64",
            "platform_python_implementation": "CPython",
            "platform_release": "6.1.0",
            "platform_system": "Linux",
            "platform_version": "#1 SMP",
            "python_full_version": f"{environment.python}.7",
            "python_version": environment.python,
            "sys_platform": "linux",
        },
        "preinstalled": (PREINSTALLED_PIP,),
    }
    return PreparedEnvironment(**{**usual, **facts})  # type: ignore[arg-type]


class FakeRuntime:
    """See `ppp.check.runtime.Runtime`. `commands` holds every command line that ran; `open` the sandboxes in use."""

    def __init__(self, matrix: Matrix, script: Script, *, unavailable: str = "") -> None:
        self._matrix = matrix
        self._script = script
        self._unavailable = unavailable
        self._closed = threading.Event()
        self.commands: list[Sequence[str]] = []
        self.open: set[int] = set()
        self.closed = 0

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        if self._unavailable:
            raise EnvironmentUnavailableError(self._unavailable)
        return prepared_environment(environment, pip_version=self._matrix.pip.version)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator["FakeSandbox"]:  # noqa: ARG002 - the port's
        sandbox = FakeSandbox(self, file)
        self.open.add(id(sandbox))
        try:
            self.perform(["begin"], sandbox.files, timeout_s=60)
            yield sandbox
        finally:
            self.open.discard(id(sandbox))
            sandbox.files.clear()

    def perform(self, argv: Sequence[str], files: Files, *, timeout_s: float) -> CommandResult:
        """Do what the script says for a command line."""
        if self._closed.is_set():
            raise SandboxLostError("the run was ended")
        self.commands.append(argv)
        command = self._script(argv, files)
        if command.lost is not None:
            raise SandboxLostError(command.lost)
        if command.takes_s and self._closed.wait(min(command.takes_s, timeout_s)):
            raise SandboxLostError("the run was ended")
        output = Output(self._matrix.limits.log_kb * 1024)
        output.add(command.output)
        timed_out = command.takes_s > timeout_s
        return CommandResult(
            exit_code=None if timed_out else command.exit_code,
            output=output.data().decode("utf-8", "replace"),
            duration_ms=round(min(command.takes_s, timeout_s) * 1000),
            oom=command.oom,
            import_proved=command.import_proved,
            received_bytes=command.received_bytes,
            waited_ms=command.waited_ms,
            loaded=command.loaded if command.import_proved else (),
        )

    def close(self) -> None:
        self.closed += 1
        self._closed.set()


class FakeSandbox:
    """See `ppp.check.runtime.Sandbox`."""

    python = "/fake/work/env/bin/python"
    scratch = "/fake/work/scratch"

    def __init__(self, runtime: FakeRuntime, file: Path) -> None:
        self._runtime = runtime
        self.file = f"/fake/file/{file.name}"
        self.aliases = {"/fake/file": "/ppp/file", "/fake/pip": "/ppp/pip", "/fake/work": "/ppp/work", "/fake/tmp": TMP}
        self.files: dict[str, bytes] = {}

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        place = [f"cwd={cwd}"] if cwd else []
        return self._runtime.perform(["run", *argv, *place], self.files, timeout_s=timeout_s)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        return self._runtime.perform(["pip", *arguments], self.files, timeout_s=timeout_s)

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:  # noqa: ARG002 - the port's
        return self._runtime.perform(["inspect", package], self.files, timeout_s=timeout_s)

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        without = ["without", *hidden] if hidden else []
        done = self._runtime.perform(["prove", module, *without], self.files, timeout_s=timeout_s)
        return replace(done, loaded=tuple(name for name in watched if name in done.loaded))

    def reset(self) -> None:
        self._runtime.perform(["reset"], self.files, timeout_s=60)
        self.files.clear()

    def isolate(self) -> None:
        self._runtime.perform(["isolate"], self.files, timeout_s=60)


#: Under these names a script stores what pip installed last, and whether that was without dependencies.
INSTALLED_FILE: Final = "installed file"
INSTALLED_ALONE: Final = "installed alone"
PROVED: Final = ScriptedCommand(import_proved=True)
INSTALLED: Final = ScriptedCommand(output=b"Successfully installed\n")
#: The values of marker variables, as pip's report gives them.
MARKERS: Final = {"python_version": "3.12", "sys_platform": "linux"}


@dataclass(slots=True, kw_only=True)
class CellScript:
    """The script of a cell that passes; each step can be replaced.

    With `full` the package has a dependency, so that `full` is run; by default it has none.
    """

    begin: ScriptedCommand = ScriptedCommand()
    nodeps: ScriptedCommand = INSTALLED
    check: ScriptedCommand = ScriptedCommand(output=b"No broken requirements found.\n")
    reset: ScriptedCommand = ScriptedCommand()
    full: ScriptedCommand | None = None
    inspect: ScriptedCommand | None = None
    isolate: ScriptedCommand = ScriptedCommand()
    importing: ScriptedCommand = PROVED
    installed: list[list[str | None]] = field(default_factory=list)
    paths: list[str] = field(default_factory=lambda: ["example_lib/__init__.py"])
    inner: list[str] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)
    #: Rows of group, name and value, and what trying each script does, by its target; `importing` where none is given.
    entry_points: list[list[str]] = field(default_factory=list)
    scripts: dict[str, ScriptedCommand] = field(default_factory=dict)

    def __call__(self, argv: Sequence[str], files: Files) -> ScriptedCommand:
        match argv:
            case ["begin"] | ["reset"] | ["isolate"]:
                command: ScriptedCommand = getattr(self, argv[0])
                return command
            case ["pip", "check", *_]:
                return self.check
            case ["pip", "install", *options]:
                files[INSTALLED_FILE] = options[-1].rpartition("/")[2].encode()
                files[INSTALLED_ALONE] = b"yes" if "--no-deps" in options else b""
                return self.nodeps if "--no-deps" in options else self.full or INSTALLED
            case ["prove", target]:
                return self.scripts.get(target, self.importing)
            case ["inspect", package]:
                filename = files[INSTALLED_FILE].decode()
                described = self.inspection(package, filename, alone=bool(files[INSTALLED_ALONE]))
                return self.inspect or ScriptedCommand(output=json.dumps(described).encode())
        raise AssertionError(f"no cell runs this: {argv}")

    def inspection(self, package: str, filename: str, *, alone: bool) -> dict[str, object]:
        """Return the output of an inspection after a file was installed, `alone` or with dependencies."""
        name, version = filename.removesuffix(".tar.gz").split("-")[:2]
        folder = f"{name}-{version}.dist-info"
        target = {
            "folder": folder,
            "paths": self.paths,
            "inner": self.inner,
            "import_names": None,
            "top_level": [],
            "entry_points": self.entry_points,
            "digests": {"METADATA": "5a" * 32},
        }
        own = next((row for row in self.installed if canonicalize_name(str(row[0])) == package), [name, version, None])
        installed = [own] if alone else [own, *(row for row in self.installed if row is not own)]
        needs = {"requires": ["other"] if self.full else self.requires, "markers": MARKERS}
        return {"installed": installed, "requested": [own], "folders": [folder], "target": target, "needs": needs}
