"""What the keeper asks of the system about processes."""

import contextlib
import ctypes
import os
import struct
import sys
import traceback

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 4, 24, 36, 38
#: Where the kernel counts the processes of a container that it ended for want of memory, by version of cgroups.
OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


@contextlib.contextmanager
def leaving(exit_code):
    """Never come back into the keeper's own code: for what was forked."""
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


def prctl(option, value):
    """Ask the kernel for something about this process; that it may refuse is no matter."""
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3)


def drop_capabilities():
    """Give up what is left of root's powers, what could be inherited too."""
    version_3 = struct.pack("Ii", 0x20080522, 0)
    ctypes.CDLL(None).capset(version_3, bytes(24))


def reap():
    """Give the status of every child that has ended."""
    ended = {}
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def state_and_parent(pid):
    """Give a process's state letter and its parent; None where it is gone."""
    try:
        with open("/proc/%s/stat" % pid, "rb") as file:
            state, parent = file.read().rpartition(b")")[2].split()[:2]
    except OSError:
        return None
    return state.decode(), int(parent)


def stemming_from(process):
    """Give the processes that stem from one, zombies aside; from the first of a namespace stem all there are."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (told := state_and_parent(name)) and told[0] not in "ZX":
            parents[int(name)] = told[1]
    if process == 1:
        return parents.keys() - {1}
    found = {process}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process}


def oom_kills():
    """Give the kernel's count."""
    for path in OOM_COUNTERS:
        with contextlib.suppress(OSError), open(path) as file:
            for line in file:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
