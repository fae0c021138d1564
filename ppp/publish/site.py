"""What the site is made of: the files of one package, from its own records, and those of all, from parts and counts.

A package's files and its part depend on its own records alone; nothing of all packages asks for one package again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ppp.ledger import published
from ppp.model.matrix import Environment
from ppp.publish.api import api_index, package_file
from ppp.publish.atom import atom
from ppp.publish.badges import badge_files, badge_of
from ppp.publish.causes import Causes
from ppp.publish.directory import directory_pages, search_files
from ppp.publish.environments import environment_pages
from ppp.publish.feeds import package_feed
from ppp.publish.findings import finding_pages
from ppp.publish.kinds import FindingKind
from ppp.publish.later import Later
from ppp.publish.listing import Listing
from ppp.publish.package import package_page
from ppp.publish.part import Held, Part, part_of
from ppp.publish.sitemap import plain_files, sitemap_files


@dataclass(frozen=True, slots=True, kw_only=True)
class All:
    """What the pages of all packages are made of; `found` holds the parts of all packages, sorted by name."""

    found: Sequence[Part]
    listings: dict[FindingKind, Listing]
    counts: published.Counts
    environments: Sequence[Environment]
    causes: Causes
    base_url: str


def package_contents(
    held: Held, environments: Sequence[Environment], log_of: Callable[[str], str | None], base_url: str
) -> tuple[Part, list[tuple[str, bytes]]]:
    """Give a package's part, and its page, data, badges and feed with their paths."""
    package = held.package
    part = part_of(held)
    badge = badge_of(part, base_url)
    path = f"p/{package}/atom.xml"
    feed = atom(package_feed(package, held.changes), path=path, base_url=base_url)
    return part, [
        package_page(held, part, environments, log_of, badge=badge),
        package_file(held, part),
        *badge_files(part),
        (path, feed),
    ]


def overall_contents(all_: All) -> Iterator[tuple[str, bytes | Later]]:
    """Give the files of all packages together, but for the front page, the causes and the overall feeds."""
    counts, found = all_.counts, all_.found
    yield from directory_pages(found, counts.as_of)
    yield from search_files(found)
    yield from finding_pages(found, all_.listings, as_of=counts.as_of, base_url=all_.base_url)
    yield from environment_pages(found, all_.environments, counts, all_.causes)
    yield api_index(counts, all_.environments)
    yield from sitemap_files([part.package for part in found], _pages(all_), all_.base_url)
    yield from plain_files(all_.base_url)


def _pages(all_: All) -> list[str]:
    return [
        *("index.html", "about/index.html", "packages/index.html", "causes/index.html", "sql/index.html"),
        *("data/index.html", "findings/index.html", "env/index.html"),
        *(f"findings/{kind}/index.html" for kind in all_.listings),
        *(f"env/{environment.id}/index.html" for environment in all_.environments),
        *(f"causes/{each.cause}/index.html" for each in sorted(all_.causes.explained, key=lambda c: c.cause)),
    ]
