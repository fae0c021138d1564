"""`/findings/`: patterns across the cells of a release; each kind has pages, a JSON file and feeds.

All are rendered from the same listings, so the numbers on these pages, in the files and on the front page agree.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ppp.model.site_address import SiteAddresses
from ppp.publish.api.encoding import document_bytes
from ppp.publish.feeds.entries import finding_feed
from ppp.publish.feeds.jsonfeed import feed_files
from ppp.publish.listings.content import ListingContent
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.site.addresses import datasette_finding
from ppp.publish.site.deferred import Content
from ppp.publish.site.dependency_chains import DependencyChain, cells_without_dependency, chains_document, shown_chains
from ppp.publish.site.listing import (
    Listing,
    ListingRow,
    fitting_rows,
    listing_document,
    prefix_page_files,
)
from ppp.publish.site.templates import render

FINDING_SCHEMA: Final = "ppp-finding-1"
CHAINS_PATH: Final = "api/v1/dependency-chains.json"


def finding_listings(contents: Mapping[FindingKind, ListingContent]) -> dict[FindingKind, Listing]:
    """Return the listing of each kind of finding."""
    return {
        kind: Listing(
            title=FINDING_TEXTS[kind][0],
            about=f"The newest release {FINDING_TEXTS[kind][1]}.",
            folder=finding_folder(kind),
            data_path=f"api/v1/{kind}.json",
            content=content,
        )
        for kind, content in contents.items()
    }


def finding_folder(kind: FindingKind) -> str:
    """Return the folder of a kind's pages, which is also the name of its listing."""
    return f"findings/{kind}"


def finding_pages(
    listings: Mapping[FindingKind, Listing],
    chains: Sequence[DependencyChain],
    pages: PackagePages = ALL_PAGES,
    *,
    as_of: int | None,
    addresses: SiteAddresses,
) -> Iterator[tuple[str, Content]]:
    """Yield `/findings/index.html`, and for each kind its pages, `/api/v1/<kind>.json` and its feeds.

    Pages by prefix and feeds that did not change since the last build are left out.
    """
    path = "findings/index.html"
    yield path, render("findings.html", path=path, listings=listings, texts=FINDING_TEXTS, as_of=as_of)
    for kind, listing in listings.items():
        shown = chains if kind is FindingKind.BROKEN_DEPENDENCY else None
        datasette = datasette_finding(addresses.datasette_url, kind)
        yield _finding_page(listing, fitting_rows(listing.rows()), shown, as_of, pages, datasette=datasette)
        yield from prefix_page_files(listing)
        yield listing.data_path, document_bytes(_document(kind, listing, as_of))
        if listing.content.changed:
            cells = (cell for row in listing.newest_rows() for cell in row.cells)
            yield from feed_files(finding_feed(kind, cells, pages=pages), f"{listing.folder}/", addresses.base_url)
    yield CHAINS_PATH, document_bytes(chains_document(chains, as_of))


def _finding_page(
    listing: Listing,
    rows: Sequence[ListingRow],
    chains: Sequence[DependencyChain] | None,
    as_of: int | None,
    pages: PackagePages,
    *,
    datasette: str,
) -> tuple[str, bytes]:
    path = f"{listing.folder}/index.html"
    page = render(
        "finding.html",
        path=path,
        listing=listing,
        rows=rows,
        below=listing.content.first_page.below,
        as_of=as_of,
        schema="finding",
        feeds=True,
        chains=shown_chains(chains or ()),
        all_chains=len(chains or ()),
        chains_path=CHAINS_PATH,
        pages=pages,
        datasette=datasette,
        cells_without_dependency=0 if chains is None else cells_without_dependency(chains, listing.cells),
    )
    return path, page


def _document(kind: FindingKind, listing: Listing, as_of: int | None) -> dict[str, object]:
    return {
        "schema": FINDING_SCHEMA,
        "as_of": as_of,
        "finding": str(kind),
        "title": listing.title,
        "meaning": listing.about,
        **listing_document(listing),
    }
