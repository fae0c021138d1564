"""The users that cells run as where PPP may choose: numbers, and what `/etc/passwd` and `/etc/group` say inside.

The kernel counts much by user for the whole machine: processes, inotify instances, pending signals, message queues,
pipes. Each cell is a user of its own, so that none can use up what another needs, in this process or in another one of
PPP.
"""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Nobody else has numbers from here on; the highest one used is still a positive number of 32 bits with a sign.
FIRST_USER: Final = 1_000_000_000
#: The highest process id of Linux has 22 bits. With the cells of one process, numbers then take 30.
CELLS_PER_PROCESS: Final = 256
#: Where an engine maps only some numbers to users of this machine (65,536, as a rule), cells have those from here on.
FIRST_MAPPED_USER: Final = 1_000
#: The first number that is no user's in any namespace: one less is what C libraries take for an error.
END_OF_USERS: Final = 2**32 - 1
NOBODY: Final = "65534"
_cells: Final[Iterator[int]] = itertools.count()


def next_user(end: int = END_OF_USERS) -> int:
    """Return a number below `end` that none of the last 255 cells of this process has, nor any of another process.

    Where there are too few numbers below `end` for all processes, only the former is certain. Raise `ValueError` if
    there are too few even for one process.
    """
    number = os.getpid() * CELLS_PER_PROCESS + next(_cells) % CELLS_PER_PROCESS
    if FIRST_USER + number < end:
        return FIRST_USER + number
    available = (end - FIRST_MAPPED_USER) // CELLS_PER_PROCESS * CELLS_PER_PROCESS
    if available <= 0:
        raise ValueError(f"only {end} users can exist here, which are too few for cells")
    return FIRST_MAPPED_USER + number % available


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """The contents of `/etc/passwd` and `/etc/group`."""

    passwd: str
    group: str

    def with_nobody(self, user: int) -> "Accounts":
        """Return accounts in which nobody, who is added if missing, has the number `user`, and so has its group."""
        return Accounts(
            passwd=_renumbered(self.passwd, user, places=(2, 3), missing=f"nobody:x:{user}:{user}::/:/bin/false"),
            group=_renumbered(self.group, user, places=(2,), missing=f"nogroup:x:{user}:"),
        )

    def write(self, folder: Path) -> None:
        """Write them as files `passwd` and `group` that everybody may read."""
        for name, text in (("passwd", self.passwd), ("group", self.group)):
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o644)


def _renumbered(text: str, user: int, *, places: tuple[int, ...], missing: str) -> str:
    lines, found = [], False
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) > max(places) and fields[2] == NOBODY:
            found = True
            for place in places:
                fields[place] = str(user) if fields[place] == NOBODY else fields[place]
        lines.append(":".join(fields))
    return "".join(f"{line}\n" for line in (lines if found else [*lines, missing]))
