"""What a run is requested to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ppp.model.matrix import Environment, Matrix
from ppp.model.release import RequestedPackage
from ppp.watch.shares import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a run's releases come from: packages that are named and requirements files, or else feed and watchlist."""

    named: tuple[RequestedPackage, ...] = ()
    requirements: tuple[Path, ...] = ()
    feed: bool = True
    watchlist: Path | None = None

    @property
    def are_explicit(self) -> bool:
        """Whether the run is about named packages only."""
        return bool(self.named or self.requirements)

    @property
    def reads_feed(self) -> bool:
        """Whether the feed is read."""
        return self.feed and not self.are_explicit


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a run is requested to do, with how many jobs at a time, within how many minutes, and how many cells at most.

    `recheck` checks cells again that this node has a result for. `aa_cells` cells are checked twice to measure
    flakiness; the same `seed` chooses the same of the same cells. Of what nobody asked for, only the cells of `shard`
    are checked; the others stay queued. With `snapshot`, what is published has a snapshot of the newest day.
    """

    matrix: Matrix
    environments: Sequence[Environment]
    sources: Sources
    jobs: int
    minutes: float | None = None
    cells: int | None = None
    recheck: bool = False
    aa_cells: int = 0
    seed: int = 0
    shard: Share | None = None
    snapshot: bool = False
