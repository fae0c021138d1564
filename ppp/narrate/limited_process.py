"""Run a program within limits of time, memory and output.

`python limited_process.py PARENT CPU_SECONDS MEMORY_BYTES OUTPUT_BYTES COMMAND…` is a small process that limits itself
and then becomes the program, which so never runs without limits, ends with its parent, and is the first to be ended
where the machine's memory runs out. It writes to files without a name, not to pipes: what it writes is bounded by the
kernel, and nothing that it leaves behind keeps anybody waiting. As a program, this module runs by its path and imports
only the standard library. Linux only, as all of PPP.
"""

import ctypes
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

#: From Linux's <sys/prctl.h>.
PR_SET_PDEATHSIG: Final = 1
#: For how long a killed program is waited for, in seconds: one that reads from a dead disk does not end.
KILL_GRACE_S: Final = 10.0
#: What a program is told of our environment, by the beginning of the name: never a setting, a key or a password.
_PASSED_ON: Final = (
    "PATH",
    "HOME",
    "LANG",
    "LC_",
    "LD_LIBRARY_PATH",
    "TMPDIR",
    "VIRTUAL_ENV",
    "PYTHON",
    "OMP_",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """Limits of a program: seconds on the clock; bytes of memory that it writes to; bytes of each file or stream."""

    seconds: float
    memory_bytes: int
    output_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedProcess:
    """How a program ended: its status (negative for a signal, None if its time was over), and what it wrote."""

    status: int | None
    stdout: bytes
    stderr: bytes


def run_limited(
    command: Sequence[str], stdin: bytes, limits: ProcessLimits, *, environ: Mapping[str, str] = os.environ
) -> FinishedProcess:
    """Run a program with an input, and return how it ended; what it started in its process group ends with it.

    Raises `OSError` if it cannot be started: no program, no memory, no room for its input and output.
    """
    numbers = (limits.seconds * (os.cpu_count() or 1), limits.memory_bytes, limits.output_bytes)
    launch = (sys.executable, "-I", "-S", __file__, *(str(math.ceil(number)) for number in (os.getpid(), *numbers)))
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        passed_on = {name: value for name, value in environ.items() if name.startswith(_PASSED_ON)}
        process = subprocess.Popen(
            (*launch, *command), stdin=given, stdout=out, stderr=err, env=passed_on, start_new_session=True
        )
        try:
            status = _wait(process, limits.seconds)
        finally:
            _kill(process)
        return FinishedProcess(
            status=status, stdout=_read(out, limits.output_bytes), stderr=_read(err, limits.output_bytes)
        )


def _wait(process: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(seconds)
    return None


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _wait(process, KILL_GRACE_S)


def _read(file: IO[bytes], most: int) -> bytes:
    file.seek(0)
    return file.read(most)


# ---------------------------------------------------------------- inside the process


def main(arguments: Sequence[str]) -> None:
    """Set the limits of this process, and become the program; exit with 127 if there is none."""
    parent, cpu_s, memory_bytes, output_bytes = map(int, arguments[:4])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), *[ctypes.c_ulong(0)] * 3)
    # It may have gone before the kernel was asked.
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    # Of memory, only what is written to: a model's file is mapped, and the kernel can drop and read it again.
    wanted = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_FSIZE: output_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in wanted.items():
        hard = resource.getrlimit(limit)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lowest, lowest))
    try:
        os.execvp(arguments[4], list(arguments[4:]))  # noqa: S606 - our own command line, of a list
    except OSError as error:
        sys.exit(f"{arguments[4]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
