"""Listings of cells by package: the newest on the main page, all on pages by prefix if the main page is too small.

A page by prefix depends only on its own rows, so a new row changes only one of them.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from ppp.model.blame import BlameSource
from ppp.model.canonical import Json
from ppp.model.record import Blame, Phase, Result
from ppp.model.shown import Shown
from ppp.publish import text
from ppp.publish.api.encoding import EncodedJson, compact_json
from ppp.publish.api.package import affected_json
from ppp.publish.listings.content import ListingContent
from ppp.publish.listings.entries import ListingEntry, most_downloaded_first
from ppp.publish.listings.prefix_pages import PrefixPage
from ppp.publish.packages.pages import ALL_PAGES
from ppp.publish.packages.summary import AffectedCell, PreviousResult
from ppp.publish.site.deferred import Content
from ppp.publish.site.templates import render

#: Bytes of HTML for the rows of a page, so that it stays under 50 kB however long the names are.
ROWS_BUDGET: Final = 28_000
#: The most cells in the JSON file of a listing, newest first; the pages by prefix have all.
MAX_CELLS: Final = 5_000

#: The most different remarks of one package that a page shows; the JSON file has all.
MAX_NOTES: Final = 3

#: Enum members by value, faster than calling the enum for each of many cells.
_RESULTS: Final[Mapping[str, Result]] = {str(result): result for result in Result}
_PHASES: Final[Mapping[str | None, Phase | None]] = {None: None} | {str(phase): phase for phase in Phase}
_BLAMES: Final[Mapping[str | None, Blame | None]] = {None: None} | {str(blame): blame for blame in Blame}
_JUDGES: Final[Mapping[str | None, BlameSource | None]] = {None: None} | {str(judge): judge for judge in BlameSource}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingRow:
    """The affected cells of one package, in the order of environments, and its downloads, None where unknown."""

    cells: tuple[AffectedCell, ...]
    downloads: int | None = None
    #: An upper estimate of the size of its HTML in bytes.
    estimated_bytes: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the estimate once."""
        object.__setattr__(self, "estimated_bytes", self._estimate_bytes())

    @property
    def package(self) -> str:
        """Return the name of the package."""
        return self.cells[0].package

    @property
    def first(self) -> AffectedCell:
        """Return the cell that represents the row."""
        return self.cells[0]

    @property
    def since(self) -> int:
        """Return when the result of any of its cells last changed, in epoch seconds."""
        return max(cell.since for cell in self.cells)

    @property
    def result_groups(self) -> list[tuple[AffectedCell, str]]:
        """Return groups of cells that are shown alike: one representative and the environments of each group."""
        groups: dict[tuple[Shown, bool], list[AffectedCell]] = {}
        for cell in self.cells:
            groups.setdefault((cell.shown, cell.standin), []).append(cell)
        return [(cells[0], ", ".join(cell.environment for cell in cells)) for cells in groups.values()]

    @property
    def causes(self) -> tuple[str, ...]:
        """Return the causes of its cells, without duplicates."""
        return tuple(dict.fromkeys(cell.cause for cell in self.cells if cell.cause))

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Return what is said of the cells, at most `MAX_NOTES` lines, each with its environments.

        Where all cells have one remark, or none has any, there is one line for all of them.
        """
        groups: dict[str, list[str]] = {}
        for cell in self.cells:
            if cell.remark:
                groups.setdefault(cell.remark, []).append(cell.environment)
        if not groups:
            return [(self.first.detail, "")] if self.first.detail else []
        if len(groups) == 1:
            return [(remark, "") for remark in groups]
        return [(remark, ", ".join(places)) for remark, places in [*groups.items()][:MAX_NOTES]]

    def _estimate_bytes(self) -> int:
        notes = sum(text.html_size(words) + (50 + 3 * len(places) if places else 0) for words, places in self.notes)
        names = 2 * len(self.package) + 2 * len(self.first.version)
        known = 30 if self.downloads is not None else 0
        known += 60 + len(self.first.index_newest) if self.first.index_newest else 0
        return 360 + known + names + notes + 90 * len(self.cells) + sum(70 + 2 * len(cause) for cause in self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing of packages: `folder` is the path of its pages and its name in the store, `data_path` its JSON file.

    `about` is a sentence that says what its packages have in common.
    """

    title: str
    about: str
    folder: str
    data_path: str
    content: ListingContent

    @property
    def packages(self) -> int:
        """Return the number of its packages."""
        return self.content.packages

    @property
    def cells(self) -> int:
        """Return the number of its cells."""
        return self.content.cells

    def newest_rows(self) -> Iterator[ListingRow]:
        """Yield its newest rows, as many as a feed shows: newest first, then by name."""
        return map(row_from_entry, self.content.newest)

    def rows(self) -> Iterator[ListingRow]:
        """Yield its first rows, as many as a page shows: most downloaded first, then newest first, then by name."""
        return map(row_from_entry, self.content.foremost)


def listing_entry(
    folder: str, cells: Sequence[AffectedCell], encoded: str, downloads: int | None = None
) -> ListingEntry:
    """Return the entry of a package's cells in a listing; `encoded` joins the output of `encode_cell` with commas."""
    row = ListingRow(cells=tuple(cells), downloads=downloads)
    cost = row.estimated_bytes
    return ListingEntry(row.package, folder, row.package, row.since, cost, len(cells), encoded, downloads)


def encode_cell(cell: AffectedCell) -> str:
    """Return a cell as JSON text, as in the files of listings."""
    return compact_json(affected_json(cell))


def row_from_entry(entry: ListingEntry) -> ListingRow:
    """Return the row from which an entry was created."""
    cells = tuple(_decode_cell(each) for each in json.loads(f"[{entry.body}]"))
    return ListingRow(cells=cells, downloads=entry.downloads)


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


def fitting_rows(rows: Iterable[ListingRow]) -> list[ListingRow]:
    """Return the first rows that fit on the main page of a listing."""
    return text.fit_budget(rows, ROWS_BUDGET, lambda row: row.estimated_bytes)


def prefix_page_files(listing: Listing) -> Iterator[tuple[str, Content]]:
    """Yield `<folder>/<prefix>/index.html` for each page by prefix that changed, with None if it is to be removed."""
    yield from removed_pages(listing, listing.content.first_page)
    for node in listing.content.other_pages:
        path = f"{listing.folder}/{node.prefix}/index.html"
        yield path, partial(_prefix_page, path, (listing.title, listing.about, listing.folder), node)
        yield from removed_pages(listing, node)


def _prefix_page(path: str, of: tuple[str, str, str], node: PrefixPage) -> bytes:
    title, about, folder = of
    rows = [*map(row_from_entry, most_downloaded_first(node.entries))]
    # Packages without a page are in no page by name.
    pages = ALL_PAGES
    return render("listed.html", path=path, title=title, about=about, folder=folder, node=node, rows=rows, pages=pages)


def removed_pages(listing: Listing, node: PrefixPage) -> Iterator[tuple[str, None]]:
    """Return the paths of the pages below `node` that no longer exist, each with None."""
    return ((f"{listing.folder}/{prefix}/index.html", None) for prefix in node.removed)


def listing_document(listing: Listing) -> Mapping[str, Json]:
    """Return the data of a listing: the number of packages and cells, and the newest cells."""
    return {
        "packages": listing.packages,
        "cells": listing.cells,
        "affected": EncodedJson(f"[{listing.content.newest_cells}]"),
    }
