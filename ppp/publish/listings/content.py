"""What the pages and files of one listing show, read from the store: everything that rendering them needs."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ppp.publish.listings.entries import ListingEntry
from ppp.publish.listings.prefix_pages import PrefixPage, split_into_pages
from ppp.publish.listings.store import ListingStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ListingContent:
    """One listing at one moment.

    `newest` are its first entries by rank, `foremost` those by downloads, `newest_cells` the JSON of its newest cells,
    with commas between them. `first_page` is the page of the listing itself; `other_pages` are those below it that
    changed. These are read as they are iterated over, once, so that a long listing is never in memory as a whole.
    `changed` is False where every page by name shows what it showed after the last build.
    """

    packages: int
    cells: int
    newest: tuple[ListingEntry, ...]
    foremost: tuple[ListingEntry, ...]
    newest_cells: str
    first_page: PrefixPage
    other_pages: Iterator[PrefixPage]
    changed: bool

    @property
    def by_downloads(self) -> bool:
        """Return whether the downloads of any of its packages are known."""
        return bool(self.foremost) and self.foremost[0].downloads is not None


def read_listing(
    store: ListingStore, listing: str, *, page_budget: int, min_entries: int, max_cells: int
) -> ListingContent:
    """Read a listing: pages of at most `page_budget` bytes of rows, `min_entries` by rank, the JSON of `max_cells`."""
    pages = split_into_pages(store.entry_tree(listing), page_budget)
    newest = tuple(_newest(store, listing, min_entries))
    foremost = tuple(islice(store.by_downloads(listing), min_entries))
    return ListingContent(
        packages=store.package_count(listing),
        cells=store.cell_count(listing),
        newest=newest,
        foremost=foremost,
        newest_cells=_newest_cells(store, listing, max_cells),
        first_page=next(pages),
        other_pages=pages,
        changed=store.has_changed(listing),
    )


def _newest(store: ListingStore, listing: str, min_entries: int) -> Iterator[ListingEntry]:
    # Entries that rank with the last one belong to it: which of them a feed shows is decided by their cells' ids.
    last_rank: int | None = None
    for place, entry in enumerate(store.by_rank(listing), 1):
        if place > min_entries and entry.rank != last_rank:
            break
        last_rank = entry.rank
        yield entry


def _newest_cells(store: ListingStore, listing: str, max_cells: int) -> str:
    bodies: list[str] = []
    for body, cells in store.bodies(listing):
        bodies.append(body if cells <= max_cells else _first_cells(body, max_cells))
        max_cells -= cells
        if max_cells <= 0:
            break
    return ",".join(bodies)


def _first_cells(body: str, count: int) -> str:
    cells = json.loads(f"[{body}]")[:count]
    return json.dumps(cells, separators=(",", ":"), sort_keys=True)[1:-1]
