"""`/findings/`: what several cells show together, each kind with its page, its file and its feeds.

All of it is made of parts, so every number on these pages, in these files and on the front page is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ppp.ledger.published import Finding
from ppp.publish.chains import Chain, chains_document, chains_of, shown_chains, unnamed
from ppp.publish.documents import document_bytes
from ppp.publish.feeds import finding_feed
from ppp.publish.jsonfeed import feed_files
from ppp.publish.kinds import TOLD, FindingKind
from ppp.publish.later import Later
from ppp.publish.listing import Listing, listed, newest_rows, prefix_pages, prefixes, shown
from ppp.publish.pages import render
from ppp.publish.part import Part

FINDING_SCHEMA: Final = "ppp-finding-1"
#: Packages of each kind that the front page may have room for.
FRONT: Final = 20
CHAINS_PATH: Final = "api/v1/dependency-chains.json"


def finding_listings(found: Sequence[Part]) -> dict[FindingKind, Listing]:
    """Make a list of each kind of finding, from the parts of all packages."""
    return {
        kind: Listing(
            title=TOLD[kind][0],
            about=f"The newest release {TOLD[kind][1]}.",
            folder=f"findings/{kind}",
            data=f"api/v1/{kind}.json",
            rows=newest_rows(part.found.get(kind, ()) for part in found),
        )
        for kind in FindingKind
    }


def front_findings(listings: Mapping[FindingKind, Listing]) -> dict[FindingKind, tuple[int, list[Finding]]]:
    """Give what the front page tells of each kind: how many packages, and the newest of them."""
    return {
        kind: (
            len(listing.rows),
            [
                Finding(package=row.package, environments=tuple(c.environment for c in row.cells), causes=row.causes)
                for row in listing.rows[:FRONT]
            ],
        )
        for kind, listing in listings.items()
    }


def finding_pages(
    found: Sequence[Part], listings: Mapping[FindingKind, Listing], *, as_of: int | None, base_url: str
) -> Iterator[tuple[str, bytes | Later]]:
    """`/findings/index.html`, and for each kind its pages, `/api/v1/<kind>.json` and `/findings/<kind>/feed.xml`."""
    path = "findings/index.html"
    yield path, render("findings.html", path=path, listings=listings, told=TOLD, as_of=as_of)
    chains = chains_of(found)
    for kind, listing in listings.items():
        yield _finding_page(kind, listing, chains, as_of)
        yield from prefix_pages(listing)
        yield listing.data, document_bytes(_document(kind, listing, as_of))
        cells = (cell for row in listing.rows for cell in row.cells)
        yield from feed_files(finding_feed(kind, cells), f"{listing.folder}/", base_url)
    yield CHAINS_PATH, document_bytes(chains_document(chains, as_of))


def _finding_page(kind: FindingKind, listing: Listing, chains: Sequence[Chain], as_of: int | None) -> tuple[str, bytes]:
    path = f"{listing.folder}/index.html"
    with_chains = kind is FindingKind.BROKEN_DEPENDENCY
    page = render(
        "finding.html",
        path=path,
        listing=listing,
        rows=shown(listing),
        below=prefixes(listing),
        as_of=as_of,
        schema="finding",
        feeds=True,
        chains=shown_chains(chains) if with_chains else [],
        all_chains=len(chains) if with_chains else 0,
        chains_path=CHAINS_PATH,
        unnamed=unnamed(cell for row in listing.rows for cell in row.cells) if with_chains else 0,
    )
    return path, page


def _document(kind: FindingKind, listing: Listing, as_of: int | None) -> dict[str, object]:
    return {
        "schema": FINDING_SCHEMA,
        "as_of": as_of,
        "finding": str(kind),
        "title": listing.title,
        "meaning": listing.about,
        **listed(listing.rows),
    }
