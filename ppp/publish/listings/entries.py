"""What one package contributes to pages of many packages: entries, one for each listing it is in, and totals.

A listing is what a list of packages, a search shard or a cause's page is made of. The cache keeps every entry, so a
package without new records is not read again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ppp.publish.packages.totals import Totals

#: Keys of totals: how many entries a listing has, and how many cells they are about.
ENTRIES_IN_LISTING: Final = "entries in listing"
CELLS_IN_LISTING: Final = "cells in listing"
#: Fields of a cell that files show and pages by name do not: which record last observed it, and when.
_NOT_SHOWN: Final = ("observed_at", "record")


class ListingEntry(NamedTuple):
    """A package in a listing.

    `key` sorts entries by name, `rank` by time or by weight, greatest first; None: the listing is never ranked. `cost`
    estimates the entry's HTML in bytes, on the high side. `body` is JSON: what an array has between its brackets.
    `downloads` are the package's, None where unknown or not shown.
    """

    package: str
    listing: str
    key: str
    rank: int | None
    cost: int
    cells: int
    body: str
    downloads: int | None = None


#: An entry as it goes between processes and into the cache.
EntryRow = tuple[str, str, str, int | None, int, int, str, int | None]


#: A package that contributes: its name, its totals as JSON, when a verdict on it last changed (epoch s), severity.
ContributionRow = tuple[str, str, int, int]


class Contribution(NamedTuple):
    """What some packages contribute: a row for each; all entries; the sum of all totals."""

    packages: Sequence[ContributionRow]
    entries: Sequence[EntryRow]
    totals: Totals


def contribution_from(
    package: str, totals: Totals, entries: Iterable[ListingEntry], *, changed_at: int = 0, severity: int = 0
) -> Contribution:
    """Return what one package contributes; each entry also counts in the totals of its listing."""
    added, kept = Counter(totals), list(entries)
    for entry in kept:
        added[ENTRIES_IN_LISTING, entry.listing] += 1
        added[CELLS_IN_LISTING, entry.listing] += entry.cells
    text = json.dumps(list(added.items()), separators=(",", ":"))
    # Plain tuples go between processes in half the time of named ones.
    return Contribution([(package, text, changed_at, severity)], [entry[:] for entry in kept], added)


def combine(contributions: Iterable[Contribution]) -> Contribution:
    """Return several contributions as one."""
    packages: list[ContributionRow] = []
    entries: list[EntryRow] = []
    totals: Totals = Counter()
    for contribution in contributions:
        packages.extend(contribution.packages)
        entries.extend(contribution.entries)
        totals.update(contribution.totals)
    return Contribution(packages, entries, totals)


def most_downloaded_first(entries: Iterable[ListingEntry]) -> list[ListingEntry]:
    """Return entries by downloads, the most first; where these are equal or unknown, they stay in their order."""
    return sorted(entries, key=lambda entry: -1 if entry.downloads is None else entry.downloads, reverse=True)


def visible_content(entry: ListingEntry) -> tuple[int, object]:
    """Return what pages by name show of an entry: everything but when and by which record its cells were observed."""
    cells = json.loads(f"[{entry.body}]")
    for cell in cells:
        if isinstance(cell, dict):
            for name in _NOT_SHOWN:
                cell.pop(name, None)
    return entry.cost, cells
