"""Lists of cells by package: the newest on a page of their own, all of them by prefix where one page cannot hold them.

A page by prefix is a function of the rows on it alone, so one more row changes one such page and not the others.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ppp.model.blame import BlameSource
from ppp.model.record import Blame, Json, Phase, Result
from ppp.publish import text
from ppp.publish.api.encoding import EncodedJson, compact_json
from ppp.publish.api.package import affected_json
from ppp.publish.listings.content import ListingContent
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.listings.prefix_pages import PrefixPage
from ppp.publish.packages.summary import AffectedCell, PreviousResult
from ppp.publish.site.deferred import Content
from ppp.publish.site.front import render

#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
ROWS_BUDGET: Final = 28_000
#: How many cells a list's file holds, newest first; the pages by prefix hold all.
MAX_CELLS: Final = 5_000

#: Words as they are read again: there are some for each of many cells.
_RESULTS: Final[Mapping[str, Result]] = {str(result): result for result in Result}
_PHASES: Final[Mapping[str | None, Phase | None]] = {None: None} | {str(phase): phase for phase in Phase}
_BLAMES: Final[Mapping[str | None, Blame | None]] = {None: None} | {str(blame): blame for blame in Blame}
_JUDGES: Final[Mapping[str | None, BlameSource | None]] = {None: None} | {str(judge): judge for judge in BlameSource}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """The cells of one package that a list is about, in the order of environments."""

    cells: tuple[AffectedCell, ...]
    #: An estimate of its HTML in bytes, rather too high.
    estimated_bytes: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Estimate its cost, once."""
        object.__setattr__(self, "estimated_bytes", self._estimate_bytes())

    @property
    def package(self) -> str:
        """Give the package."""
        return self.cells[0].package

    @property
    def first(self) -> AffectedCell:
        """Give the cell that speaks for all."""
        return self.cells[0]

    @property
    def since(self) -> int:
        """Give when the last of them came to what it is, in epoch seconds."""
        return max(cell.since for cell in self.cells)

    @property
    def alike(self) -> list[tuple[AffectedCell, str]]:
        """Give the cells that came to the same: one that speaks for them, and their environments."""
        held: dict[tuple[str, bool], list[AffectedCell]] = {}
        for cell in self.cells:
            held.setdefault((cell.result, cell.standin), []).append(cell)
        return [(cells[0], ", ".join(cell.environment for cell in cells)) for cells in held.values()]

    @property
    def causes(self) -> tuple[str, ...]:
        """Give their causes, each once."""
        return tuple(dict.fromkeys(cell.cause for cell in self.cells if cell.cause))

    def _estimate_bytes(self) -> int:
        names = 2 * len(self.package) + 2 * len(self.first.version) + text.html_size(self.first.detail or "")
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
    content: ListingContent

    @property
    def packages(self) -> int:
        """Count its rows."""
        return self.content.packages

    @property
    def cells(self) -> int:
        """Count its cells."""
        return self.content.cells

    def rows(self) -> Iterator[ListingRow]:
        """Give its newest rows, then by name: as many as a page or a feed shows."""
        return map(row_from_entry, self.content.newest)


def listing_entry(folder: str, cells: Sequence[AffectedCell], encoded: str) -> ListingEntry:
    """Give the card of a package's cells for a list, `encoded` as `encoded_cell` does each, with commas between."""
    row = ListingRow(cells=tuple(cells))
    return ListingEntry(row.package, folder, row.package, row.since, row.estimated_bytes, len(cells), encoded)


def encode_cell(cell: AffectedCell) -> str:
    """Give a cell as the files of lists hold it."""
    return compact_json(affected_json(cell))


def row_from_entry(entry: ListingEntry) -> ListingRow:
    """Give the row that a card was made of."""
    return ListingRow(cells=tuple(_decode_cell(each) for each in json.loads(f"[{entry.body}]")))


def _decode_cell(encoded: dict[str, Any]) -> AffectedCell:
    before = encoded["before"]
    return AffectedCell(
        **encoded
        | {
            "result": _RESULTS[encoded["result"]],
            "phase": _PHASES[encoded["phase"]],
            "blame": _BLAMES[encoded["blame"]],
            "blamed_by": _JUDGES[encoded["blamed_by"]],
            "before": before and PreviousResult(version=before["version"], result=_RESULTS[before["result"]]),
        }
    )


def fitting_rows(newest: Iterable[ListingRow]) -> list[ListingRow]:
    """Give the newest rows that a list's own page has room for."""
    return text.fit_budget(newest, ROWS_BUDGET, lambda row: row.estimated_bytes)


def prefix_page_files(listing: Listing) -> Iterator[tuple[str, Content]]:
    """`<folder>/<prefix>/index.html`: every package of a list by name, where its own page cannot hold all.

    Those that changed, and those that are gone.
    """
    yield from removed_pages(listing, listing.content.first_page)
    for node in listing.content.other_pages:
        path = f"{listing.folder}/{node.prefix}/index.html"
        yield path, partial(_prefix_page, path, (listing.title, listing.about, listing.folder), node)
        yield from removed_pages(listing, node)


def _prefix_page(path: str, of: tuple[str, str, str], node: PrefixPage) -> bytes:
    title, about, folder = of
    rows = [*map(row_from_entry, node.entries)]
    return render("listed.html", path=path, title=title, about=about, folder=folder, node=node, rows=rows)


def removed_pages(listing: Listing, node: PrefixPage) -> Iterator[tuple[str, None]]:
    """Give the pages by prefix that are no more."""
    return ((f"{listing.folder}/{prefix}/index.html", None) for prefix in node.removed)


def listing_document(listing: Listing) -> Mapping[str, Json]:
    """Give a list as data: how many packages and cells, and the newest cells."""
    return {
        "packages": listing.packages,
        "cells": listing.cells,
        "affected": EncodedJson(f"[{listing.content.newest_cells}]"),
    }
