"""Run a model in a process of its own, within limits, and survive whatever becomes of it.

llama.cpp crashes on some input, a large model needs more memory or time than there is, and a file may be anything. All
of that is one failure with a reason, within the limits of time, memory and output.
"""

import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from ppp.machine_memory import machine_memory
from ppp.model.model_options import MIB, ModelOptions, memory_problem
from ppp.narrate.limited_process import FinishedProcess, ProcessLimits, run_limited
from ppp.narrate.model import ChoiceRequest, ModelFailedError

#: A reply is a script of a few thousand words.
MAX_REPLY_BYTES: Final = 1 * MIB
#: How much of a process's own words a reason shows, in characters.
MAX_SHOWN: Final = 200
COMMAND: Final = (sys.executable, "-m", "ppp.narrate.llama")
#: What programs write to standard error when they get no memory.
_NO_MEMORY: Final = (b"MemoryError", b"bad_alloc", b"Cannot allocate memory", b"failed to allocate")


class SubprocessChooser:
    """Runs the model in a separate process, and survives its failures."""

    def __init__(
        self,
        options: ModelOptions | None = None,
        *,
        command: Sequence[str] = COMMAND,
        available_bytes: Callable[[], int] = lambda: machine_memory()[1],
    ) -> None:
        """Keep the options, the command that replies, and a function that returns the memory available, in bytes."""
        self._options = options or ModelOptions()
        self._command = tuple(command)
        self._available_bytes = available_bytes

    def choose(self, request: ChoiceRequest) -> tuple[str, ...]:
        """Return the sentences of a script; raise `ModelFailedError` if that fails."""
        memory_mib = self._options.memory_limit(self._available_bytes())
        path = Path(request.model)
        if problem := memory_problem(path.stat().st_size if path.is_file() else 0, memory_mib):
            raise ModelFailedError(problem)
        limits = ProcessLimits(
            seconds=self._options.seconds, memory_bytes=memory_mib * MIB, output_bytes=MAX_REPLY_BYTES
        )
        try:
            done = run_limited(self._command, json.dumps(request.to_json()).encode(), limits)
        except OSError as error:
            raise ModelFailedError(f"its process could not be started: {error.strerror}") from error
        if problem := failure_of(done, limits):
            raise ModelFailedError(problem)
        return read_reply(done.stdout)


def failure_of(done: FinishedProcess, limits: ProcessLimits) -> str:
    """Return why a process has no usable reply; empty if it may have one."""
    if done.status is None:
        return f"it did not finish within {limits.seconds:g} s (PPP_MODEL_SECONDS)"
    # A process that was kept from writing more ends in a way of its own.
    if max(len(done.stdout), len(done.stderr)) >= limits.output_bytes:
        return f"it wrote more than {limits.output_bytes:,} bytes"
    if done.status and any(words in done.stderr for words in _NO_MEMORY):
        return f"it needed more than {limits.memory_bytes // MIB:,} MiB of memory (PPP_MODEL_MEMORY_MIB)"
    if done.status < 0:
        return f"its process was killed by signal {-done.status} ({signal.strsignal(-done.status) or 'unknown'})"
    if done.status:
        return f"its process ended with status {done.status}: {_last_line(done.stderr) or 'no message'}"
    return ""


def _last_line(stderr: bytes) -> str:
    return _shown((stderr.decode("ascii", "replace").strip().splitlines() or [""])[-1])


def _shown(text: str) -> str:
    # The reason is stored and published, and who knows what a crashing process says.
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:MAX_SHOWN])


def read_reply(stdout: bytes) -> tuple[str, ...]:
    """Return the texts of a reply; raise `ModelFailedError` if it has none, with the failure that it names."""
    try:
        match json.loads(stdout):
            case {"texts": list(texts)} if all(isinstance(text, str) for text in texts):
                return tuple(texts)
            case {"failure": str(failure)}:
                raise ModelFailedError(_shown(failure) or "it failed without a reason")
    # Python's parser also gives up on what is nested too deeply.
    except (ValueError, RecursionError) as error:
        raise ModelFailedError("its reply is not JSON") from error
    raise ModelFailedError("its reply has neither texts nor a failure")
