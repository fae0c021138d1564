"""Summarize one package for the pages of many packages, from its own records alone.

Findings are about the newest checked release of a package, and say so where the index has a newer one; exhibits of the
watchlist are in none. "Before" is the newest older release with any result but `ERROR` in
the same environment.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ppp.ledger.published import Verdict
from ppp.model.blame import BlameSource
from ppp.model.matrix import EnvironmentId, Platform, environment_sort_key
from ppp.model.record import PHASES, Blame, Outcome, Phase, Result
from ppp.model.shown import Shown
from ppp.publish import text
from ppp.publish.packages.breaks import breaks_remarks
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.remarks import REMARK_LIMIT, Remark, remarks
from ppp.watch.exhibits import shipped_exhibits

DETAIL_LIMIT: Final = 200
FAILED: Final = frozenset({Result.FAIL, Result.TIMEOUT})
_NO_VERDICT: Final = frozenset({Result.NA, Result.ERROR})


class PreviousResult(NamedTuple):
    """The result of the release before in the same environment."""

    version: str
    result: Result


class AffectedCell(NamedTuple):
    """A current cell in a listing; `since` is when its verdict last changed, in epoch seconds.

    `remark` is what the listing says of the cell beyond its result, None in listings of results. `index_newest` is the
    version that pip takes if none is asked for, where that is another one and known.
    """

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
    nothing_to_import: bool = False
    remark: str | None = None
    index_newest: str | None = None

    @property
    def shown(self) -> Shown:
        """Return what the cell is shown as."""
        return Shown.INSTALLED if self.nothing_to_import else Shown(self.result.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSummary:
    """A package's newest release: how many cells have each result, its findings, and the cells that fail.

    `as_of` is when the newest of the package's current records was observed, in epoch seconds. Of the `PASS` cells,
    `installed_only` have nothing to import. `remarks` are by environment. `downloads` are those of the newest period,
    None where unknown. An exhibit has no findings. Of the cells that pass or fail, `standins` ran on a stand-in.
    `queued` cells have yet to be checked, and are in no other number.
    """

    package: str
    version: str
    result_counts: tuple[tuple[Result, int], ...]
    as_of: int
    findings: Mapping[FindingKind, tuple[AffectedCell, ...]]
    failing: tuple[AffectedCell, ...]
    installed_only: int = 0
    remarks: Mapping[str, Sequence[Remark]] = field(default_factory=dict)
    downloads: int | None = None
    is_exhibit: bool = False
    standins: int = 0
    queued: int = 0

    @property
    def shown_counts(self) -> tuple[tuple[Shown, int], ...]:
        """Return how many cells are shown as each, in the order of `Shown`; those without any are left out."""
        counts = {Shown(result.value): count for result, count in self.result_counts}
        if self.installed_only:
            counts |= {Shown.PASS: self.passing - self.installed_only, Shown.INSTALLED: self.installed_only}
        return tuple((shown, counts[shown]) for shown in Shown if counts.get(shown))

    @property
    def passing(self) -> int:
        """Return in how many environments the newest release passes."""
        return dict(self.result_counts).get(Result.PASS, 0)

    @property
    def claimed(self) -> int:
        """Return in how many environments it passes or fails: those that it claims and that could be checked."""
        return sum(count for result, count in self.result_counts if result not in _NO_VERDICT)


def summarize(history: PackageHistory) -> PackageSummary:
    """Return the summary of a package."""
    before, checked = previous_results(history), history.checked_versions
    newest = history.newest_verdicts
    environments = _findings(newest, before)
    found = {environment for of_kind in environments.values() for environment in of_kind}
    # Made once: findings share their cells with each other and with `failing`, which are encoded by identity.
    cells = {
        verdict.environment: _affected_cell(history, verdict, before, checked.other_newest)
        for verdict in newest
        if verdict.environment in found or verdict.result in FAILED
    }
    findings = {kind: tuple(cells[environment] for environment in of_kind) for kind, of_kind in environments.items()}
    if never := _never_on_alpine(history):
        findings[FindingKind.NEVER_ON_ALPINE] = tuple(
            _affected_cell(history, verdict, before, checked.other_newest)._replace(remark=checked.count)
            for verdict in never
        )
    remarked = remarks([current.record for current in history.newest]) | {}
    for environment, words in breaks_remarks(history.version, history.flips).items():
        remark = Remark(FindingKind.BREAKS_OTHERS, text.single_line(words, REMARK_LIMIT))
        remarked[environment] = (*remarked.get(environment, ()), remark)
    for verdict in newest:
        for remark in remarked.get(verdict.environment, ()):
            cell = _affected_cell(history, verdict, before, checked.other_newest)._replace(remark=remark.words)
            findings[remark.kind] = (*findings.get(remark.kind, ()), cell)
    is_exhibit = newest[0].release in shipped_exhibits()
    return PackageSummary(
        package=history.package,
        version=history.version,
        result_counts=count_results(newest),
        as_of=history.as_of,
        findings={kind: findings[kind] for kind in FindingKind if kind in findings and not is_exhibit},
        failing=tuple(cell for cell in cells.values() if cell.result in FAILED),
        installed_only=sum(verdict.shown is Shown.INSTALLED for verdict in newest),
        remarks=remarked,
        downloads=history.downloads.downloads if history.downloads else None,
        is_exhibit=is_exhibit,
        standins=sum(verdict.standin for verdict in newest if verdict.result not in _NO_VERDICT),
        queued=len(history.queued),
    )


def count_results(verdicts: Iterable[Verdict]) -> tuple[tuple[Result, int], ...]:
    """Return how many verdicts have each result, in the order of `Result`; results without any are left out."""
    results = [verdict.result for verdict in verdicts]
    return tuple((result, count) for result in Result if (count := results.count(result)))


def previous_results(history: PackageHistory) -> dict[str, PreviousResult]:
    """Return, by environment, the result of the newest of the older releases; an `ERROR` does not count."""
    before: dict[str, PreviousResult] = {}
    for verdict in history.older:
        if verdict.result is not Result.ERROR and verdict.environment not in before:
            before[verdict.environment] = PreviousResult(version=verdict.release.version, result=verdict.result)
    return before


def _affected_cell(
    history: PackageHistory, verdict: Verdict, before: Mapping[str, PreviousResult], index_newest: str | None
) -> AffectedCell:
    version = verdict.release.version
    return AffectedCell(
        package=history.package,
        version=version,
        environment=verdict.environment,
        result=verdict.result,
        phase=verdict.failed_phase,
        cause=verdict.cause,
        blame=verdict.blame,
        blamed_by=verdict.blamed_by,
        detail=None if verdict.detail is None else text.single_line(verdict.detail, DETAIL_LIMIT),
        observed_at=verdict.observed_at,
        since=history.changed_at.get((version, verdict.environment), verdict.observed_at),
        standin=verdict.standin,
        record=verdict.record,
        before=before.get(verdict.environment) if version == history.version else None,
        nothing_to_import=verdict.shown is Shown.INSTALLED,
        index_newest=index_newest,
    )


def _findings(newest: Sequence[Verdict], before: Mapping[str, PreviousResult]) -> dict[FindingKind, list[str]]:
    # By kind, the environments that it is about.
    found: dict[FindingKind, list[str]] = {}
    passing = {EnvironmentId.parse(verdict.environment) for verdict in newest if verdict.result is Result.PASS}
    for verdict in newest:
        for kind in _finding_kinds(verdict, before.get(verdict.environment), passing):
            found.setdefault(kind, []).append(verdict.environment)
    return found


def _finding_kinds(
    verdict: Verdict, before: PreviousResult | None, passing: set[EnvironmentId]
) -> Iterator[FindingKind]:
    previous = before.result if before else None
    if verdict.result is Result.PASS and previous in FAILED:
        yield FindingKind.FIXED
    if verdict.result in FAILED:
        if previous is Result.PASS:
            yield FindingKind.NEWLY_BROKEN
        if previous in FAILED:
            yield FindingKind.STILL_BROKEN
        if verdict.blame is Blame.DEPENDENCY:
            yield FindingKind.BROKEN_DEPENDENCY
    # Outcomes and not the result: a release may fail here after it was installed.
    *_, full, import_ = verdict.outcomes
    if full is Outcome.PASS and import_ is Outcome.FAIL:
        yield FindingKind.PHANTOM_SUCCESS
    if verdict.result is Result.FAIL:
        own = EnvironmentId.parse(verdict.environment)
        if own.platform is Platform.ALPINE and EnvironmentId(python=own.python, platform=Platform.SLIM) in passing:
            yield FindingKind.ALPINE_ONLY
        if any(other.python < own.python and other.platform is own.platform for other in passing):
            yield FindingKind.PYTHON_REGRESSION


def _never_on_alpine(history: PackageHistory) -> list[Verdict]:
    # The newest verdict in each Alpine environment, where no version could ever be installed on Alpine.
    passes_on_slim = False
    newest: dict[str, Verdict] = {}
    for verdict in history.verdicts:
        platform = EnvironmentId.parse(verdict.environment).platform
        if platform is Platform.ALPINE and verdict.result is not Result.ERROR:
            if verdict.outcomes[PHASES.index(Phase.FULL)] is Outcome.PASS:
                return []
            newest.setdefault(verdict.environment, verdict)
        passes_on_slim = passes_on_slim or (platform is Platform.SLIM and verdict.result is Result.PASS)
    return [newest[environment] for environment in sorted(newest, key=environment_sort_key)] if passes_on_slim else []
