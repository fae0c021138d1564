"""One sandbox for several releases, reset between them: its files then show what is left over or missing.

Both classes pass through to a real runtime; see `ppp.check.runtime`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from ppp.check.runtime import CommandResult, PreparedEnvironment, Runtime, Sandbox, SandboxLostError, WrappedSandbox
from ppp.model.matrix import Environment
from ppp.model.record import Network

#: How long a program of ours may take in the sandbox.
TIMEOUT_S: Final = 60
#: Prints the files of a folder. For any Python ≥ 3.9.
_LIST: Final = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        print(os.path.relpath(os.path.join(folder, name), sys.argv[1]))
"""


class SharedSandboxRuntime:
    """A runtime that provides the same sandbox again and again, reset in between. `shared` is None before the first."""

    def __init__(self, runtime: Runtime, stack: ExitStack) -> None:
        """Take the sandbox from `runtime`, and keep it until the stack ends."""
        self._runtime = runtime
        self._stack = stack
        self.shared: SharedSandbox | None = None

    def prepare(self, environment: Environment) -> PreparedEnvironment:
        """Make an environment ready."""
        return self._runtime.prepare(environment)

    @contextmanager
    def sandbox(self, prepared: PreparedEnvironment, file: Path) -> Iterator["SharedSandbox"]:
        """Provide the sandbox for a file, which must be in the folder of the first one."""
        if self.shared is None:
            sandbox = self._stack.enter_context(self._runtime.sandbox(prepared, file))
            self.shared = SharedSandbox(sandbox, find_links=prepared.network is Network.OPEN)
        else:
            self.shared.reset()
        self.shared.use_file(file)
        yield self.shared

    def close(self) -> None:
        """End every sandbox of the runtime."""
        self._runtime.close()


class SharedSandbox(WrappedSandbox):
    """A sandbox that is used again for another file of the same folder.

    `folder` is the path of the virtual environment, inside; `initial_files` are its files when it was fresh.
    """

    def __init__(self, sandbox: Sandbox, *, find_links: bool) -> None:
        """Wrap a sandbox; with `find_links` pip also finds files in the folder of the sandbox's own file."""
        super().__init__(sandbox)
        self._files_folder = PurePosixPath(sandbox.file).parent
        self._find_links = find_links
        self._isolated = False
        self.folder = PurePosixPath(sandbox.python).parent.parent
        self.initial_files = self.files()

    def use_file(self, file: Path) -> None:
        """Be the sandbox of another file."""
        self.file = str(self._files_folder / file.name)

    def files(self) -> frozenset[str]:
        """Return the files of the virtual environment, relative to it; raise `SandboxLostError` if that fails."""
        return self.output_lines([_LIST, str(self.folder)])

    def output_lines(self, program: Sequence[str]) -> frozenset[str]:
        """Return the lines that a program of ours prints; raise `SandboxLostError` if it does not succeed."""
        done = self.run([self.python, "-I", "-c", *program], timeout_s=TIMEOUT_S)
        if not done.ok:
            raise SandboxLostError(f"a program of the canary ended with {done.exit_code}: {done.output[-200:]}")
        return frozenset(done.output.splitlines())

    def pip(self, arguments: Sequence[str], *, timeout_s: float) -> CommandResult:
        """Run pip; an installation may also use the files beside the sandbox's own, see `__init__`."""
        command, *rest = arguments
        links = ["--find-links", str(self._files_folder)] if self._find_links and command == "install" else []
        return super().pip([command, *links, *rest], timeout_s=timeout_s)

    def isolate(self) -> None:
        """Take the network away, unless that was done before."""
        if not self._isolated:
            super().isolate()
            self._isolated = True
