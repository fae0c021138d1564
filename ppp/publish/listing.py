"""Lists of cells by package: the newest on a page of their own, all of them by prefix where one page cannot hold them.

A page by prefix is a function of the rows on it alone, so one more row changes one such page and not the others.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ppp.model.record import Json
from ppp.publish import text
from ppp.publish.api import affected_json
from ppp.publish.later import Later
from ppp.publish.pages import render
from ppp.publish.part import Affected
from ppp.publish.prefixes import Node, by_prefix

#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
ROWS_BUDGET: Final = 28_000
#: How many cells a list's file holds, newest first; the pages by prefix hold all.
LISTED: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of one package that a list is about, in the order of environments."""

    cells: tuple[Affected, ...]
    #: An estimate of its HTML in bytes, rather too high.
    cost: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Estimate its cost, once: it is asked for at every prefix."""
        object.__setattr__(self, "cost", self._cost())

    @property
    def package(self) -> str:
        """Give the package."""
        return self.cells[0].package

    @property
    def first(self) -> Affected:
        """Give the cell that speaks for all."""
        return self.cells[0]

    @property
    def since(self) -> int:
        """Give when the last of them came to what it is, in epoch seconds."""
        return max(cell.since for cell in self.cells)

    @property
    def alike(self) -> list[tuple[Affected, str]]:
        """Give the cells that came to the same: one that speaks for them, and their environments."""
        held: dict[tuple[str, bool], list[Affected]] = {}
        for cell in self.cells:
            held.setdefault((cell.result, cell.standin), []).append(cell)
        return [(cells[0], ", ".join(cell.environment for cell in cells)) for cells in held.values()]

    @property
    def causes(self) -> tuple[str, ...]:
        """Give their causes, each once."""
        return tuple(dict.fromkeys(cell.cause for cell in self.cells if cell.cause))

    def _cost(self) -> int:
        names = 2 * len(self.package) + 2 * len(self.first.version) + text.html_bytes(self.first.detail or "")
        return 360 + names + 90 * len(self.cells) + sum(70 + 2 * len(cause) for cause in self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A list; `folder` is where it stands in the site and `data` its file, `about` says what a row has in common."""

    title: str
    about: str
    folder: str
    data: str
    rows: Sequence[Row]

    @property
    def cells(self) -> int:
        """Count its cells."""
        return sum(len(row.cells) for row in self.rows)


def newest_rows(groups: Iterable[Sequence[Affected]]) -> list[Row]:
    """Make rows of each package's cells, newest first, then by name."""
    rows = [Row(cells=tuple(cells)) for cells in groups if cells]
    return sorted(rows, key=lambda row: (-row.since, row.package))


def shown(listing: Listing) -> list[Row]:
    """Give the newest rows that a list's own page has room for."""
    return text.fitting(listing.rows, ROWS_BUDGET, lambda row: row.cost)


def prefixes(listing: Listing) -> list[tuple[str, int]]:
    """Give the first letters that have pages, with how many packages each has; none where one page holds all."""
    return list(next(_nodes(listing)).below) if len(shown(listing)) < len(listing.rows) else []


def prefix_pages(listing: Listing) -> Iterator[tuple[str, Later]]:
    """`<folder>/<prefix>/index.html`: every package of a list by name, where its own page cannot hold all."""
    if len(shown(listing)) == len(listing.rows):
        return
    nodes = _nodes(listing)
    next(nodes)
    for node in nodes:
        path = f"{listing.folder}/{node.prefix}/index.html"
        make = partial(render, "listed.html", path=path, listing=listing, node=node, rows=node.items)
        yield path, Later(packages=[row.package for row in node.items], more=f"{node.below}", make=make)


def _nodes(listing: Listing) -> Iterator[Node[Row]]:
    keyed = sorted(((row.package, row) for row in listing.rows), key=lambda pair: pair[0])
    # The list's own page shows the newest; by name, all are below it.
    return by_prefix(keyed, lambda row: row.cost, ROWS_BUDGET)


def listed(rows: Sequence[Row]) -> Mapping[str, Json]:
    """Give a list as data: how many packages and cells, and the newest cells."""
    cells = [cell for row in rows for cell in row.cells]
    return {
        "packages": len(rows),
        "cells": len(cells),
        "affected": [affected_json(cell) for cell in cells[:LISTED]],
    }
