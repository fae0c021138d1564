"""What one package brings to the pages that tell of many: pure, from its own records alone.

Findings are about the newest release of a package; "before" is the newest older release that came to anything but an
`ERROR` in the same environment. Whoever keeps parts need not read a package again before it has a new record.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ppp.ledger.published import Verdict
from ppp.model.blame import BlameSource
from ppp.model.matrix import EnvironmentId, Platform, environment_sort_key
from ppp.model.record import PHASES, Blame, Outcome, Phase, Result
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import PackageHistory

DETAIL_LIMIT: Final = 200
FAILED: Final = frozenset({Result.FAIL, Result.TIMEOUT})


class PreviousResult(NamedTuple):
    """What the release before came to in the same environment."""

    version: str
    result: Result


class AffectedCell(NamedTuple):
    """A current cell that a list is about; `since` is when its verdict last changed, in epoch seconds."""

    package: str
    version: str
    environment: str
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    blamed_by: BlameSource | None
    detail: str | None
    observed_at: int
    since: int
    standin: bool
    record: str
    before: PreviousResult | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSummary:
    """A package's part: the tally of its newest release, its findings, and the cells of that release that fail."""

    package: str
    version: str
    result_counts: tuple[tuple[Result, int], ...]
    as_of: int
    findings: Mapping[FindingKind, tuple[AffectedCell, ...]]
    failing: tuple[AffectedCell, ...]

    @property
    def passing(self) -> int:
        """Count the environments in which the newest release passes."""
        return dict(self.result_counts).get(Result.PASS, 0)

    @property
    def claimed(self) -> int:
        """Count the environments in which it passes or fails: those that it claims, and that we could check."""
        return sum(count for result, count in self.result_counts if result not in {Result.NA, Result.ERROR})


def summarize(held: PackageHistory) -> PackageSummary:
    """Give a package's part."""
    before = previous_results(held)
    newest = held.newest_verdicts
    found = _findings(newest, before)
    told = {place for places in found.values() for place in places}
    cells = {
        verdict.environment: _affected_cell(held, verdict, before)
        for verdict in newest
        if verdict.environment in told or verdict.result in FAILED
    }
    kept = {kind: tuple(cells[place] for place in places) for kind, places in found.items()}
    if never := _never_on_alpine(held):
        kept[FindingKind.NEVER_ON_ALPINE] = tuple(_affected_cell(held, verdict, before) for verdict in never)
    return PackageSummary(
        package=held.package,
        version=held.version,
        result_counts=count_results(newest),
        as_of=held.as_of,
        findings={kind: kept[kind] for kind in FindingKind if kind in kept},
        failing=tuple(cell for cell in cells.values() if cell.result in FAILED),
    )


def count_results(verdicts: Iterable[Verdict]) -> tuple[tuple[Result, int], ...]:
    """Count verdicts by result, in the order of the words, those that there are."""
    words = [verdict.result for verdict in verdicts]
    return tuple((result, count) for result in Result if (count := words.count(result)))


def previous_results(held: PackageHistory) -> dict[str, PreviousResult]:
    """Give, by environment, what the newest release before the newest one came to; an `ERROR` is passed over."""
    before: dict[str, PreviousResult] = {}
    for verdict in held.older:
        if verdict.result is not Result.ERROR and verdict.environment not in before:
            before[verdict.environment] = PreviousResult(version=verdict.release.version, result=verdict.result)
    return before


def _affected_cell(held: PackageHistory, verdict: Verdict, before: Mapping[str, PreviousResult]) -> AffectedCell:
    version = verdict.release.version
    return AffectedCell(
        package=held.package,
        version=version,
        environment=verdict.environment,
        result=verdict.result,
        phase=verdict.failed_phase,
        cause=verdict.cause,
        blame=verdict.blame,
        blamed_by=verdict.blamed_by,
        detail=None if verdict.detail is None else text.single_line(verdict.detail, DETAIL_LIMIT),
        observed_at=verdict.observed_at,
        since=held.changed_at.get((version, verdict.environment), verdict.observed_at),
        standin=verdict.standin,
        record=verdict.record,
        before=before.get(verdict.environment) if version == held.version else None,
    )


def _findings(newest: Sequence[Verdict], before: Mapping[str, PreviousResult]) -> dict[FindingKind, list[str]]:
    # By kind, the environments in which it holds.
    found: dict[FindingKind, list[str]] = {}
    passing = {EnvironmentId.parse(verdict.environment) for verdict in newest if verdict.result is Result.PASS}
    for verdict in newest:
        for kind in _finding_kinds(verdict, before.get(verdict.environment), passing):
            found.setdefault(kind, []).append(verdict.environment)
    return found


def _finding_kinds(
    verdict: Verdict, before: PreviousResult | None, passing: set[EnvironmentId]
) -> Iterator[FindingKind]:
    was = before.result if before else None
    if verdict.result is Result.PASS and was in FAILED:
        yield FindingKind.FIXED
    if verdict.result in FAILED:
        if was is Result.PASS:
            yield FindingKind.NEWLY_BROKEN
        if was in FAILED:
            yield FindingKind.STILL_BROKEN
        if verdict.blame is Blame.DEPENDENCY:
            yield FindingKind.BROKEN_DEPENDENCY
    *_, full, import_ = verdict.outcomes
    if full is Outcome.PASS and import_ is Outcome.FAIL:
        yield FindingKind.PHANTOM_SUCCESS
    if verdict.result is Result.FAIL:
        own = EnvironmentId.parse(verdict.environment)
        if own.platform is Platform.ALPINE and EnvironmentId(python=own.python, platform=Platform.SLIM) in passing:
            yield FindingKind.ALPINE_ONLY
        if any(other.python < own.python and other.platform is own.platform for other in passing):
            yield FindingKind.PYTHON_REGRESSION


def _never_on_alpine(held: PackageHistory) -> list[Verdict]:
    # Of each Alpine environment the newest word, where no version was ever installed on any of them.
    slim = False
    newest: dict[str, Verdict] = {}
    for verdict in held.verdicts:
        platform = EnvironmentId.parse(verdict.environment).platform
        if platform is Platform.ALPINE and verdict.result is not Result.ERROR:
            if verdict.outcomes[PHASES.index(Phase.FULL)] is Outcome.PASS:
                return []
            newest.setdefault(verdict.environment, verdict)
        slim = slim or (platform is Platform.SLIM and verdict.result is Result.PASS)
    return [newest[environment] for environment in sorted(newest, key=environment_sort_key)] if slim else []
