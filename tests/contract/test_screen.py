"""The filter of system calls as the kernel takes it: each call by itself, with the filter and without."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Final

import pytest

from ppp.check.sandbox import bubblewrap, seccomp

#: Makes calls as `[[name, number, argument, …], …]` and prints for each the error's number, 0 for none.
CALLS: Final = """
import ctypes, json, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
told = {}
for name, *numbers in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    result = libc.syscall(*map(ctypes.c_long, numbers))
    told[name] = ctypes.get_errno() if result == -1 else 0
began = []
thread = threading.Thread(target=began.append, args=[1])
thread.start()
thread.join()
told["a thread"] = began
told["a process"] = os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]
print(json.dumps(told))
"""
EPERM, ENOSYS = 1, 38
NEW_USER, NEW_NAMESPACE, SIGCHLD = 0x10000000, 0x20000, 17


def called(*, screened: bool) -> dict[str, object]:
    """Make each call that the filter knows, shut in by bubblewrap; none of them does harm where it is let through."""
    machine = seccomp.this_architecture()
    # Without arguments that mean anything: what is let through fails otherwise, or does nothing.
    harmless = {n: no for n, no in machine.denied.items() if n not in {"reboot", "acct", "swapoff", "unshare"}}
    calls = [
        *([name, number, -1, -1, -1, -1, -1] for name, number in harmless.items()),
        ["clone3", seccomp.CLONE3, 0, 0],
        ["clone", machine.clone, NEW_NAMESPACE | SIGCHLD, 0, 0, 0, 0],
        ["typing", machine.ioctl, 0, seccomp.TERMINAL_INPUT_REQUESTS[0], 0],
        ["unshare", machine.denied["unshare"], NEW_USER],
    ]
    with ExitStack() as stack:
        screen = stack.enter_context(seccomp.open_filter())
        done = subprocess.run(
            [
                bubblewrap.find_bubblewrap(os.environ),
                *bubblewrap.NAMESPACES,
                # As an ordinary user's cell: one that may make namespaces of its own.
                "--unshare-user",
                *("--cap-drop", "ALL"),
                *("--ro-bind", "/", "/", "--proc", "/proc"),
                *(("--seccomp", str(screen)) if screened else ()),
                *(sys.executable, "-I", "-c", CALLS, json.dumps(calls)),
            ],
            capture_output=True,
            check=True,
            pass_fds=(screen,),
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.sandbox
def test_the_kernel_holds_back_what_it_is_told_to() -> None:
    told = called(screened=True)
    assert (told.pop("clone3"), told.pop("a thread"), told.pop("a process")) == (ENOSYS, [1], 0)
    assert len(told) > 40
    assert {name: error for name, error in told.items() if error != EPERM} == {}


@pytest.mark.sandbox
def test_without_it_a_cell_could_make_namespaces() -> None:
    told = called(screened=False)
    assert told["unshare"] == 0
    assert told["clone3"] != ENOSYS
    assert told["ptrace"] != EPERM
