"""`/causes/`: for each cause of failure, what it means, how to fix or work around it, and where it occurs.

The texts come from `ppp/check/causes.toml`, the numbers from the same build. A cause that this version of PPP does not
know has no page; its cells are counted as `other_cells`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from ppp.check.cause_rules import CauseHelp, cause_help
from ppp.ledger.causes import CauseCells
from ppp.ledger.published import Verdict
from ppp.model.canonical import Json
from ppp.model.matrix import Environment
from ppp.model.record import Blame, Result
from ppp.publish.api.encoding import compact_json, indented_bytes
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.packages.summary import FAILED
from ppp.publish.packages.totals import ExplainedCell, PackageTotals
from ppp.publish.site.templates import render

CAUSE_SCHEMA: Final = "ppp-cause-1"
INDEX_SCHEMA: Final = "ppp-causes-1"
NEWEST_CELLS: Final = 20
DETAIL_LIMIT: Final = 160
UNCLASSIFIED: Final = "unclassified"
#: The results of cells that did not pass.
NOT_PASSED: Final = tuple(result for result in Result if result is not Result.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCause:
    """A cause with its help text and the current cells that it explains; `newest` are the newest of them."""

    cause: str
    help: CauseHelp
    packages: int
    cell_counts: Sequence[CauseCells]
    newest: Sequence[Verdict]

    @property
    def cells(self) -> int:
        """Return the number of its cells."""
        return sum(counted.cells for counted in self.cell_counts)

    @property
    def by_result(self) -> dict[Result, int]:
        """Return the number of its cells with each result other than `PASS`."""
        return {result: sum(c.cells for c in self.cell_counts if c.result is result) for result in NOT_PASSED}

    @property
    def by_blame(self) -> dict[Blame | None, int]:
        """Return the number of its cells by blame, largest first."""
        return _count_by_blame(self.cell_counts)

    @property
    def judged_by_siblings(self) -> int:
        """Return the number of cells whose blame was decided by the other cells of the release."""
        return sum(c.cells for c in self.cell_counts if c.blamed_by == "siblings")

    def in_environment(self, environment: str) -> dict[Blame | None, int]:
        """Return the number of its cells in one environment by blame, largest first."""
        return _count_by_blame([c for c in self.cell_counts if c.environment == environment])


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseOverview:
    """All known causes, most cells first.

    `failed` counts the cells with FAIL or TIMEOUT, `unclassified` those of them without a known cause, and
    `other_cells` the cells whose cause this version does not know.
    """

    causes: Sequence[ExplainedCause]
    other_cells: int
    failed: int
    unclassified: int

    @property
    def unclassified_percent(self) -> str | None:
        """Return the share of unclassified failures in percent with one decimal (`1.5`), or None if nothing failed."""
        return f"{100 * self.unclassified / self.failed:.1f}" if self.failed else None


def _count_by_blame(counted: Sequence[CauseCells]) -> dict[Blame | None, int]:
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
    """Return the overview of all causes.

    `packages` and `newest` are by cause; `by_result` counts the current results of the same build.
    """
    known = cause_help()
    counted: dict[str, list[CauseCells]] = {}
    for each in cells:
        counted.setdefault(each.cause, []).append(each)
    rows = [
        ExplainedCause(
            cause=cause,
            help=text,
            packages=packages.get(cause, 0),
            cell_counts=counted.get(cause, ()),
            newest=newest.get(cause, ()),
        )
        for cause, text in known.items()
    ]
    unclassified = next(row for row in rows if row.cause == UNCLASSIFIED)
    return CauseOverview(
        causes=sorted(rows, key=lambda row: (-row.cells, row.cause)),
        other_cells=sum(c.cells for cause, cells in counted.items() if cause not in known for c in cells),
        failed=sum(by_result[result] for result in FAILED),
        unclassified=sum(unclassified.by_result[result] for result in FAILED),
    )


def cause_entries(totals: PackageTotals) -> Iterator[ListingEntry]:
    """Yield the listing entry of a package for each cause of its cells, with the newest of these cells."""
    by_cause: dict[str, list[ExplainedCell]] = {}
    for cell in sorted(totals.explained_cells, key=lambda cell: (-cell.observed_at, cell.version, cell.environment)):
        by_cause.setdefault(cell.cause, []).append(cell)
    for cause, cells in by_cause.items():
        body = compact_json(
            [[cell.observed_at, cell.version, cell.environment, cell.record] for cell in cells[:NEWEST_CELLS]]
        )
        yield ListingEntry(
            totals.package, cause_listing(cause), totals.package, cells[0].observed_at, 0, len(cells), body[1:-1]
        )


def newest_records(entries: Iterable[ListingEntry], limit: int = NEWEST_CELLS) -> list[str]:
    """Return the record ids of the newest cells of a cause: newest first, then by package, version and environment.

    `entries` are the entries of the cause's listing, newest first; they are read lazily.
    """
    # `limit` entries suffice: each has a cell that is at least as new as all cells of later entries.
    cells = [
        (-observed_at, entry.package, version, environment, record)
        for entry in islice(entries, limit)
        for observed_at, version, environment, record in json.loads(f"[{entry.body}]")
    ]
    return [record for *_, record in sorted(cells)[:limit]]


def cause_listing(cause: str) -> str:
    """Return the name of a cause's listing."""
    return f"causes/{cause}"


def cause_pages(
    overview: CauseOverview, environments: Sequence[Environment], as_of: int | None, pages: PackagePages = ALL_PAGES
) -> Iterator[tuple[str, bytes]]:
    """Yield `/causes/index.{html,json}`, and for each cause `/causes/<cause>/index.html` and `/causes/<cause>.json`."""
    path = "causes/index.html"
    yield path, render("causes.html", path=path, overview=overview, as_of=as_of, results=NOT_PASSED)
    yield "causes/index.json", indented_bytes(_index_document(overview, as_of))
    for each in overview.causes:
        path = f"causes/{each.cause}/index.html"
        yield (
            path,
            render(
                "cause.html",
                path=path,
                c=each,
                as_of=as_of,
                environments=[e for e in environments if each.in_environment(e.id)],
                results=[(result, count) for result, count in each.by_result.items() if count],
                detail_limit=DETAIL_LIMIT,
                pages=pages,
            ),
        )
        yield f"causes/{each.cause}.json", indented_bytes(_document(each, environments, as_of))


def _index_document(overview: CauseOverview, as_of: int | None) -> dict[str, Json]:
    return {
        "schema": INDEX_SCHEMA,
        "as_of": as_of,
        "failed": overview.failed,
        "unclassified": overview.unclassified,
        "others": overview.other_cells,
        "causes": [_counts(each) for each in overview.causes],
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
        "by_siblings": each.judged_by_siblings,
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
