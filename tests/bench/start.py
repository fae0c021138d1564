"""Measure what it takes to start a command: `nox -s bench -- start`.

Processor time, in multiples of a start of Python with click: that ratio hardly depends on the machine. The version and
the list of commands must take at most `MAX_RATIO` of it, as they import no command. What sqlite-utils imports where it
is installed (numpy) counts too, although a node does not have it.
"""

import os
import subprocess
import sys
from statistics import median

COMMANDS = ("--version", "--help", "show --help", "ask --help", "queue --help", "publish --help", "run --help")
RUNS = 7
MAX_RATIO = 2.0


def start(*words: str) -> float:
    """Return the median processor time of a program of this Python, in seconds."""
    seconds = []
    for _ in range(RUNS):
        before = os.times()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return median(seconds)


def main() -> int:
    """Print the figures; return 1 if a start that imports no command takes too long."""
    bare = start("-c", "import click")
    print(f"{'python with click':20} {bare * 1000:6.0f} ms")
    ratios = {}
    for command in COMMANDS:
        seconds = start("-m", "ppp", *command.split())
        ratios[command] = seconds / bare
        print(f"{'ppp ' + command:20} {seconds * 1000:6.0f} ms, {ratios[command]:5.1f} times as much")
    slow = [command for command in ("--version", "--help") if ratios[command] > MAX_RATIO]
    if slow:
        print(f"more than {MAX_RATIO} times as much: {', '.join(slow)}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
