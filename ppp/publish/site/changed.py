"""What changed in the week before the newest record: packages that fail where they passed, or pass where they failed.

A change is one from the release before to the newest one, or a verdict on one release that differs from the verdict
before. Everything here is pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.ledger.published import VerdictChange
from ppp.model.record import Result
from ppp.model.release import Release
from ppp.model.shown import Shown
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.summary import FAILED
from ppp.publish.site.listing import Listing
from ppp.watch.exhibits import shipped_exhibits

WEEK_S: Final = 7 * 86_400
#: The findings that compare the newest release with the one before.
_COMPARED: Final = (FindingKind.NEWLY_BROKEN, FindingKind.FIXED)


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
        found: dict[tuple[Result, Shown, str | None], list[ChangedCell]] = {}
        for flip in self.flips:
            found.setdefault((flip.before, flip.shown, flip.cause), []).append(flip)
        return [(flips[0], ", ".join(flip.environment for flip in flips)) for flips in found.values()]

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        names = 2 * len(self.package) + len(self.old) + len(self.new)
        return 160 + names + sum(130 + len(places) + 2 * len(flip.cause or "") for flip, places in self.groups)


def changed_packages(
    listings: Mapping[FindingKind, Listing], changes: Iterable[VerdictChange], as_of: int | None
) -> list[ChangedPackage]:
    """Return the packages that changed in the week before `as_of`: the most downloaded first, then the newest first."""
    start = (as_of or 0) - WEEK_S
    downloads: dict[str, int | None] = {}
    grouped: dict[tuple[str, str, str], dict[str, ChangedCell]] = {}
    for flip, known in (*_compared(listings), *((flip, None) for flip in _checked_again(changes))):
        if flip.since > start:
            downloads[flip.package] = known if known is not None else downloads.get(flip.package)
            grouped.setdefault((flip.package, flip.old, flip.new), {}).setdefault(flip.environment, flip)
    packages = [
        ChangedPackage(package=package, old=old, new=new, flips=[*flips.values()], downloads=downloads[package])
        for (package, old, new), flips in grouped.items()
    ]
    return sorted(packages, key=_order)


def _order(changed: ChangedPackage) -> tuple[int, int, str, str]:
    known = -1 if changed.downloads is None else changed.downloads
    return -known, -max(flip.since for flip in changed.flips), changed.package, changed.new


def _compared(listings: Mapping[FindingKind, Listing]) -> Iterator[tuple[ChangedCell, int | None]]:
    for kind in _COMPARED:
        for row in listings[kind].newest_rows():
            for cell in row.cells:
                if cell.before:
                    yield (
                        ChangedCell(
                            package=cell.package,
                            old=cell.before.version,
                            new=cell.version,
                            environment=cell.environment,
                            before=cell.before.result,
                            shown=cell.shown,
                            cause=cell.cause,
                            since=cell.since,
                        ),
                        row.downloads,
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
            )
        seen.add(cell)


def _flipped(before: Result, now: Result) -> bool:
    return (before is Result.PASS and now in FAILED) or (before in FAILED and now is Result.PASS)
