"""`/packages/`: every package by name, by prefix where one page cannot hold all; and the shards that search reads.

Search needs no server: a script asks for the shard of what was typed. Without scripts the pages lead to the same names.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from ppp.model.record import Json, Result
from ppp.publish.api.encoding import Written, compact, document_bytes
from ppp.publish.listings.entries import Card
from ppp.publish.listings.prefix_pages import Node, cut
from ppp.publish.listings.store import Shelves
from ppp.publish.packages.summary import Part
from ppp.publish.site.deferred import Content
from ppp.publish.site.front import render

#: The shelf of all packages, and how the names of those that search reads begin.
PACKAGES: Final = "packages"
SEARCH: Final = "search/"
#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
LIST_BUDGET: Final = 36_000
#: How long a shard's own prefix is, and how many packages make it go one letter deeper.
SHARD_LETTERS: Final = 2
SHARD_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A package as its row tells it: its newest version that was checked, and what that came to."""

    package: str
    version: str
    tally: tuple[tuple[Result, int], ...]


def directory_card(part: Part, weight: int) -> Card:
    """Give a package's card for the pages of all; the more its `weight`, the worse it does."""
    cost = 150 + 2 * len(part.package) + len(part.version) + 50 * len(part.tally)
    return Card(part.package, PACKAGES, part.package, weight, cost, 0, compact([part.version, part.tally])[1:-1])


def search_cards(part: Part) -> Iterator[Card]:
    """Give a package's cards for search: one for each end of its name that begins with a word."""
    body = compact([part.package, part.version, part.passing, part.claimed])
    for ending in endings(part.package):
        yield Card(part.package, f"{SEARCH}{ending[:SHARD_LETTERS]}", ending, None, 1, 0, body)


def directory_pages(shelves: Shelves, as_of: int | None) -> Iterator[tuple[str, Content]]:
    """`/packages/index.html`, and those of `/packages/<prefix>/index.html` that changed."""
    for node in cut(shelves.tree(PACKAGES), LIST_BUDGET):
        # Only the first says as of when: the others change with their own packages alone.
        when = None if node.prefix else as_of
        path = f"packages/{f'{node.prefix}/' if node.prefix else ''}index.html"
        yield path, partial(_page, path, node, when)
        yield from ((f"packages/{prefix}/index.html", None) for prefix in node.gone)


def _page(path: str, node: Node, as_of: int | None) -> bytes:
    return render("packages.html", path=path, node=node, rows=[*map(_told, node.cards)], as_of=as_of)


def _told(card: Card) -> Told:
    version, tally = json.loads(f"[{card.body}]")
    return Told(package=card.package, version=version, tally=tuple((Result(result), count) for result, count in tally))


def search_files(shelves: Shelves) -> Iterator[tuple[str, bytes | None]]:
    """`/search.json`, and of `/search/<prefix>.json` those that changed: the packages with a word that begins so."""
    names = shelves.names(SEARCH)
    for name in names:
        if shelves.has_changed(name):
            for node in cut(shelves.tree(name), SHARD_LIMIT, name.removeprefix(SEARCH)):
                yield f"{SEARCH}{node.prefix}.json", _shard(node)
                yield from ((f"{SEARCH}{prefix}.json", None) for prefix in node.gone)
    yield "search.json", document_bytes({"schema": "ppp-search-1", "prefixes": [n.removeprefix(SEARCH) for n in names]})


def _shard(node: Node) -> bytes:
    rows = sorted({card.package: card.body for card in node.cards}.items())
    document: dict[str, Json] = {
        "schema": "ppp-search-shard-1",
        "prefix": node.prefix,
        "packages": Written(f"[{','.join(body for _, body in rows)}]"),
        "below": [longer for longer, _ in node.below],
    }
    return document_bytes(document)


def endings(package: str) -> list[str]:
    """Give a name and its ends from each later word on: `aws-cdk-lib` is found by `aws`, `cdk` and `lib`."""
    words = package.split("-")
    return ["-".join(words[place:]) for place in range(len(words))]
