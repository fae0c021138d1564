"""Run a command on a terminal of its own, and type into it: what it draws is read as a person's terminal gets it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CTRL_C: Final = b"\x03"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
_ROWS: Final = 24
_TIMEOUT_S: Final = 60
#: Makes the terminal on standard input the controlling one, so that Ctrl-C is a signal, and becomes the command.
_BECOME: Final = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """What is typed once `when` is true of all that the command has printed."""

    when: Callable[[str], bool]
    keys: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSession:
    """A command that has ended: its exit code, negative for a signal, and all that the terminal got."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        """What was drawn, also what was erased again, without colours."""
        drawn = _CONTROL.sub("", self.output).replace("\r\n", "\n").replace("\r", "\n")
        return [line.rstrip() for line in drawn.split("\n") if line.strip()]


def run_on_terminal(
    command: Sequence[str | Path], environ: Mapping[str, str], *, columns: int, typed: Sequence[Typed] = ()
) -> TerminalSession:
    """Run a command to its end on a terminal of so many columns; fail if that takes longer than a minute."""
    with ExitStack() as stack:
        ours, its = pty.openpty()
        stack.callback(os.close, ours)
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, columns, 0, 0))
        become = [sys.executable, "-I", "-c", _BECOME, *map(str, command)]
        process = stack.enter_context(
            subprocess.Popen(become, env={**environ, "TERM": "xterm-256color"}, stdin=its, stdout=its, stderr=its)
        )
        stack.callback(process.kill)
        os.close(its)
        output = _converse(ours, typed)
        return TerminalSession(code=process.wait(_TIMEOUT_S), output=output)


def _converse(terminal: int, typed: Sequence[Typed]) -> str:
    """Type what is to be typed, and return what was printed until the last process on the terminal has closed it."""
    waiting, output = [*typed], b""
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        assert time.monotonic() < deadline, output
        if waiting and waiting[0].when(output.decode(errors="replace")):
            os.write(terminal, waiting.pop(0).keys)
        if not select.select([terminal], [], [], 0.01)[0]:
            continue
        try:
            output += os.read(terminal, 65_536)
        except OSError:
            return output.decode()
