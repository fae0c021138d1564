"""Which cells to queue, decided from values alone.

A cell that this node has settled is not checked again unasked, and what strangers uploaded minutes ago runs on this
machine's own Pythons only inside a sandbox.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.release import Release

UNSANDBOXED: Final = "releases of the open feed are not run on the host platform without a sandbox"


class ReleaseSource(StrEnum):
    """Where a release was named."""

    FEED = "feed"
    WATCHLIST = "watchlist"
    REQUIREMENTS = "requirements"
    NAMED = "named"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRelease:
    """A release that is not checked in one environment, or in none of those asked for (`""`), and why."""

    release: Release
    environment: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """The cells to queue, those left alone because they are settled, and what is refused: together, all asked for."""

    cells: tuple[Cell, ...]
    settled: tuple[Cell, ...]
    skipped: tuple[SkippedRelease, ...]


def plan_cells(
    releases: Iterable[Release],
    environments: Sequence[Environment],
    *,
    settled: AbstractSet[Cell],
    recheck: bool,
    source: ReleaseSource,
    sandboxed: bool,
) -> QueuePlan:
    """Decide what becomes of each release in each environment; a release's cells stay side by side, in order.

    `settled` are the cells with a verdict of this node's own, checked anew only where `again`; `sandboxed` says
    whether the host platform can shut a cell in.
    """
    refused = [e for e in environments if _refuses(e, source=source, sandboxed=sandboxed)]
    places = [""] if refused and len(refused) == len(environments) else [e.id for e in refused]
    taking = [e.id for e in environments if e not in refused]
    cells: list[Cell] = []
    left: list[Cell] = []
    skipped: list[SkippedRelease] = []
    for release in dict.fromkeys(releases):
        skipped += (SkippedRelease(release=release, environment=place, reason=UNSANDBOXED) for place in places)
        for environment in taking:
            cell = Cell(release=release, environment=environment)
            (left if cell in settled and not recheck else cells).append(cell)
    return QueuePlan(cells=tuple(cells), settled=tuple(left), skipped=tuple(skipped))


def _refuses(environment: Environment, *, source: ReleaseSource, sandboxed: bool) -> bool:
    return source is ReleaseSource.FEED and environment.platform is Platform.HOST and not sandboxed
