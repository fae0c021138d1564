"""Assign blame for a failure by comparing the sibling cells of its release: the reference for the view `judged`.

A log often cannot distinguish a broken package from an environment that lacks something; the other cells of the same
release can, unless they all lack the same things. So a failure whose log shows that something is lacking is not judged
by them, nor one that fails alike everywhere for no known reason. The assigned blame is a pure function of current
records, so nodes with the same records agree. The records themselves keep the blame that was read from their logs.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from ppp.model.matrix import EnvironmentId
from ppp.model.record import Blame, Result

#: Causes that say what happened, but not who is to blame.
AMBIGUOUS_CAUSES: Final = frozenset(
    {"unclassified", "import-error", "crash", "exits", "build-backend", "module-missing"}
)
#: Of these, the one that does not even say what happened: that it is the same everywhere shows nothing.
_UNEXPLAINED_CAUSE: Final = "unclassified"
#: Results that do not show whether a release works in an environment that it claims to support.
_INCONCLUSIVE_RESULTS: Final = frozenset({Result.NA, Result.ERROR})


class BlamedCell(Protocol):
    """What is needed of a cell: a `Record`, or any other object with a result and the blame read from its log."""

    @property
    def environment(self) -> str:
        """The environment's id."""

    @property
    def result(self) -> Result:
        """The result of the cell."""

    @property
    def cause(self) -> str | None:
        """The id of the failure's cause, None without one."""

    @property
    def blame(self) -> Blame | None:
        """The blame that was read from the log, or shown by runs; None without one."""

    @property
    def is_proven(self) -> bool:
        """Whether runs with other files of the index showed the cause."""


class BlameSource(StrEnum):
    """What a blame is derived from."""

    LOG = "log"
    RUNS = "runs"
    SIBLINGS = "siblings"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignedBlame:
    """The blame for a failure and its source; both None if there is no blame."""

    blame: Blame | None
    source: BlameSource | None


def assign_blame(cells: Collection[BlamedCell]) -> Mapping[str, AssignedBlame]:
    """Return the assigned blame of each current cell of one release, by environment."""
    return {cell.environment: _assign(cell, cells) for cell in cells}


def _assign(cell: BlamedCell, cells: Collection[BlamedCell]) -> AssignedBlame:
    if _is_ambiguous(cell) and (blame := _by_siblings(cell, cells)):
        return AssignedBlame(blame=blame, source=BlameSource.SIBLINGS)
    return AssignedBlame(blame=cell.blame, source=own_source(cell.blame, is_proven=cell.is_proven))


def own_source(blame: Blame | str | None, *, is_proven: bool) -> BlameSource | None:
    """Return what the blame in a record is derived from, None without one."""
    if blame is None:
        return None
    return BlameSource.RUNS if is_proven else BlameSource.LOG


def _is_ambiguous(cell: BlamedCell) -> bool:
    # A log that names a dependency knows more than sibling cells can show.
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
    # All cells lack the same things: what fails alike without a known reason may be due to that.
    if _cause(cell) == _UNEXPLAINED_CAUSE:
        return None
    claimed = [other for other in cells if other.result not in _INCONCLUSIVE_RESULTS]
    alike = all(_is_ambiguous(other) and _cause(other) == _cause(cell) for other in claimed)
    return Blame.PACKAGE if alike and len(claimed) > 1 else None


def _cause(cell: BlamedCell) -> str:
    return cell.cause or _UNEXPLAINED_CAUSE
