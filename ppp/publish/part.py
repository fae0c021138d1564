"""What one package brings to the pages that tell of many: pure, from its own records alone.

Findings are about the newest release of a package; "before" is the newest older release that came to anything but an
`ERROR` in the same environment. Whoever keeps parts need not read a package again before it has a new record.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ppp.ledger.published import Change
from ppp.model.judge import Judge
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Blame, Outcome, Phase, Result
from ppp.publish import text
from ppp.publish.kinds import FindingKind
from ppp.publish.observed import Observed

DETAIL_LIMIT: Final = 200
FAILED: Final = frozenset({Result.FAIL, Result.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """All that is published of one package: its current cells, newest version first, their ids, and what changed.

    By (version, environment), `ids` gives the current record and `since` when the verdict last changed, in epoch
    seconds; `changes` come newest first.
    """

    package: str
    observed: Sequence[Observed]
    ids: Mapping[tuple[str, str], str]
    changes: Iterable[Change]
    since: Mapping[tuple[str, str], int]

    @property
    def newest(self) -> list[Observed]:
        """Give the cells of the newest release."""
        return [o for o in self.observed if o.record.release == self.observed[0].record.release]

    @property
    def as_of(self) -> int:
        """Give when the newest of its current records was observed, in epoch seconds."""
        return max(o.record.observed_at for o in self.observed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What the release before came to in the same environment."""

    version: str
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A current cell that a list is about; `since` is when its verdict last changed, in epoch seconds."""

    package: str
    version: str
    environment: str
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    blamed_by: Judge | None
    detail: str | None
    observed_at: int
    since: int
    standin: bool
    record: str
    before: Before | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A package's part: the tally of its newest release, its findings, and the cells of that release that fail."""

    package: str
    version: str
    tally: tuple[tuple[Result, int], ...]
    as_of: int
    found: Mapping[FindingKind, tuple[Affected, ...]]
    broken: tuple[Affected, ...]

    @property
    def passing(self) -> int:
        """Count the environments in which the newest release passes."""
        return dict(self.tally).get(Result.PASS, 0)

    @property
    def claimed(self) -> int:
        """Count the environments in which it passes or fails: those that it claims, and that we could check."""
        return sum(count for result, count in self.tally if result not in {Result.NA, Result.ERROR})


def part_of(held: Held, environments: Sequence[Environment]) -> Part:
    """Give a package's part."""
    order = {environment.id: place for place, environment in enumerate(environments)}
    newest = sorted(held.newest, key=lambda o: order[o.record.environment])
    before = before_of(held)
    cells = {o.record.environment: _affected(held, o, before) for o in newest}
    words = Counter(o.record.result for o in newest)
    found = {kind: _kept(cells, places) for kind, places in _found(newest, before).items() if places}
    if never := _never_on_alpine(held):
        found[FindingKind.NEVER_ON_ALPINE] = tuple(_affected(held, o, before) for o in never)
    return Part(
        package=held.package,
        version=newest[0].record.release.version,
        tally=tuple((result, words[result]) for result in Result if words[result]),
        as_of=held.as_of,
        found={kind: found[kind] for kind in FindingKind if kind in found},
        broken=tuple(cell for cell in cells.values() if cell.result in FAILED),
    )


def before_of(held: Held) -> dict[str, Before]:
    """Give, by environment, what the newest release before the newest one came to; an `ERROR` is passed over."""
    newest = held.observed[0].record.release
    before: dict[str, Before] = {}
    for o in held.observed:
        if o.record.release != newest and o.record.result is not Result.ERROR:
            before.setdefault(o.record.environment, Before(version=o.record.release.version, result=o.record.result))
    return before


def judged_changes(held: Held) -> Iterator[Change]:
    """Give a package's changes, newest first, those that are still current with the blame that sibling cells tell."""
    judged = {
        held.ids[o.record.release.version, o.record.environment]: o.judgement
        for o in held.observed
        if o.judgement.by is Judge.SIBLINGS
    }
    for change in held.changes:
        told = judged.get(change.verdict.record)
        yield replace(change, verdict=replace(change.verdict, blame=told.blame, blamed_by=told.by)) if told else change


def _affected(held: Held, o: Observed, before: Mapping[str, Before]) -> Affected:
    record = o.record
    cell = (record.release.version, record.environment)
    is_newest = record.release == held.observed[0].record.release
    return Affected(
        package=held.package,
        version=record.release.version,
        environment=record.environment,
        result=record.result,
        phase=record.failed_phase,
        cause=record.cause,
        blame=o.judgement.blame,
        blamed_by=o.judgement.by,
        detail=None if record.detail is None else text.line(record.detail, DETAIL_LIMIT),
        observed_at=record.observed_at,
        since=held.since.get(cell, record.observed_at),
        standin=record.standin,
        record=held.ids[cell],
        before=before.get(record.environment) if is_newest else None,
    )


def _kept(cells: Mapping[str, Affected], places: Sequence[str]) -> tuple[Affected, ...]:
    return tuple(cell for environment, cell in cells.items() if environment in places)


def _found(newest: Sequence[Observed], before: Mapping[str, Before]) -> dict[FindingKind, list[str]]:
    found: dict[FindingKind, list[str]] = {}
    passing = {parts(o.record.environment) for o in newest if o.record.result is Result.PASS}
    for o in newest:
        for kind in _kinds(o, before.get(o.record.environment), passing):
            found.setdefault(kind, []).append(o.record.environment)
    return found


def _kinds(o: Observed, before: Before | None, passing: set[tuple[int, Platform]]) -> list[FindingKind]:
    record = o.record
    python, platform = parts(record.environment)
    failed = record.result in FAILED
    was = before.result if before else None
    told = {
        FindingKind.NEWLY_BROKEN: failed and was is Result.PASS,
        FindingKind.FIXED: record.result is Result.PASS and was in FAILED,
        FindingKind.STILL_BROKEN: failed and was in FAILED,
        FindingKind.PHANTOM_SUCCESS: record.outcome(Phase.FULL) is Outcome.PASS
        and record.outcome(Phase.IMPORT) is Outcome.FAIL,
        FindingKind.ALPINE_ONLY: record.result is Result.FAIL
        and platform is Platform.ALPINE
        and (python, Platform.SLIM) in passing,
        FindingKind.PYTHON_REGRESSION: record.result is Result.FAIL
        and any(other < python and on is platform for other, on in passing),
        FindingKind.BROKEN_DEPENDENCY: failed and o.judgement.blame is Blame.DEPENDENCY,
    }
    return [kind for kind, holds in told.items() if holds]


def _never_on_alpine(held: Held) -> list[Observed]:
    # Of each Alpine environment the newest word, where no version was ever installed on any of them.
    alpine = [
        o
        for o in held.observed
        if parts(o.record.environment)[1] is Platform.ALPINE and o.record.result is not Result.ERROR
    ]
    slim = any(
        o.record.result is Result.PASS and parts(o.record.environment)[1] is Platform.SLIM for o in held.observed
    )
    if not slim or any(o.record.outcome(Phase.FULL) is Outcome.PASS for o in alpine):
        return []
    newest: dict[str, Observed] = {}
    for o in alpine:
        newest.setdefault(o.record.environment, o)
    return [newest[environment] for environment in sorted(newest, key=parts)]


def parts(environment: str) -> tuple[int, Platform]:
    """Give the Python (312) and the platform of an environment's id."""
    python, _, platform = environment.removeprefix("py").partition("-")
    return int(python), Platform(platform)
