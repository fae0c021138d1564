"""Run a command that ends with the process that began it: `python -m ppp.runner.bound_child PARENT COMMAND…`.

A parent that is killed cannot end its children. So the kernel is asked to send SIGTERM to the command when its parent
is gone, at which it ends in order. Linux only, as all of PPP.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Final

PR_SET_PDEATHSIG: Final = 1


def command_of(parent: int, command: Sequence[str]) -> list[str]:
    """Return the command line that runs `command` for as long as the process `parent` lives."""
    return [sys.executable, "-m", "ppp.runner.bound_child", str(parent), *command]


def main(arguments: Sequence[str]) -> None:
    """Replace this process by the command; end with 143, as after SIGTERM, if the parent is gone already."""
    parent, *command = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM), *[ctypes.c_ulong(0)] * 3)
    # It may have gone before the kernel was asked.
    if os.getppid() != int(parent):
        sys.exit(128 + signal.SIGTERM)
    os.execv(command[0], command)  # noqa: S606 - our own command line, of a list


if __name__ == "__main__":
    main(sys.argv[1:])
