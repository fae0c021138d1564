"""What changed in a time before the newest record: packages that fail where they passed, or pass where they failed.

A change is one from the release before to the newest one, or a verdict on one release that differs from the verdict
before. Everything here is pure. The front page, `/changed/` and `ppp changes` have this one rule.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger.published import VerdictChange
from ppp.model.record import Result
from ppp.model.release import Release
from ppp.model.shown import Shown
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.pages import PackagePages
from ppp.publish.packages.summary import FAILED, AffectedCell, PreviousResult
from ppp.publish.site.listing import Listing
from ppp.publish.site.standins import find_standins
from ppp.publish.site.templates import render
from ppp.watch.exhibits import shipped_exhibits

WEEK_S: Final = 7 * 86_400
CHANGED_PAGE: Final = "changed/index.html"
#: Bytes of HTML for the rows of the page.
ROWS_BUDGET: Final = 28_000
#: The findings that compare the newest release with the one before.
COMPARED: Final = (FindingKind.NEWLY_BROKEN, FindingKind.FIXED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCell:
    """A cell whose verdict changed at `since` (epoch seconds): `old` is the version that had the verdict `before`."""

    package: str
    old: str
    new: str
    environment: str
    before: Result
    shown: Shown
    cause: str | None
    since: int
    standin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPackage:
    """The flips of one package between two versions; `old` and `new` are equal where one was checked again."""

    package: str
    old: str
    new: str
    flips: Sequence[ChangedCell]
    downloads: int | None

    @property
    def groups(self) -> list[tuple[ChangedCell, str]]:
        """Return groups of flips that are shown alike: one of each, and the environments of the group."""
        found: dict[tuple[Result, Shown, str | None, bool], list[ChangedCell]] = {}
        for flip in self.flips:
            found.setdefault((flip.before, flip.shown, flip.cause, flip.standin), []).append(flip)
        return [(flips[0], ", ".join(flip.environment for flip in flips)) for flips in found.values()]

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        names = 2 * len(self.package) + len(self.old) + len(self.new)
        return (
            160
            + names
            + sum(130 + 3 * len(places) + 2 * len(flip.cause or "") + 50 * flip.standin for flip, places in self.groups)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedWeek:
    """What changed in the week before `as_of`; `is_whole` is False where there may be more than the listings hold."""

    packages: Sequence[ChangedPackage]
    is_whole: bool
    as_of: int | None


def week_before(as_of: int | None) -> int:
    """Return when the week before `as_of` begins, in epoch seconds."""
    return (as_of or 0) - WEEK_S


def changed_week(
    listings: Mapping[FindingKind, Listing], changes: Iterable[VerdictChange], as_of: int | None
) -> ChangedWeek:
    """Return what changed in the week before `as_of`, as the newest rows of listings and the week's changes tell."""
    start = week_before(as_of)
    rows = {kind: [*listings[kind].newest_rows()] for kind in COMPARED}
    compared = ((cell, row.downloads) for kind in COMPARED for row in rows[kind] for cell in row.cells)
    # What a listing does not hold is older than the last row that it does.
    whole = all(len(rows[kind]) == listings[kind].packages or rows[kind][-1].since <= start for kind in COMPARED)
    return ChangedWeek(packages=changed_packages(compared, changes, start), is_whole=whole, as_of=as_of)


def changed_packages(
    compared: Iterable[tuple[AffectedCell, int | None]], changes: Iterable[VerdictChange], start: int
) -> list[ChangedPackage]:
    """Return the packages that changed after `start` (epoch seconds): the most downloaded first, then the newest first.

    `compared` are the cells of the findings `COMPARED`, each with the downloads of its package; `changes` come newest
    first.
    """
    downloads: dict[str, int | None] = {}
    grouped: dict[tuple[str, str, str], dict[str, ChangedCell]] = {}
    flips = ((_from_finding(cell, cell.before), known) for cell, known in compared if cell.before)
    for flip, known in (*flips, *((flip, None) for flip in _checked_again(changes))):
        if flip.since > start:
            downloads[flip.package] = known if known is not None else downloads.get(flip.package)
            grouped.setdefault((flip.package, flip.old, flip.new), {}).setdefault(flip.environment, flip)
    packages = [
        ChangedPackage(package=package, old=old, new=new, flips=[*flips.values()], downloads=downloads[package])
        for (package, old, new), flips in grouped.items()
    ]
    return sorted(packages, key=_order)


def changed_page(week: ChangedWeek, pages: PackagePages) -> tuple[str, bytes]:
    """Return `/changed/index.html`: what changed in the week, as many packages as a page has room for."""
    shown = text.fit_budget(week.packages, ROWS_BUDGET, lambda changed: changed.estimated_bytes)
    standins = find_standins((flip.environment, flip.standin) for changed in shown for flip in changed.flips)
    page = render("changed.html", path=CHANGED_PAGE, week=week, shown=shown, standins=standins, pages=pages)
    return CHANGED_PAGE, page


def _order(changed: ChangedPackage) -> tuple[int, int, str, str]:
    known = -1 if changed.downloads is None else changed.downloads
    return -known, -max(flip.since for flip in changed.flips), changed.package, changed.new


def _from_finding(cell: AffectedCell, before: PreviousResult) -> ChangedCell:
    return ChangedCell(
        package=cell.package,
        old=before.version,
        new=cell.version,
        environment=cell.environment,
        before=before.result,
        shown=cell.shown,
        cause=cell.cause,
        since=cell.since,
        standin=cell.standin,
    )


def _checked_again(changes: Iterable[VerdictChange]) -> Iterator[ChangedCell]:
    # Only what a cell changed to last: changes come newest first.
    seen: set[tuple[Release, str]] = set()
    for change in changes:
        verdict = change.verdict
        cell = (verdict.release, verdict.environment)
        flipped = change.previous is not None and _flipped(change.previous, verdict.result)
        if cell not in seen and change.previous is not None and flipped and verdict.release not in shipped_exhibits():
            yield ChangedCell(
                package=verdict.release.package,
                old=verdict.release.version,
                new=verdict.release.version,
                environment=verdict.environment,
                before=change.previous,
                shown=verdict.shown,
                cause=verdict.cause,
                since=verdict.observed_at,
                standin=verdict.standin,
            )
        seen.add(cell)


def _flipped(before: Result, now: Result) -> bool:
    return (before is Result.PASS and now in FAILED) or (before in FAILED and now is Result.PASS)
