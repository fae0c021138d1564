"""What the keeper asks of the kernel about processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
import traceback
from collections.abc import Iterator

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG = 1, 2
PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 22, 24, 36, 38
SECCOMP_MODE_FILTER = 2
#: Where the kernel counts the processes of a container that it killed for want of memory: cgroups 2, then 1.
OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


@contextlib.contextmanager
def exiting(exit_code: int) -> Iterator[None]:
    """End this process at the end of the block, whatever happens in it: a fork never returns into the keeper's code.

    A `SystemExit` gives the exit status, as it would at the top of a program; else it is `exit_code`.
    """
    try:
        yield
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(exit_code)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process, as the system call of this name does; ignore a refusal."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


def parent_death_signal() -> int:
    """Return the number of the signal that the kernel sends to this process when its parent ends; 0 for none."""
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number))
    return number.value


def install_call_filter(program: bytes) -> None:
    """Have the kernel apply a filter of system calls to this process and all that it starts, for good.

    `program` holds instructions of classic BPF, of 8 bytes each. Raise `OSError` if the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    instructions = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("HP", len(program) // 8, ctypes.addressof(instructions))
    if libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), described, *[ctypes.c_ulong(0)] * 2) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def drop_capabilities() -> None:
    """Drop all capabilities, those that could be inherited too."""
    version_3 = struct.pack("Ii", 0x20080522, 0)
    ctypes.CDLL(None).capset(version_3, bytes(24))


def reap() -> dict[int, int]:
    """Return the wait status of every child that has ended, by its pid."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def state_and_parent(pid: int | str) -> tuple[str, int] | None:
    """Return a process's state letter and its parent's pid; None where the process is gone.

    The letter is that of the first thread. If that has ended and others have not, it is `R` all the same: the process
    runs, and holds its files and sockets.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    state, parent, threads = fields[0].decode(), int(fields[1]), int(fields[17])
    return "R" if state in "ZX" and threads > 1 else state, parent


def descendants_of(process: int) -> set[int]:
    """Return the pids of a process's descendants, zombies aside; of the first in a namespace, all others in it."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (known := state_and_parent(name)) and known[0] not in "ZX":
            parents[int(name)] = known[1]
    if process == 1:
        return parents.keys() - {1}
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def count_oom_kills() -> int:
    """Return how many processes of this container the kernel has killed for want of memory so far."""
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError), open(path) as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
