"""Numbers of the users that cells run as where root runs PPP.

The kernel counts much by user for the whole machine: processes, inotify instances, pending signals, keys. Each cell is
a user of its own, so that none can use up what another needs, in this process or in another one of PPP.
"""

import itertools
import os
from collections.abc import Iterator
from typing import Final

#: Nobody else has numbers from here on; the highest one used is still a positive number of 32 bits with a sign.
FIRST_USER: Final = 1_000_000_000
#: The highest process id of Linux has 22 bits. With the cells of one process, numbers then take 30.
CELLS_PER_PROCESS: Final = 256
_cells: Final[Iterator[int]] = itertools.count()


def next_user() -> int:
    """Return a number that none of the last 255 cells of this process has, nor any cell of another process."""
    return FIRST_USER + os.getpid() * CELLS_PER_PROCESS + next(_cells) % CELLS_PER_PROCESS
