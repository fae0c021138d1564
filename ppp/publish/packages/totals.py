"""What one package adds to the numbers of all: pure, from its own records, added up without asking the others again.

The sums that come of it are those that `ppp.ledger` would count; tests hold the two together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ppp.ledger.causes import CauseCells
from ppp.ledger.published import CauseCount, Counts, Verdict
from ppp.model.blame import BlameSource
from ppp.model.record import Blame, Result
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.summary import FAILED

UNCLASSIFIED: Final = "unclassified"
#: A sum's name and what it is of: JSON arrays, as they are kept.
Totals = Counter[tuple[str | None, ...]]


class ExplainedCell(NamedTuple):
    """A current cell that a cause explains, by what orders it: newest first, then by the rest."""

    cause: str
    observed_at: int
    version: str
    environment: str
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTotals:
    """A package's sums, cells by cause, and how its newest release fails: the greater its `weight`, the worse."""

    package: str
    totals: Totals
    severity: int
    explained_cells: tuple[ExplainedCell, ...]


def package_totals(held: PackageHistory) -> PackageTotals:
    """Give a package's tally."""
    sums: Totals = Counter()
    told: list[ExplainedCell] = []
    for verdict in held.verdicts:
        sums["cells", verdict.environment, str(verdict.result)] += 1
        cause = verdict.cause or (UNCLASSIFIED if verdict.result in FAILED else None)
        if verdict.result is Result.PASS or cause is None:
            continue
        key = (cause, verdict.environment, str(verdict.result), _text(verdict.blame), _text(verdict.blamed_by))
        sums["explained", *key] += 1
        # Of packages, each counts once for what any of its cells has.
        sums["of cause", cause] = 1
        if verdict.result in FAILED:
            sums["of cause and blame", cause, key[3]] = 1
        version = verdict.release.version
        told.append(ExplainedCell(cause, verdict.observed_at, version, verdict.environment, verdict.record))
    sums["releases",] = len({verdict.release.version for verdict in held.verdicts})
    sums["packages",] = 1
    return PackageTotals(
        package=held.package, totals=sums, severity=_severity(held.newest_verdicts), explained_cells=tuple(told)
    )


def _severity(newest: Iterable[Verdict]) -> int:
    # Failures first, then timeouts, then errors: there are no million environments.
    words = [verdict.result for verdict in newest]
    fails, timeouts, errors = map(words.count, (Result.FAIL, Result.TIMEOUT, Result.ERROR))
    return (1_000_000 * fails + timeouts) * 1_000_000 + errors


def _text(word: Blame | BlameSource | None) -> str | None:
    return None if word is None else str(word)


def ledger_counts(totals: Totals, *, records: int, as_of: int | None) -> Counts:
    """Give what a ledger holds, from the sums of all its packages."""
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
    )


def cells_by_cause(totals: Totals) -> list[CauseCells]:
    """Give how many cells each cause explains, by environment, result and blame; sorted by these."""
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
    """Give how many packages have a current cell that each cause explains."""
    return {str(key[1]): count for key, count in totals.items() if key[0] == "of cause" and count}


def top_causes(totals: Totals, limit: int) -> list[CauseCount]:
    """Give the causes that explain the most cells now `FAIL` or `TIMEOUT`, greatest first."""
    cells: Counter[tuple[str | None, str | None]] = Counter()
    for key, count in totals.items():
        if key[0] == "explained" and Result(str(key[3])) in FAILED:
            cells[key[1], key[4]] += count
    packages: Mapping[tuple[str | None, str | None], int] = {
        (key[1], key[2]): count for key, count in totals.items() if key[0] == "of cause and blame"
    }
    rows = sorted(
        ((cause, blame, count, packages[cause, blame]) for (cause, blame), count in cells.items() if count),
        key=lambda row: (-row[2], -row[3], row[0], row[1] or ""),
    )
    return [
        CauseCount(cause=str(cause), blame=Blame(blame) if blame else None, cells=count, packages=of)
        for cause, blame, count, of in rows[:limit]
    ]
