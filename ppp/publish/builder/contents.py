"""What the site is made of: the files of one package, from its own records, and those of all, from cards and counts.

A package's files and what it brings depend on its own records alone; nothing of all packages asks for one again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ppp.ledger import published
from ppp.model.matrix import Environment
from ppp.publish.api.badges import badge_files, package_badge
from ppp.publish.api.package import api_index, package_file
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import package_feed
from ppp.publish.listings.store import ListingStore
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.summary import PackageSummary, summarize
from ppp.publish.site.causes import CauseOverview, cause_pages
from ppp.publish.site.deferred import Content
from ppp.publish.site.dependency_chains import read_chains
from ppp.publish.site.directory import directory_pages, search_files
from ppp.publish.site.environments import environment_pages
from ppp.publish.site.findings import finding_pages
from ppp.publish.site.front import about_page
from ppp.publish.site.listing import Listing
from ppp.publish.site.package import package_page
from ppp.publish.site.sitemap import crawler_files, sitemap_files
from ppp.publish.site.sql import sql_files
from ppp.resources import resource


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteData:
    """What the pages of all packages are made of; `shelves` hold the cards of all packages."""

    shelves: ListingStore
    listings: dict[FindingKind, Listing]
    counts: published.Counts
    environments: Sequence[Environment]
    causes: CauseOverview
    base_url: str


def package_contents(
    held: PackageHistory, environments: Sequence[Environment], log_of: Callable[[str], str | None], base_url: str
) -> tuple[PackageSummary, list[tuple[str, bytes]]]:
    """Give a package's part, and its page, data, badges and feed with their paths."""
    package = held.package
    part = summarize(held)
    badge = package_badge(part, base_url)
    path = f"p/{package}/atom.xml"
    feed = atom(package_feed(package, held.changes), path=path, base_url=base_url)
    return part, [
        package_page(held, part, environments, log_of, badge=badge),
        package_file(held, part),
        *badge_files(part),
        (path, feed),
    ]


def site_contents(all_: SiteData) -> Iterator[tuple[str, Content]]:
    """Give the files of all packages together that may have changed, but for the front page and the overall feeds."""
    counts, shelves = all_.counts, all_.shelves
    yield from directory_pages(shelves, counts.as_of)
    yield from search_files(shelves)
    yield from finding_pages(all_.listings, read_chains(shelves), as_of=counts.as_of, base_url=all_.base_url)
    yield from environment_pages(shelves, all_.environments, counts, all_.causes)
    yield from cause_pages(all_.causes, all_.environments, counts.as_of)
    yield api_index(counts, all_.environments)
    yield from sitemap_files(shelves, _pages(all_), all_.base_url)


def static_contents(base_url: str) -> Iterator[tuple[str, bytes]]:
    """Give the files that no record changes: our prose, the page that asks in SQL, what pages and crawlers load."""
    yield about_page()
    yield from sql_files()
    yield from crawler_files(base_url)
    for folder, target in (("site/style", ""), ("site/script", ""), ("site/schemas", "schemas/")):
        for source in sorted(resource(folder).iterdir()):
            yield f"{target}{source.name}", source.read_bytes()


def _pages(all_: SiteData) -> list[str]:
    return [
        *("index.html", "about/index.html", "packages/index.html", "causes/index.html", "sql/index.html"),
        *("data/index.html", "findings/index.html", "env/index.html"),
        *(f"findings/{kind}/index.html" for kind in all_.listings),
        *(f"env/{environment.id}/index.html" for environment in all_.environments),
        *(f"causes/{each.cause}/index.html" for each in sorted(all_.causes.explained, key=lambda c: c.cause)),
    ]
