"""Whether this machine's clock can be used: nodes compare the times of records, which decide what is current.

The package index is the one other clock that every run talks to anyway. It does not have to be exact; a minute is more
than networks and caches cost, and less than what would matter.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from ppp.check.index.choose import IndexFile
from ppp.model.errors import ClockError, IndexUnreachableError, UnknownPackageError

#: How far, in seconds, this machine's clock may be from the index's.
MAX_SKEW_S: Final = 60


class DatedIndex(Protocol):
    """What the check needs of an index."""

    #: The index's clock at its last answer, in epoch seconds; None if it sent no date.
    server_time: int | None

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return the files of a package."""


def check_clock(index: DatedIndex, *, clock: Callable[[], float]) -> None:
    """Raise `ClockError` if this machine's clock is more than `MAX_SKEW_S` from the index's.

    An index that does not answer, or sends no date, is nothing to compare with: `ppp doctor` says so.
    """
    try:
        # Every run needs this page; it is requested once.
        index.files("pip")
    except UnknownPackageError:
        pass
    except IndexUnreachableError:
        return
    ours, theirs = int(clock()), index.server_time
    if theirs is not None and abs(ours - theirs) > MAX_SKEW_S:
        raise ClockError(
            f"this machine's clock says {_format(ours)}, the index's {_format(theirs)}: {abs(ours - theirs)} seconds"
            f" apart, of which {MAX_SKEW_S} are allowed",
            hint="set the clock (`sudo timedatectl set-ntp true`), then run the same command again",
        )


def _format(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
