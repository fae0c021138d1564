"""Count what one package adds to the numbers of the whole site, so that no other package has to be read again.

The totals of all packages are what `ppp.ledger` would count; tests compare the two.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ppp.ledger.causes import CauseCells
from ppp.ledger.published import CauseCount, Counts, Verdict
from ppp.model.blame import BlameSource
from ppp.model.record import Blame, Result
from ppp.model.shown import Shown
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.summary import FAILED
from ppp.watch.exhibits import shipped_exhibits

UNCLASSIFIED: Final = "unclassified"
#: Counts by what they count, a name and its values; the cache keeps each key as a JSON array.
Totals = Counter[tuple[str | None, ...]]


class ExplainedCell(NamedTuple):
    """A current cell that a cause explains; `observed_at` is in epoch seconds."""

    cause: str
    observed_at: int
    version: str
    environment: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTotals:
    """What a package adds to the totals, its cells that a cause explains, and its `severity`.

    The severity grows with the failures of the newest release: packages are ranked by it.
    """

    package: str
    totals: Totals
    severity: int
    explained_cells: tuple[ExplainedCell, ...]


def package_totals(history: PackageHistory) -> PackageTotals:
    """Return what a package adds to the totals."""
    totals: Totals = Counter()
    explained: list[ExplainedCell] = []
    for verdict in history.verdicts:
        totals["cells", verdict.environment, str(verdict.result)] += 1
        if verdict.release in shipped_exhibits():
            totals["exhibits", verdict.environment, str(verdict.result)] += 1
        if verdict.shown is Shown.INSTALLED:
            totals["nothing to import", verdict.environment] += 1
        cause = verdict.cause or (UNCLASSIFIED if verdict.result in FAILED else None)
        if verdict.result is Result.PASS or cause is None:
            continue
        key = (cause, verdict.environment, str(verdict.result), _text(verdict.blame), _text(verdict.blamed_by))
        totals["explained", *key] += 1
        # These count packages: each counts once, however many of its cells the cause explains.
        totals["packages of cause", cause] = 1
        if verdict.result in FAILED:
            totals["packages of cause and blame", cause, key[3]] = 1
        version = verdict.release.version
        explained.append(ExplainedCell(cause, verdict.observed_at, version, verdict.environment, verdict.record))
    totals["releases",] = len({verdict.release.version for verdict in history.verdicts})
    totals["packages",] = 1
    if history.locks.missing:
        totals["passes without a lock",] = history.locks.missing
    return PackageTotals(
        package=history.package,
        totals=totals,
        severity=_severity(history.newest_verdicts),
        explained_cells=tuple(explained),
    )


def _severity(newest: Iterable[Verdict]) -> int:
    # Failures weigh most, then timeouts, then errors: no release has a million cells.
    results = [verdict.result for verdict in newest]
    fails, timeouts, errors = map(results.count, (Result.FAIL, Result.TIMEOUT, Result.ERROR))
    return (1_000_000 * fails + timeouts) * 1_000_000 + errors


def _text(word: Blame | BlameSource | None) -> str | None:
    return None if word is None else str(word)


def ledger_counts(totals: Totals, *, records: int, as_of: int | None) -> Counts:
    """Return how much a ledger holds, from the totals of all its packages; `as_of` is in epoch seconds."""
    by_environment: dict[str, dict[Result, int]] = {}
    for environment, result, count in sorted(
        (key[1], key[2], n) for key, n in totals.items() if key[0] == "cells" and n
    ):
        by_environment.setdefault(str(environment), dict.fromkeys(Result, 0))[Result(str(result))] = count
    return Counts(
        records=records,
        cells=sum(count for words in by_environment.values() for count in words.values()),
        packages=totals["packages",],
        releases=totals["releases",],
        as_of=as_of,
        by_environment=by_environment,
        exhibits=_by_result(totals, "exhibits"),
        nothing_to_import={str(key[1]): n for key, n in totals.items() if key[0] == "nothing to import" and n},
    )


def _by_result(totals: Totals, kind: str) -> dict[Result, int]:
    # Over all environments, with all five results as keys.
    counted = dict.fromkeys(Result, 0)
    for key, count in totals.items():
        if key[0] == kind:
            counted[Result(str(key[2]))] += count
    return counted


def cells_by_cause(totals: Totals) -> list[CauseCells]:
    """Return how many cells each cause explains, by environment, result and blame, sorted by these."""
    rows = [(key[1:], count) for key, count in totals.items() if key[0] == "explained" and count]
    return [
        CauseCells(
            cause=str(cause),
            environment=str(environment),
            result=Result(str(result)),
            blame=Blame(blame) if blame else None,
            blamed_by=BlameSource(by) if by else None,
            cells=cells,
        )
        for (cause, environment, result, blame, by), cells in sorted(rows, key=lambda row: _sortable(row[0]))
    ]


def _sortable(row: Iterable[str | None]) -> list[tuple[bool, str]]:
    return [(value is not None, str(value)) for value in row]


def packages_by_cause(totals: Totals) -> dict[str, int]:
    """Return how many packages have a current cell that each cause explains."""
    return {str(key[1]): count for key, count in totals.items() if key[0] == "packages of cause" and count}


def top_causes(totals: Totals, limit: int) -> list[CauseCount]:
    """Return the causes that explain the most current `FAIL` and `TIMEOUT` cells, most cells first."""
    cells: Counter[tuple[str | None, str | None]] = Counter()
    for key, count in totals.items():
        if key[0] == "explained" and Result(str(key[3])) in FAILED:
            cells[key[1], key[4]] += count
    packages: Mapping[tuple[str | None, str | None], int] = {
        (key[1], key[2]): count for key, count in totals.items() if key[0] == "packages of cause and blame"
    }
    rows = sorted(
        ((cause, blame, count, packages[cause, blame]) for (cause, blame), count in cells.items() if count),
        key=lambda row: (-row[2], -row[3], row[0], row[1] or ""),
    )
    return [
        CauseCount(cause=str(cause), blame=Blame(blame) if blame else None, cells=count, packages=of)
        for cause, blame, count, of in rows[:limit]
    ]
