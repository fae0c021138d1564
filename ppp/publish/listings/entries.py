"""What one package brings to the pages of all: cards, each for one shelf, and what it adds to the sums.

A shelf is what a list, a search shard or a cause's page is made of. Who knows a card need not ask its package again.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ppp.publish.packages.totals import Sums

#: Sums of a shelf: how many cards stand on it, and how many cells these are about.
ON_SHELF: Final = "on shelf"
CELLS_ON_SHELF: Final = "cells on shelf"
#: What a cell's JSON tells of the record that saw it last, which files show and pages by name do not.
_UNSHOWN: Final = ("observed_at", "record")


class Card(NamedTuple):
    """A package on a shelf: `key` orders it by name, `rank` (greatest first) by time or by weight, None: not at all.

    `cost` estimates its HTML in bytes, rather too high; `body` is JSON: what stands between the brackets of an array.
    """

    package: str
    shelf: str
    key: str
    rank: int | None
    cost: int
    cells: int
    body: str


#: A card as it goes from one process to another, and into a memory.
Row = tuple[str, str, str, int | None, int, int, str]


class Brought(NamedTuple):
    """All that some packages bring: of each what it adds to the sums, as JSON; their cards; what all add together."""

    packages: Sequence[tuple[str, str]]
    cards: Sequence[Row]
    sums: Sums


def brought_by(package: str, sums: Sums, cards: Iterable[Card]) -> Brought:
    """Give all that one package brings: each card counts in the sums of its shelf, too."""
    added, held = Counter(sums), list(cards)
    for card in held:
        added[ON_SHELF, card.shelf] += 1
        added[CELLS_ON_SHELF, card.shelf] += card.cells
    text = json.dumps(list(added.items()), separators=(",", ":"))
    # As plain tuples, they take half the time to go from one process to another.
    return Brought([(package, text)], [card[:] for card in held], added)


def together(brought: Iterable[Brought]) -> Brought:
    """Give what packages bring together."""
    packages: list[tuple[str, str]] = []
    cards: list[Row] = []
    sums: Sums = Counter()
    for each in brought:
        packages.extend(each.packages)
        cards.extend(each.cards)
        sums.update(each.sums)
    return Brought(packages, cards, sums)


def shown(card: Card) -> tuple[int, object]:
    """Give what pages by name show of a card: all but which record saw its cells last."""
    cells = json.loads(f"[{card.body}]")
    for cell in cells:
        if isinstance(cell, dict):
            for name in _UNSHOWN:
                cell.pop(name, None)
    return card.cost, cells
