"""`/packages/`: every package by name, by prefix where one page cannot hold all; and the shards that search reads.

Search needs no server: a script asks for the shard of what was typed. Without scripts the pages lead to the same names.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import Final

from ppp.model.record import Json
from ppp.publish.documents import document_bytes
from ppp.publish.later import Later
from ppp.publish.pages import render
from ppp.publish.part import Part
from ppp.publish.prefixes import Node, by_prefix

#: Bytes of HTML for rows on one page, so that it stays under 50 kB whatever names come.
LIST_BUDGET: Final = 36_000
#: How long a shard's own prefix is, and how many packages make it go one letter deeper.
SHARD_LETTERS: Final = 2
SHARD_LIMIT: Final = 1_000


def directory_pages(found: Sequence[Part], as_of: int | None) -> Iterator[tuple[str, Later]]:
    """`/packages/index.html` and `/packages/<prefix>/index.html`; `found` is sorted by name."""
    keyed = [(part.package, part) for part in found]
    for node in by_prefix(keyed, _cost, LIST_BUDGET):
        path = f"packages/{f'{node.prefix}/' if node.prefix else ''}index.html"
        # Only the first says as of when: the others change with their own packages alone.
        when = None if node.prefix else as_of
        make = partial(render, "packages.html", path=path, node=node, as_of=when)
        yield path, Later(packages=[part.package for part in node.items], more=f"{node.below} {when}", make=make)


def _cost(part: Part) -> int:
    return 150 + 2 * len(part.package) + len(part.version) + 50 * len(part.tally)


def search_files(found: Sequence[Part]) -> Iterator[tuple[str, bytes | Later]]:
    """`/search.json`, and `/search/<prefix>.json`: the packages of which the name, or a word of it, begins so."""
    keyed = sorted(
        ((ending, part) for part in found for ending in endings(part.package)),
        key=lambda pair: (pair[0], pair[1].package),
    )
    shards = []
    for prefix, group in groupby(keyed, key=lambda pair: pair[0][:SHARD_LETTERS]):
        shards.append(prefix)
        for node in by_prefix(list(group), lambda _: 1, SHARD_LIMIT, prefix):
            names = [part.package for part in node.items]
            make = partial(_shard, node)
            yield f"search/{node.prefix}.json", Later(packages=names, more=f"{node.below}", make=make)
    yield "search.json", document_bytes({"schema": "ppp-search-1", "prefixes": shards})


def _shard(node: Node[Part]) -> bytes:
    rows = sorted({part.package: part for part in node.items}.items())
    document: dict[str, Json] = {
        "schema": "ppp-search-shard-1",
        "prefix": node.prefix,
        "packages": [[name, part.version, part.passing, part.claimed] for name, part in rows],
        "below": [longer for longer, _ in node.below],
    }
    return document_bytes(document)


def endings(package: str) -> list[str]:
    """Give a name and its ends from each later word on: `aws-cdk-lib` is found by `aws`, `cdk` and `lib`."""
    words = package.split("-")
    return ["-".join(words[place:]) for place in range(len(words))]
