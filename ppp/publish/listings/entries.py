"""What one package brings to the pages of all: cards, each for one shelf, and what it adds to the sums.

A shelf is what a list, a search shard or a cause's page is made of. Who knows a card need not ask its package again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ppp.publish.packages.totals import Totals

#: Sums of a shelf: how many cards stand on it, and how many cells these are about.
ENTRIES_IN_LISTING: Final = "on shelf"
CELLS_IN_LISTING: Final = "cells on shelf"
#: What a cell's JSON tells of the record that saw it last, which files show and pages by name do not.
_NOT_SHOWN: Final = ("observed_at", "record")


class ListingEntry(NamedTuple):
    """A package on a shelf: `key` orders it by name, `rank` (greatest first) by time or by weight, None: not at all.

    `cost` estimates its HTML in bytes, rather too high; `body` is JSON: what stands between the brackets of an array.
    """

    package: str
    listing: str
    key: str
    rank: int | None
    cost: int
    cells: int
    body: str


#: A card as it goes from one process to another, and into a memory.
EntryRow = tuple[str, str, str, int | None, int, int, str]


class Contribution(NamedTuple):
    """All that some packages bring: of each what it adds to the sums, as JSON; their cards; what all add together."""

    packages: Sequence[tuple[str, str]]
    entries: Sequence[EntryRow]
    totals: Totals


def contribution_from(package: str, totals: Totals, entries: Iterable[ListingEntry]) -> Contribution:
    """Give all that one package brings: each card counts in the sums of its shelf, too."""
    added, held = Counter(totals), list(entries)
    for card in held:
        added[ENTRIES_IN_LISTING, card.listing] += 1
        added[CELLS_IN_LISTING, card.listing] += card.cells
    text = json.dumps(list(added.items()), separators=(",", ":"))
    # As plain tuples, they take half the time to go from one process to another.
    return Contribution([(package, text)], [card[:] for card in held], added)


def combine(contributions: Iterable[Contribution]) -> Contribution:
    """Give what packages bring together."""
    packages: list[tuple[str, str]] = []
    cards: list[EntryRow] = []
    sums: Totals = Counter()
    for each in contributions:
        packages.extend(each.packages)
        cards.extend(each.entries)
        sums.update(each.totals)
    return Contribution(packages, cards, sums)


def visible_content(card: ListingEntry) -> tuple[int, object]:
    """Give what pages by name show of a card: all but which record saw its cells last."""
    cells = json.loads(f"[{card.body}]")
    for cell in cells:
        if isinstance(cell, dict):
            for name in _NOT_SHOWN:
                cell.pop(name, None)
    return card.cost, cells
