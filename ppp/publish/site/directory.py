"""`/packages/`: every package by name, by prefix where one page cannot hold all; and the shards that search reads.

Search needs no server: a script asks for the shard of what was typed. Without scripts the pages lead to the same names.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from ppp.model.record import Json, Result
from ppp.publish.api.encoding import EncodedJson, compact_json, document_bytes
from ppp.publish.listings.entries import ListingEntry
from ppp.publish.listings.prefix_pages import PrefixPage
from ppp.publish.packages.summary import PackageSummary
from ppp.publish.site.deferred import Content
from ppp.publish.site.front import render

#: The shelf of all packages, and how the names of those that search reads begin.
PACKAGES_LISTING: Final = "packages"
SEARCH_PREFIX: Final = "search/"
#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
LIST_BUDGET: Final = 36_000
#: How long a shard's own prefix is, and how many packages make it go one letter deeper.
SHARD_LETTERS: Final = 2
SHARD_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRow:
    """A package as its row tells it: its newest version that was checked, and what that came to."""

    package: str
    version: str
    tally: tuple[tuple[Result, int], ...]


def directory_entry(summary: PackageSummary, weight: int) -> ListingEntry:
    """Give a package's card for the pages of all; the more its `weight`, the worse it does."""
    cost = 150 + 2 * len(summary.package) + len(summary.version) + 50 * len(summary.result_counts)
    return ListingEntry(
        summary.package,
        PACKAGES_LISTING,
        summary.package,
        weight,
        cost,
        0,
        compact_json([summary.version, summary.result_counts])[1:-1],
    )


def search_entries(summary: PackageSummary) -> Iterator[ListingEntry]:
    """Give a package's cards for search: one for each end of its name that begins with a word."""
    body = compact_json([summary.package, summary.version, summary.passing, summary.claimed])
    for ending in name_suffixes(summary.package):
        yield ListingEntry(summary.package, f"{SEARCH_PREFIX}{ending[:SHARD_LETTERS]}", ending, None, 1, 0, body)


def directory_pages(pages: Iterable[PrefixPage], as_of: int | None) -> Iterator[tuple[str, Content]]:
    """`/packages/index.html`, and those of `/packages/<prefix>/index.html` that changed."""
    for node in pages:
        # Only the first says as of when: the others change with their own packages alone.
        when = None if node.prefix else as_of
        path = f"packages/{f'{node.prefix}/' if node.prefix else ''}index.html"
        yield path, partial(_page, path, node, when)
        yield from ((f"packages/{prefix}/index.html", None) for prefix in node.removed)


def _page(path: str, node: PrefixPage, as_of: int | None) -> bytes:
    return render("packages.html", path=path, node=node, rows=[*map(_row_from_entry, node.entries)], as_of=as_of)


def _row_from_entry(entry: ListingEntry) -> DirectoryRow:
    version, tally = json.loads(f"[{entry.body}]")
    return DirectoryRow(
        package=entry.package, version=version, tally=tuple((Result(result), count) for result, count in tally)
    )


def search_files(prefixes: Sequence[str], pages: Iterable[PrefixPage]) -> Iterator[tuple[str, bytes | None]]:
    """`/search.json`, and of `/search/<prefix>.json` those that changed: the packages with a word that begins so.

    `prefixes` are those of all words, as short as a shard's.
    """
    for node in pages:
        yield f"{SEARCH_PREFIX}{node.prefix}.json", _shard(node)
        yield from ((f"{SEARCH_PREFIX}{prefix}.json", None) for prefix in node.removed)
    yield "search.json", document_bytes({"schema": "ppp-search-1", "prefixes": [*prefixes]})


def _shard(node: PrefixPage) -> bytes:
    rows = sorted({card.package: card.body for card in node.entries}.items())
    document: dict[str, Json] = {
        "schema": "ppp-search-shard-1",
        "prefix": node.prefix,
        "packages": EncodedJson(f"[{','.join(body for _, body in rows)}]"),
        "below": [longer for longer, _ in node.below],
    }
    return document_bytes(document)


def name_suffixes(package: str) -> list[str]:
    """Give a name and its ends from each later word on: `aws-cdk-lib` is found by `aws`, `cdk` and `lib`."""
    words = package.split("-")
    return ["-".join(words[place:]) for place in range(len(words))]
