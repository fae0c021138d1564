"""Sandboxes in which pip also finds the other given files: one may need another, or be built with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, WrappedSandbox
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


class GivenFilesSandbox(WrappedSandbox):
    """A sandbox in which an installation may use the files beside its own: pip finds them with `--find-links`."""

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run pip."""
        command, *rest = arguments
        links = ["--find-links", str(PurePosixPath(self.file).parent)] if command == "install" else []
        return super().pip([command, *links, *rest], timeout_s=timeout_s)
