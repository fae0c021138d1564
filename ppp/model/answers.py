"""What is known about a requirement in each environment: whether it works there, why not, and which version does. Pure.

pip takes the newest version that a requirement allows and that claims the environment, so the answer is about that one,
which may differ between environments. Only checked versions are known: the index may have newer ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from packaging.specifiers import SpecifierSet

from ppp.model.record import Result
from ppp.model.release import RequestedPackage


class AnswerState(StrEnum):
    """The answer to whether a requirement works in an environment."""

    WORKS = "works"
    FAILS = "fails"
    NOT_CLAIMED = "not-claimed"
    UNKNOWN = "unknown"
    NOT_NEEDED = "not-needed"


#: The state that each result is, but for `NA`: pip looks at the next older version then.
_STATES: Final = {
    Result.PASS: AnswerState.WORKS,
    Result.FAIL: AnswerState.FAILS,
    Result.TIMEOUT: AnswerState.FAILS,
    Result.ERROR: AnswerState.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """The current result of a release in an environment; cause, blame and detail are None where they are unknown."""

    result: Result
    cause: str | None = None
    detail: str | None = None
    blame: str | None = None
    standin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRelease:
    """A checked version, with its results by environment."""

    version: str
    cells: Mapping[str, CheckedCell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """The checked releases of a package, newest first; `passing` is a version that passes, by environment.

    `passing` covers releases that are not listed here, where the source of this lists only some.
    """

    releases: Sequence[CheckedRelease] = ()
    passing: Mapping[str, str | None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnswer:
    """The answer for one environment.

    `version` is the one that the answer is about, None if no checked version is allowed. `nearest` is the version that
    passes there and is nearest to it, None if none is known.
    """

    environment: str
    state: AnswerState
    version: str | None = None
    cell: CheckedCell | None = None
    nearest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for one requirement, in the order of the environments that were asked about."""

    wanted: RequestedPackage
    cells: tuple[CellAnswer, ...]
    is_known: bool


def answer(wanted: RequestedPackage, known: Knowledge, needed: Mapping[str, bool]) -> Answer:
    """Return what is known about a requirement; `needed` says of each environment whether the requirement applies."""
    allowed = _allowed(wanted, known.releases)
    cells = tuple(
        _cell_answer(environment, allowed, known)
        if applies
        else CellAnswer(environment=environment, state=AnswerState.NOT_NEEDED)
        for environment, applies in needed.items()
    )
    return Answer(wanted=wanted, cells=cells, is_known=bool(known.releases))


def _allowed(wanted: RequestedPackage, releases: Sequence[CheckedRelease]) -> list[CheckedRelease]:
    # Pre-releases count only where nothing else is allowed, or where the specifier names one: as in pip.
    versions = {*SpecifierSet(wanted.specifier).filter([release.version for release in releases])}
    return [release for release in releases if release.version in versions]


def _cell_answer(environment: str, allowed: Sequence[CheckedRelease], known: Knowledge) -> CellAnswer:
    if not allowed:
        return CellAnswer(
            environment=environment, state=AnswerState.UNKNOWN, nearest=_nearest(environment, None, known)
        )
    for release in allowed:
        cell = release.cells.get(environment)
        if cell is not None and cell.result is Result.NA:
            continue
        state = AnswerState.UNKNOWN if cell is None else _STATES[cell.result]
        nearest = None if state is AnswerState.WORKS else _nearest(environment, release.version, known)
        return CellAnswer(environment=environment, state=state, version=release.version, cell=cell, nearest=nearest)
    newest = allowed[0]
    return CellAnswer(
        environment=environment,
        state=AnswerState.NOT_CLAIMED,
        version=newest.version,
        cell=newest.cells[environment],
        nearest=_nearest(environment, newest.version, known),
    )


def _nearest(environment: str, version: str | None, known: Knowledge) -> str | None:
    """Return the version that passes and has the fewest releases between it and this one, of two the newer one."""
    places = [place for place, release in enumerate(known.releases) if _passes(release, environment)]
    if not places:
        return (known.passing or {}).get(environment)
    here = next((n for n, release in enumerate(known.releases) if release.version == version), 0)
    return known.releases[min(places, key=lambda place: (abs(place - here), place))].version


def _passes(release: CheckedRelease, environment: str) -> bool:
    cell = release.cells.get(environment)
    return cell is not None and cell.result is Result.PASS
