"""Pages of help: `/causes/`, and for each cause what it means, how it is mended, how one gets round it, where it is.

The words are ours (`ppp/check/causes.toml`); the numbers are those of the same build. A cause that this PPP does not
know has no page, and is counted among the others.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ppp.check.causes import CauseHelp, cause_help
from ppp.ledger.causes import CauseCells
from ppp.ledger.published import Verdict
from ppp.model.matrix import Environment
from ppp.model.record import Blame, Json, Result
from ppp.publish.api.encoding import compact_json
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.packages.summary import FAILED
from ppp.publish.packages.totals import ExplainedCell, PackageTotals
from ppp.publish.site.front import render

CAUSE_SCHEMA: Final = "ppp-cause-1"
INDEX_SCHEMA: Final = "ppp-causes-1"
NEWEST_CELLS: Final = 20
DETAIL_LIMIT: Final = 160
UNCLASSIFIED: Final = "unclassified"
#: What counts as a failure that wants explaining.
#: What a cell can be that did not pass.
NOT_PASSED: Final = tuple(result for result in Result if result is not Result.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCause:
    """A cause with its help and what it explains now; `newest` are its newest cells."""

    cause: str
    help: CauseHelp
    packages: int
    counted: Sequence[CauseCells]
    newest: Sequence[Verdict]

    @property
    def cells(self) -> int:
        """Count its cells."""
        return sum(counted.cells for counted in self.counted)

    @property
    def by_result(self) -> dict[Result, int]:
        """Count its cells by each result but `PASS`."""
        return {result: sum(c.cells for c in self.counted if c.result is result) for result in NOT_PASSED}

    @property
    def by_blame(self) -> dict[Blame | None, int]:
        """Count its cells by whose they are, greatest first."""
        return _greatest_first(self.counted)

    @property
    def by_siblings(self) -> int:
        """Count the cells whose blame the other cells of their release tell."""
        return sum(c.cells for c in self.counted if c.blamed_by == "siblings")

    def in_environment(self, environment: str) -> dict[Blame | None, int]:
        """Count its cells in one environment by whose they are, greatest first."""
        return _greatest_first([c for c in self.counted if c.environment == environment])


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseOverview:
    """All known causes, most cells first, and the cells of others; `failed` counts all that want explaining."""

    explained: Sequence[ExplainedCause]
    others: int
    failed: int
    unclassified: int

    @property
    def rate(self) -> str | None:
        """Give how many of a hundred failures are not explained (`1.5`); None where nothing failed."""
        return f"{100 * self.unclassified / self.failed:.1f}" if self.failed else None


def _greatest_first(counted: Sequence[CauseCells]) -> dict[Blame | None, int]:
    by_blame: Counter[Blame | None] = Counter()
    for each in counted:
        by_blame[each.blame] += each.cells
    return dict(sorted(by_blame.items(), key=lambda item: (-item[1], item[0] or "")))


def explain_causes(
    cells: Iterable[CauseCells],
    packages: Mapping[str, int],
    newest: Mapping[str, Sequence[Verdict]],
    by_result: Mapping[Result, int],
) -> CauseOverview:
    """Put together what each cause explains; `by_result` counts the current results of the same build."""
    known = cause_help()
    counted: dict[str, list[CauseCells]] = {}
    for each in cells:
        counted.setdefault(each.cause, []).append(each)
    rows = [
        ExplainedCause(
            cause=cause,
            help=held,
            packages=packages.get(cause, 0),
            counted=counted.get(cause, ()),
            newest=newest.get(cause, ()),
        )
        for cause, held in known.items()
    ]
    unclassified = next(row for row in rows if row.cause == UNCLASSIFIED)
    return CauseOverview(
        explained=sorted(rows, key=lambda row: (-row.cells, row.cause)),
        others=sum(c.cells for cause, cells in counted.items() if cause not in known for c in cells),
        failed=sum(by_result[result] for result in FAILED),
        unclassified=sum(unclassified.by_result[result] for result in FAILED),
    )


def cause_entries(tally: PackageTotals) -> Iterator[ListingEntry]:
    """Give a package's card for each cause that explains any of its cells, with the newest of these."""
    by_cause: dict[str, list[ExplainedCell]] = {}
    for told in sorted(tally.explained_cells, key=lambda told: (-told.observed_at, told.version, told.environment)):
        by_cause.setdefault(told.cause, []).append(told)
    for cause, cells in by_cause.items():
        body = compact_json(
            [[told.observed_at, told.version, told.environment, told.record] for told in cells[:NEWEST_CELLS]]
        )
        yield ListingEntry(
            tally.package, cause_listing(cause), tally.package, cells[0].observed_at, 0, len(cells), body[1:-1]
        )


def newest_records(entries: Iterable[ListingEntry], limit: int = NEWEST_CELLS) -> list[str]:
    """Give the ids of the newest cells that a cause explains, then by package, version and environment.

    `entries` are those of the cause's listing, newest first; no more are read than are needed.
    """
    # As many cards as cells: each has one that is no older than any cell of the cards after it.
    cells = [
        (-observed_at, card.package, version, environment, record)
        for card in islice(entries, limit)
        for observed_at, version, environment, record in json.loads(f"[{card.body}]")
    ]
    return [record for *_, record in sorted(cells)[:limit]]


def cause_listing(cause: str) -> str:
    """Return the name of a cause's listing."""
    return f"causes/{cause}"


def cause_pages(
    overview: CauseOverview, environments: Sequence[Environment], as_of: int | None
) -> Iterator[tuple[str, bytes]]:
    """`/causes/index.html` and `.json`, and for each cause `/causes/<cause>/index.html` and `/causes/<cause>.json`."""
    path = "causes/index.html"
    yield path, render("causes.html", path=path, held=overview, as_of=as_of, results=NOT_PASSED)
    yield "causes/index.json", _bytes(_index_document(overview, as_of))
    for each in overview.explained:
        path = f"causes/{each.cause}/index.html"
        yield (
            path,
            render(
                "cause.html",
                path=path,
                c=each,
                as_of=as_of,
                environments=[e for e in environments if each.in_environment(e.id)],
                tally=[(result, count) for result, count in each.by_result.items() if count],
                detail_limit=DETAIL_LIMIT,
            ),
        )
        yield f"causes/{each.cause}.json", _bytes(_document(each, environments, as_of))


def _index_document(overview: CauseOverview, as_of: int | None) -> dict[str, Json]:
    return {
        "schema": INDEX_SCHEMA,
        "as_of": as_of,
        "failed": overview.failed,
        "unclassified": overview.unclassified,
        "others": overview.others,
        "causes": [_counts(each) for each in overview.explained],
    }


def _document(each: ExplainedCause, environments: Sequence[Environment], as_of: int | None) -> dict[str, Json]:
    return {
        "schema": CAUSE_SCHEMA,
        "as_of": as_of,
        **_counts(each),
        "meaning": each.help.meaning,
        "maintainer": each.help.maintainer,
        "user": each.help.user,
        "environments": {
            e.id: _blame_counts(by_blame) for e in environments if (by_blame := each.in_environment(e.id))
        },
        "newest": [_cell(verdict) for verdict in each.newest],
    }


def _counts(each: ExplainedCause) -> dict[str, Json]:
    return {
        "cause": each.cause,
        "title": each.help.title,
        "cells": each.cells,
        "packages": each.packages,
        "results": {str(result): count for result, count in each.by_result.items()},
        "blames": _blame_counts(each.by_blame),
        "by_siblings": each.by_siblings,
    }


def _blame_counts(by_blame: Mapping[Blame | None, int]) -> dict[str, int]:
    return {str(blame or "none"): count for blame, count in by_blame.items()}


def _cell(verdict: Verdict) -> dict[str, Json]:
    return {
        "package": verdict.release.package,
        "version": verdict.release.version,
        "environment": verdict.environment,
        "result": verdict.result,
        "phase": verdict.failed_phase,
        "blame": verdict.blame,
        "blamed_by": verdict.blamed_by,
        "detail": verdict.detail,
        "observed_at": verdict.observed_at,
        "standin": verdict.standin,
        "record": verdict.record,
    }


def _bytes(document: Mapping[str, Json]) -> bytes:
    # As current.json: keys sorted, and ASCII, so that no text can act on a terminal.
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode("ascii")
