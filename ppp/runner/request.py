"""What a run is asked to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppp.model.matrix import Environment, Matrix
from ppp.model.release import RequestedPackage


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a run's releases come from. What somebody named stands alone; else it is the feed and the watchlist."""

    named: tuple[RequestedPackage, ...] = ()
    requirements: Path | None = None
    feed: bool = True
    watchlist: Path | None = None

    @property
    def are_explicit(self) -> bool:
        """Somebody named what it is about."""
        return bool(self.named or self.requirements)

    @property
    def reads_feed(self) -> bool:
        """The feed is read."""
        return self.feed and not self.are_explicit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run is asked to do: where, on what, with how many workers and minutes, and whether settled cells again.

    `aa` cells are looked at twice to know our own noise; the same `seed` chooses the same among the same.
    """

    matrix: Matrix
    environments: Sequence[Environment]
    sources: Sources
    jobs: int
    minutes: float | None = None
    recheck: bool = False
    aa_cells: int = 0
    seed: int = 0
