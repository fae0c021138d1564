"""Run a speech program or ffmpeg: with a list of arguments, within limits, and nothing of our environment but the path.

No text of an episode is ever an argument.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ppp.model.errors import PPPError
from ppp.model.printable import printable_reason
from ppp.narrate.limited_process import ProcessLimits, run_limited

#: How much is read of what a program says about itself, in bytes.
MAX_MESSAGES: Final = 64 * 1024
_DEFAULT_PATH: Final = "/usr/local/bin:/usr/bin:/bin"


class RenderFailedError(PPPError):
    """A program that renders an episode's sound failed; the episode has no new audio."""

    exit_code = 85


class Programs:
    """The programs that this machine has."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Look for programs where this environment says."""
        self._path = environ.get("PATH") or _DEFAULT_PATH

    def find(self, name: str) -> str | None:
        """Return the path of a program; None where this machine does not have it."""
        return shutil.which(name, path=self._path)

    def run(self, command: Sequence[str], limits: ProcessLimits) -> str:
        """Run a command, and return what it printed; raise `RenderFailedError` if it fails in any way."""
        program = Path(command[0]).name
        environ = {"PATH": self._path, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
        try:
            done = run_limited(command, b"", limits, environ=environ)
        except OSError as error:
            raise _failed(f"{program} could not be run: {error.strerror}") from error
        said = (done.stdout + done.stderr)[:MAX_MESSAGES].decode("utf-8", "replace")
        if done.status is None:
            raise _failed(f"{program} did not end within {limits.seconds:g} s")
        if done.status:
            raise _failed(f"{program} ended with {done.status}: {printable_reason(said[-300:].strip(), 300)}")
        return said


def _failed(reason: str) -> RenderFailedError:
    return RenderFailedError(
        f"the sound could not be rendered: {reason}",
        hint="run `ppp render` again, which goes on where it stopped; without audio, an episode is published as text",
    )
