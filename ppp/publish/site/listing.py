"""Lists of cells by package: the newest on a page of their own, all of them by prefix where one page cannot hold them.

A page by prefix is a function of the rows on it alone, so one more row changes one such page and not the others.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ppp.model.judge import Judge
from ppp.model.record import Blame, Json, Phase, Result
from ppp.publish import text
from ppp.publish.api.encoding import Written, compact
from ppp.publish.api.package import affected_json
from ppp.publish.listings.entries import Card
from ppp.publish.listings.prefix_pages import Node, cut
from ppp.publish.listings.store import Shelves
from ppp.publish.packages.summary import Affected, Before
from ppp.publish.site.deferred import Content
from ppp.publish.site.front import render

#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
ROWS_BUDGET: Final = 28_000
#: How many cells a list's file holds, newest first; the pages by prefix hold all.
LISTED: Final = 5_000

#: Words as they are read again: there are some for each of many cells.
_RESULTS: Final[Mapping[str, Result]] = {str(result): result for result in Result}
_PHASES: Final[Mapping[str | None, Phase | None]] = {None: None} | {str(phase): phase for phase in Phase}
_BLAMES: Final[Mapping[str | None, Blame | None]] = {None: None} | {str(blame): blame for blame in Blame}
_JUDGES: Final[Mapping[str | None, Judge | None]] = {None: None} | {str(judge): judge for judge in Judge}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells of one package that a list is about, in the order of environments."""

    cells: tuple[Affected, ...]
    #: An estimate of its HTML in bytes, rather too high.
    cost: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Estimate its cost, once."""
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
    """A list; `folder` is where it stands in the site, and its shelf's name, `data` its file.

    `about` says what a row has in common; `below` are the first letters that have pages, with how many packages each
    has: none where one page holds all.
    """

    title: str
    about: str
    folder: str
    data: str
    shelves: Shelves

    @property
    def packages(self) -> int:
        """Count its rows."""
        return self.shelves.packages(self.folder)

    @property
    def cells(self) -> int:
        """Count its cells."""
        return self.shelves.cells(self.folder)

    def rows(self) -> Iterator[Row]:
        """Give its rows, newest first, then by name; no more is read than is taken."""
        return map(row_of, self.shelves.newest(self.folder))

    def nodes(self) -> Iterator[Node]:
        """Give the list itself as a node, and those below it that changed."""
        return cut(self.shelves.tree(self.folder), ROWS_BUDGET)


def card_of(folder: str, cells: Sequence[Affected], encoded: str) -> Card:
    """Give the card of a package's cells for a list, `encoded` as `encoded_cell` does each, with commas between."""
    row = Row(cells=tuple(cells))
    return Card(row.package, folder, row.package, row.since, row.cost, len(cells), encoded)


def encoded_cell(cell: Affected) -> str:
    """Give a cell as the files of lists hold it."""
    return compact(affected_json(cell))


def row_of(card: Card) -> Row:
    """Give the row that a card was made of."""
    return Row(cells=tuple(_cell(each) for each in json.loads(f"[{card.body}]")))


def _cell(held: dict[str, Any]) -> Affected:
    before = held["before"]
    return Affected(
        **held
        | {
            "result": _RESULTS[held["result"]],
            "phase": _PHASES[held["phase"]],
            "blame": _BLAMES[held["blame"]],
            "blamed_by": _JUDGES[held["blamed_by"]],
            "before": before and Before(version=before["version"], result=_RESULTS[before["result"]]),
        }
    )


def shown(newest: Iterable[Row]) -> list[Row]:
    """Give the newest rows that a list's own page has room for."""
    return text.fitting(newest, ROWS_BUDGET, lambda row: row.cost)


def prefix_pages(listing: Listing, below: Iterator[Node]) -> Iterator[tuple[str, Content]]:
    """`<folder>/<prefix>/index.html`: every package of a list by name, where its own page cannot hold all.

    `below` gives the nodes below the list itself that changed.
    """
    for node in below:
        path = f"{listing.folder}/{node.prefix}/index.html"
        yield path, partial(_prefix_page, path, (listing.title, listing.about, listing.folder), node)
        yield from gone_pages(listing, node)


def _prefix_page(path: str, of: tuple[str, str, str], node: Node) -> bytes:
    title, about, folder = of
    rows = [*map(row_of, node.cards)]
    return render("listed.html", path=path, title=title, about=about, folder=folder, node=node, rows=rows)


def gone_pages(listing: Listing, node: Node) -> Iterator[tuple[str, None]]:
    """Give the pages by prefix that are no more."""
    return ((f"{listing.folder}/{prefix}/index.html", None) for prefix in node.gone)


def listed(listing: Listing) -> Mapping[str, Json]:
    """Give a list as data: how many packages and cells, and the newest cells."""
    bodies, left = [], LISTED
    for body, cells in listing.shelves.bodies(listing.folder):
        bodies.append(body if cells <= left else ",".join(compact(cell) for cell in json.loads(f"[{body}]")[:left]))
        left -= cells
        if left <= 0:
            break
    return {
        "packages": listing.packages,
        "cells": listing.cells,
        "affected": Written(f"[{','.join(bodies)}]"),
    }
