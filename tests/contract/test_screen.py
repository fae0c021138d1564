"""The seccomp filter in the kernel: each system call by itself, with the filter and without."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from typing import Final

import pytest

from ppp.check.sandbox import bubblewrap, seccomp

#: Makes calls, given as `[[name, number, argument, …], …]`, and prints the error number of each, 0 for none.
CALLS: Final = """
import ctypes, json, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
errors = {}
for name, *numbers in json.loads(sys.argv[1]):
    ctypes.set_errno(0)
    result = libc.syscall(*map(ctypes.c_long, numbers))
    errors[name] = ctypes.get_errno() if result == -1 else 0
began = []
thread = threading.Thread(target=began.append, args=[1])
thread.start()
thread.join()
errors["a thread"] = began
errors["a process"] = os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]
print(json.dumps(errors))
"""
EPERM, ENOSYS = 1, 38
NEW_USER, NEW_NAMESPACE, SIGCHLD = 0x10000000, 0x20000, 17


def call_errors(*, filtered: bool) -> dict[str, object]:
    """Make each call that the filter knows, inside bubblewrap; none of them does harm where it is allowed."""
    machine = seccomp.this_architecture()
    # Without meaningful arguments: an allowed call fails with another error, or does nothing.
    harmless = {n: no for n, no in machine.denied.items() if n not in {"reboot", "acct", "swapoff", "unshare"}}
    calls = [
        *([name, number, -1, -1, -1, -1, -1] for name, number in harmless.items()),
        *([name, number, 0, 0] for name, number in machine.missing.items()),
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
                # As in an ordinary user's cell, which may create namespaces.
                "--unshare-user",
                *("--cap-drop", "ALL"),
                *("--ro-bind", "/", "/", "--proc", "/proc"),
                *(("--seccomp", str(screen)) if filtered else ()),
                *(sys.executable, "-I", "-c", CALLS, json.dumps(calls)),
            ],
            capture_output=True,
            check=True,
            pass_fds=(screen,),
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
    errors: dict[str, object] = json.loads(done.stdout)
    return errors


@pytest.mark.attack("only-gateway")
@pytest.mark.sandbox
def test_the_filter_denies_the_calls() -> None:
    errors = call_errors(filtered=True)
    assert {errors.pop(name) for name in seccomp.this_architecture().missing} == {ENOSYS}
    assert (errors.pop("a thread"), errors.pop("a process")) == ([1], 0)
    assert len(errors) > 40
    assert {name: error for name, error in errors.items() if error != EPERM} == {}


@pytest.mark.sandbox
def test_without_the_filter_a_cell_could_create_namespaces() -> None:
    errors = call_errors(filtered=False)
    assert errors["unshare"] == 0
    assert errors["clone3"] != ENOSYS
    assert errors["ptrace"] != EPERM
