"""Decide which cells to queue, without I/O.

A cell for which this node has a result is not checked again unless a re-check is requested. Untrusted releases (those
of the open feed, which anybody may have uploaded minutes ago) run on this machine's own Pythons only in a sandbox.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ppp.model.matrix import Cell, Environment, Platform
from ppp.model.queue_policy import TRUSTED_SOURCES
from ppp.model.release import Release

UNSANDBOXED: Final = "releases of the open feed are not run on the host platform without a sandbox"


class ReleaseSource(StrEnum):
    """Where a release was found, or what makes a cell be checked again."""

    NAMED = "named"
    REQUIREMENTS = "requirements"
    WATCHLIST = "watchlist"
    FEED = "feed"
    JOURNAL = "journal"
    LATE_FILE = "late-file"
    WITHDRAWAL = "withdrawal"
    DEPENDENCY = "dependency"
    IMAGE = "image"
    PIP = "pip"

    @property
    def is_trusted(self) -> bool:
        """Whether a person of this node asked for it; anybody may have uploaded the others minutes ago."""
        return self.value in TRUSTED_SOURCES


class SkipReason(StrEnum):
    """Why a release that was named is not tested."""

    UNSANDBOXED = "unsandboxed"
    MARKER = "marker"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedRelease:
    """A release that is not checked in an environment (`""` for none of those requested), and the reason."""

    release: Release
    environment: str
    reason: SkipReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlan:
    """The cells to queue, the `settled` ones that have a result, and what is skipped: together, all requested cells."""

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
    """Decide for each release and environment whether it is queued; the cells of a release stay together, in order.

    `settled` are the cells for which this node has a result; they are queued only if `recheck`. `sandboxed` says
    whether the host platform can run a cell in a sandbox.
    """
    unsafe = [e for e in environments if _is_unsafe(e, source=source, sandboxed=sandboxed)]
    # One note for the release if no environment remains, instead of one for each environment.
    skipped_in = [""] if unsafe and len(unsafe) == len(environments) else [e.id for e in unsafe]
    allowed = [e.id for e in environments if e not in unsafe]
    cells: list[Cell] = []
    unchanged: list[Cell] = []
    skipped: list[SkippedRelease] = []
    # Without duplicates, and in the order of the request.
    for release in dict.fromkeys(releases):
        skipped += (
            SkippedRelease(release=release, environment=id_, reason=SkipReason.UNSANDBOXED, detail=UNSANDBOXED)
            for id_ in skipped_in
        )
        for environment in allowed:
            cell = Cell(release=release, environment=environment)
            (unchanged if cell in settled and not recheck else cells).append(cell)
    return QueuePlan(cells=tuple(cells), settled=tuple(unchanged), skipped=tuple(skipped))


def _is_unsafe(environment: Environment, *, source: ReleaseSource, sandboxed: bool) -> bool:
    return not source.is_trusted and environment.platform is Platform.HOST and not sandboxed
