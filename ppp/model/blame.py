"""Whose a failure is, once the sibling cells of its release have been heard: the reference for the view `judged`.

A log often cannot tell a package that is broken from an environment that lacks something. The other cells of the same
release can. What is judged is a pure function of current records, so nodes that hold the same records agree; the
records themselves keep the blame that was read from their logs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from ppp.model.matrix import EnvironmentId
from ppp.model.record import Blame, Result

#: Causes that say what happened, and not whose it is.
AMBIGUOUS_CAUSES: Final = frozenset(
    {"unclassified", "import-error", "crash", "exits", "build-backend", "module-missing"}
)
#: Results that say nothing of whether a release works in an environment that it claims.
_INCONCLUSIVE_RESULTS: Final = frozenset({Result.NA, Result.ERROR})


class BlamedCell(Protocol):
    """What is heard of a cell: a `Record`, or whatever tells of a result with the blame that was read from its log."""

    @property
    def environment(self) -> str:
        """Where."""

    @property
    def result(self) -> Result:
        """What it came to."""

    @property
    def cause(self) -> str | None:
        """Why, in a word."""

    @property
    def blame(self) -> Blame | None:
        """Whose it is, as far as its log tells."""


class BlameSource(StrEnum):
    """What a blame rests on."""

    LOG = "log"
    SIBLINGS = "siblings"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedBlame:
    """Whose a failure is, and what tells so; both None where there is nothing to blame."""

    blame: Blame | None
    source: BlameSource | None


def assign_blame(cells: Collection[BlamedCell]) -> Mapping[str, AssignedBlame]:
    """Judge the current cells of one release, by environment."""
    return {cell.environment: _assign(cell, cells) for cell in cells}


def _assign(cell: BlamedCell, cells: Collection[BlamedCell]) -> AssignedBlame:
    if _is_ambiguous(cell) and (blame := _by_siblings(cell, cells)):
        return AssignedBlame(blame=blame, source=BlameSource.SIBLINGS)
    return AssignedBlame(blame=cell.blame, source=None if cell.blame is None else BlameSource.LOG)


def _is_ambiguous(cell: BlamedCell) -> bool:
    # Where the log names a dependency, that is more than siblings know.
    return (
        cell.result is Result.FAIL
        and _cause(cell) in AMBIGUOUS_CAUSES
        and cell.blame in {None, Blame.PACKAGE, Blame.UNKNOWN}
    )


def _by_siblings(cell: BlamedCell, cells: Collection[BlamedCell]) -> Blame | None:
    own = EnvironmentId.parse(cell.environment)
    passing = [EnvironmentId.parse(other.environment) for other in cells if other.result is Result.PASS]
    if any(other.python == own.python and other.platform is not own.platform for other in passing):
        return Blame.ENVIRONMENT
    if any(other.python != own.python and other.platform is own.platform for other in passing):
        return Blame.PACKAGE
    claimed = [other for other in cells if other.result not in _INCONCLUSIVE_RESULTS]
    alike = all(_is_ambiguous(other) and _cause(other) == _cause(cell) for other in claimed)
    return Blame.PACKAGE if alike and len(claimed) > 1 else None


def _cause(cell: BlamedCell) -> str:
    return cell.cause or "unclassified"
