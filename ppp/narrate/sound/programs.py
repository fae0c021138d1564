"""Run a speech program or ffmpeg: with a list of arguments, in a folder of its own, bounded in time, memory and output.

No text of an episode is ever an argument. A program sees nothing of this process's environment but the path.
"""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.model.errors import PPPError
from ppp.model.printable import printable_reason

#: How much is read of what a program says about itself, in bytes.
MAX_MESSAGES: Final = 64 * 1024
_MESSAGES: Final = ".messages"
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class RenderFailedError(PPPError):
    """A program that renders an episode's sound failed; the episode has no new audio."""

    exit_code = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramLimits:
    """How long a program may run, in seconds of wall clock; its memory, and each file that it writes, in bytes."""

    seconds: float
    memory: int
    file_bytes: int


class Programs:
    """The programs that this machine has."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Look for programs where this environment says."""
        self._path = environ.get("PATH") or _DEFAULT_PATH

    def find(self, name: str) -> str | None:
        """Return the path of a program; None where this machine does not have it."""
        return shutil.which(name, path=self._path)

    def run(self, command: Sequence[str], folder: Path, limits: ProgramLimits) -> str:
        """Run a command in a folder, and return what it printed; raise `RenderFailedError` if it fails in any way."""
        program = Path(command[0]).name
        messages = folder / _MESSAGES
        try:
            with messages.open("wb") as output:
                status = self._wait(command, folder, limits, output.fileno())
            said = messages.read_bytes()[:MAX_MESSAGES].decode("utf-8", "replace")
        except subprocess.TimeoutExpired as error:
            raise _failed(f"{program} did not end within {limits.seconds:g} s") from error
        except OSError as error:
            raise _failed(f"{program} could not be run: {error.strerror}") from error
        if status:
            raise _failed(f"{program} ended with {status}: {printable_reason(said[-300:].strip(), 300)}")
        return said

    def _wait(self, command: Sequence[str], folder: Path, limits: ProgramLimits, output: int) -> int:
        environ = {"PATH": self._path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        with subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process:
            try:
                _limit(process.pid, limits)
                return process.wait(timeout=limits.seconds)
            finally:
                with suppress(ProcessLookupError):
                    # What it started too: it is alone in its session.
                    os.killpg(process.pid, signal.SIGKILL)


def _limit(pid: int, limits: ProgramLimits) -> None:
    # Not before it begins: what is run between fork and exec may not use threads, and rendering does.
    bounds = (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_CPU, int(limits.seconds * (os.cpu_count() or 1)) + 1),
        (resource.RLIMIT_CORE, 0),
    )
    with suppress(ProcessLookupError):
        for kind, most in bounds:
            resource.prlimit(pid, kind, (most, most))


def _failed(reason: str) -> RenderFailedError:
    return RenderFailedError(
        f"the sound could not be rendered: {reason}",
        hint="run `ppp render` again, which goes on where it stopped; without audio, an episode is published as text",
    )
