"""What changes environments: uv or pip, by their command lines, from files that are there and nothing else.

Both get each file's sha256 and check it once more, and neither resolves anything or asks an index. A tool that still
runs after this process was killed keeps the lock of the project, so no other one works beside it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from ppp.model.errors import InstallToolError
from ppp.model.printable import printable_reason
from ppp.project_env.interpreter import environment_python
from ppp.project_env.locked import LockedWheel

UV: Final = "uv"
PIP: Final = "pip"
#: What a program is given to end in order before it is killed.
_GRACE_S: Final = 5
#: Settings of uv that do not change what is installed.
_KEPT_UV_SETTINGS: Final = frozenset({"UV_CACHE_DIR", "UV_LINK_MODE", "UV_PYTHON_INSTALL_DIR"})
_OUTPUT_LINES: Final = 3


class EnvironmentInstaller(Protocol):
    """A tool that changes environments; all raise `InstallToolError`."""

    name: str

    def create(self, environment: Path, python: str) -> None:
        """Make an environment with nothing in it in a folder that exists."""

    def install(self, environment: Path, wheels: Mapping[LockedWheel, Path]) -> None:
        """Install these files, none of which is installed in another version."""

    def remove(self, environment: Path, names: Sequence[str]) -> None:
        """Remove distributions."""


class ToolRunner:
    """Runs a tool's commands: a failure is an `InstallToolError` with the last lines that it printed."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], *, keep_open: int) -> None:
        """Start `command` with more arguments; it inherits the descriptor `keep_open`."""
        self.name = name
        self._command = command
        self._environ = environ
        self._keep_open = keep_open

    def __call__(self, *arguments: str | Path) -> None:
        """Run it to its end; end it if this process is interrupted."""
        try:
            process = subprocess.Popen(
                [*self._command, *arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(self._keep_open,),
                # A terminal's Ctrl-C reaches this process alone.
                start_new_session=True,
            )
        except OSError as error:
            raise InstallToolError(f"{self.name} does not start: {error}", hint="see docs/environments.md") from error
        with process:
            try:
                output, _ = process.communicate()
            except BaseException:
                _end(process)
                raise
        if process.returncode:
            lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()][-_OUTPUT_LINES:]
            reason = printable_reason(" | ".join(lines)) or f"exit code {process.returncode}"
            raise InstallToolError(f"{self.name} failed: {reason}", hint="run it again, or with another --tool")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


class UvInstaller:
    """uv, which keeps unpacked wheels of its own: so it is given each wheel by the path that it always has."""

    name = UV

    def __init__(self, program: str, environ: Mapping[str, str], *, keep_open: int) -> None:
        """Use a program."""
        kept = {key: value for key, value in environ.items() if not key.startswith("UV_") or key in _KEPT_UV_SETTINGS}
        self._run = ToolRunner(UV, [program], {**kept, "NO_COLOR": "1"}, keep_open=keep_open)

    def create(self, environment: Path, python: str) -> None:
        """See `EnvironmentInstaller`."""
        options = ("--quiet", "--no-config", "--offline", "--allow-existing", "--no-python-downloads")
        self._run("venv", *options, "--python", python, environment)

    def install(self, environment: Path, wheels: Mapping[LockedWheel, Path]) -> None:
        """See `EnvironmentInstaller`."""
        with _work_folder(environment) as work:
            requirements = _write_requirements(work, wheels, sorted({str(path.parent) for path in wheels.values()}))
            options = ("--quiet", "--no-config", "--offline", "--no-index", "--no-deps", "--require-hashes")
            where = ("--python", environment_python(environment))
            self._run("pip", "install", *options, *where, "--requirements", requirements)

    def remove(self, environment: Path, names: Sequence[str]) -> None:
        """See `EnvironmentInstaller`."""
        self._run(
            "pip", "uninstall", "--quiet", "--no-config", "--python", environment_python(environment), "--", *names
        )


class PipInstaller:
    """pip, which need not be in the environment: it is run by another Python."""

    name = PIP

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, keep_open: int) -> None:
        """Use a command."""
        kept = {key: value for key, value in environ.items() if not key.startswith("PIP_")}
        self._run = ToolRunner(PIP, command, kept, keep_open=keep_open)
        self._venv = ToolRunner("venv", [], kept, keep_open=keep_open)

    def create(self, environment: Path, python: str) -> None:
        """See `EnvironmentInstaller`."""
        self._venv(python, "-I", "-m", "venv", "--without-pip", environment)

    def install(self, environment: Path, wheels: Mapping[LockedWheel, Path]) -> None:
        """See `EnvironmentInstaller`."""
        with _work_folder(environment) as work:
            # In one folder, as pip looks through each of them for each name.
            for path in wheels.values():
                (work / path.name).symlink_to(path.absolute())
            requirements = _write_requirements(work, wheels, [str(work)])
            options = ("--quiet", "--isolated", "--disable-pip-version-check", "--no-input", "--no-cache-dir")
            sources = ("--no-index", "--no-deps", "--require-hashes", "--requirement", requirements)
            self._run("--python", environment_python(environment), "install", *options, *sources)

    def remove(self, environment: Path, names: Sequence[str]) -> None:
        """See `EnvironmentInstaller`."""
        options = ("--quiet", "--isolated", "--disable-pip-version-check", "--yes")
        self._run("--python", environment_python(environment), "uninstall", *options, "--", *names)


@contextmanager
def _work_folder(environment: Path) -> Iterator[Path]:
    """Create a folder in the environment: if this process is killed, it is removed with that."""
    folder = environment / "ppp-install"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_requirements(work: Path, wheels: Iterable[LockedWheel], folders: Sequence[str]) -> Path:
    """Write a requirements file that names exactly these files, which are in these folders."""
    lines = [f"--find-links {Path(folder).absolute().as_uri()}" for folder in folders]
    lines += [f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}" for wheel in wheels]
    path = work / "requirements.txt"
    path.write_text("\n".join([*lines, ""]), "utf-8")
    return path


def find_uv(environ: Mapping[str, str]) -> str | None:
    """Return the path of uv: beside the Python that runs PPP, or on the `PATH`; None if there is none."""
    beside = Path(sys.executable).parent / UV
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(UV, path=environ.get("PATH"))


def find_pip(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of pip: that of the Python that runs PPP, or on the `PATH`; None if there is none."""
    beside = Path(sys.executable).parent / PIP
    if os.access(beside, os.X_OK):
        return [str(beside)]
    found = shutil.which(PIP, path=environ.get("PATH"))
    return [found] if found else None


def make_installer(tool: str | None, environ: Mapping[str, str], *, keep_open: int) -> UvInstaller | PipInstaller:
    """Return the tool that is named, or the first of uv and pip that there is; raise `InstallToolError`."""
    if tool in {None, UV} and (program := find_uv(environ)):
        return UvInstaller(program, environ, keep_open=keep_open)
    if tool in {None, PIP} and (command := find_pip(environ)):
        return PipInstaller(command, environ, keep_open=keep_open)
    raise InstallToolError(f"there is no {tool or 'uv and no pip'}", hint="install uv, or pip")
