"""`/packages/`: all packages, the most downloaded first and then by name, and the shards for the search box.

Pages are split by prefix if one would be too large. Search needs no server: the script fetches the shard for the typed
prefix. Without scripts, the pages list the same names.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from ppp.model.canonical import Json
from ppp.model.shown import Shown
from ppp.publish.api.encoding import EncodedJson, compact_json, document_bytes
from ppp.publish.listings.entries import ListingEntry, most_downloaded_first
from ppp.publish.listings.prefix_pages import PrefixPage
from ppp.publish.packages.summary import PackageSummary
from ppp.publish.site.deferred import Content
from ppp.publish.site.lookup import LookupContent
from ppp.publish.site.templates import render

#: The listing of all packages, and the prefix of the names of the listings for search.
PACKAGES_LISTING: Final = "packages"
SEARCH_PREFIX: Final = "search/"
#: Bytes of HTML for the rows of a page, so that it stays under 50 kB however long the names are.
LIST_BUDGET: Final = 36_000
#: The length of a shard's prefix, and the number of packages above which the shard is split by one more letter.
SHARD_LETTERS: Final = 2
SHARD_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRow:
    """A row of the directory: a package, its newest checked version, and what the cells of that are shown as.

    `has_standins` says whether any of these ran on a stand-in for the official image.
    """

    package: str
    version: str
    shown_counts: tuple[tuple[Shown, int], ...]
    downloads: int | None
    has_standins: bool = False


def directory_entry(summary: PackageSummary, severity: int) -> ListingEntry:
    """Return a package's entry in the directory; a higher `severity` means that more of its cells fail."""
    known = summary.downloads is not None
    cost = 150 + 50 * known + 2 * len(summary.package) + len(summary.version) + 55 * len(summary.shown_counts)
    return ListingEntry(
        summary.package,
        PACKAGES_LISTING,
        summary.package,
        severity,
        cost,
        0,
        compact_json([summary.version, summary.shown_counts, *([True] if summary.standins else [])])[1:-1],
        summary.downloads,
    )


def search_entries(summary: PackageSummary) -> Iterator[ListingEntry]:
    """Yield a package's entries for search: one for each suffix of its name that begins at a word."""
    more = [summary.installed_only] if summary.installed_only or summary.downloads is not None else []
    if summary.downloads is not None:
        more.append(summary.downloads)
    body = compact_json([summary.package, summary.version, summary.passing, summary.claimed, *more])
    for suffix in name_suffixes(summary.package):
        yield ListingEntry(summary.package, f"{SEARCH_PREFIX}{suffix[:SHARD_LETTERS]}", suffix, None, 1, 0, body)


def directory_pages(
    pages: Iterable[PrefixPage], as_of: int | None, lookup: LookupContent | None = None
) -> Iterator[tuple[str, Content]]:
    """Yield `/packages/index.html`, and each `/packages/<prefix>/index.html` that changed.

    `lookup` is what a site has for packages without a page; None: there are none.
    """
    for node in pages:
        # Only the first page shows the time of the data: the others change only with their own packages.
        page_as_of = None if node.prefix else as_of
        path = f"packages/{f'{node.prefix}/' if node.prefix else ''}index.html"
        # So it is with how many packages are not listed.
        omitted = lookup.packages - lookup.pages if lookup and not node.prefix else 0
        yield path, partial(_page, path, node, page_as_of, omitted)
        yield from ((f"packages/{prefix}/index.html", None) for prefix in node.removed)


def _page(path: str, node: PrefixPage, as_of: int | None, omitted: int) -> bytes:
    return render(
        "packages.html",
        path=path,
        node=node,
        rows=[*map(_row_from_entry, most_downloaded_first(node.entries))],
        as_of=as_of,
        omitted=omitted,
    )


def _row_from_entry(entry: ListingEntry) -> DirectoryRow:
    version, counts, *standins = json.loads(f"[{entry.body}]")
    return DirectoryRow(
        package=entry.package,
        version=version,
        shown_counts=tuple((Shown(shown), count) for shown, count in counts),
        downloads=entry.downloads,
        has_standins=bool(standins),
    )


def search_files(
    prefixes: Sequence[str], pages: Iterable[PrefixPage], *, lookup: bool = False
) -> Iterator[tuple[str, bytes | None]]:
    """Yield `/search.json`, and each `/search/<prefix>.json` that changed: packages with a word that begins with it.

    `prefixes` are the prefixes of all words, of `SHARD_LETTERS` letters or fewer. With `lookup`, packages without a
    page are found by their whole name.
    """
    for node in pages:
        yield f"{SEARCH_PREFIX}{node.prefix}.json", _shard(node)
        yield from ((f"{SEARCH_PREFIX}{prefix}.json", None) for prefix in node.removed)
    yield (
        "search.json",
        document_bytes({"schema": "ppp-search-1", "prefixes": [*prefixes], **({"lookup": True} if lookup else {})}),
    )


def _shard(node: PrefixPage) -> bytes:
    rows = sorted({entry.package: entry.body for entry in node.entries}.items())
    document: dict[str, Json] = {
        "schema": "ppp-search-shard-1",
        "prefix": node.prefix,
        "packages": EncodedJson(f"[{','.join(body for _, body in rows)}]"),
        "below": [longer for longer, _ in node.below],
    }
    return document_bytes(document)


def name_suffixes(package: str) -> list[str]:
    """Return a name and its suffixes from each later word on: `aws-cdk-lib` is found by `aws`, `cdk` and `lib`."""
    words = package.split("-")
    return ["-".join(words[start:]) for start in range(len(words))]
