"""Sandboxes in which pip also finds the other given files: one may need another, or be built with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox
from ppp.model.matrix import Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFilesRuntime:
    """A runtime whose sandboxes show all given files to pip; see `ppp.check.runtime`."""

    runtime: Runtime

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Make an environment ready."""
        return self.runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator["GivenFilesSandbox"]:
        """Provide a sandbox for a file, which shows the other files of its folder."""
        with self.runtime.sandbox(prepared, file) as sandbox:
            yield GivenFilesSandbox(sandbox)

    def close(self) -> None:
        """End every sandbox of the runtime."""
        self.runtime.close()


class GivenFilesSandbox:
    """A sandbox in which an installation may use the files beside its own: pip finds them with `--find-links`."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Wrap a sandbox."""
        self._sandbox = sandbox
        self.python = sandbox.python
        self.scratch = sandbox.scratch
        self.file = sandbox.file
        self.aliases = sandbox.aliases

    def run(self, argv: Sequence[str], *, timeout_s: float, cwd: str | None = None) -> CommandResult:
        """Run a command."""
        return self._sandbox.run(argv, timeout_s=timeout_s, cwd=cwd)

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run pip."""
        command, *rest = arguments
        links = ["--find-links", str(PurePosixPath(self.file).parent)] if command == "install" else []
        return self._sandbox.pip([command, *links, *rest], timeout_s=timeout_s)

    def inspect_installation(self, package: str, *, folder: str | None = None, timeout_s: float) -> CommandResult:
        """Describe the last installation."""
        return self._sandbox.inspect_installation(package, folder=folder, timeout_s=timeout_s)

    def prove_import(
        self, module: str, *, timeout_s: float, watched: Sequence[str] = (), hidden: Sequence[str] = ()
    ) -> CommandResult:
        """Import a module, and have it prove that the import returned."""
        return self._sandbox.prove_import(module, timeout_s=timeout_s, watched=watched, hidden=hidden)

    def reset(self) -> None:
        """Replace the virtual environment by a fresh one."""
        self._sandbox.reset()

    def isolate(self) -> None:
        """Take the network away, where the runtime can."""
        self._sandbox.isolate()
