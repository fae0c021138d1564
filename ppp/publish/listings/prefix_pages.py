"""Long lists cut by the first letters of a name, so that one more name changes one small file and not all after it.

What stands under a prefix follows from the cards there alone. Only what changed since the last build is cut again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ppp.publish.listings.entries import ListingEntry

#: Sorts after all that a name may go on with.
END: Final = "\U0010ffff"


class KeyRange(NamedTuple):
    """The cards whose keys begin alike: how many there are, and what they cost together."""

    prefix: str
    entries: int
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixPage:
    """What stands under one prefix: its own cards, and the longer prefixes below it with how many cards each has.

    `gone` names the prefixes below it that were there in the last build, and are no more.
    """

    prefix: str
    entries: tuple[ListingEntry, ...]
    below: tuple[tuple[str, int], ...]
    removed: tuple[str, ...]

    @property
    def count(self) -> int:
        """Count the cards here and below."""
        return len(self.entries) + sum(count for _, count in self.below)


class PrefixTree(Protocol):
    """Cards by key, and the nodes that they were cut into in the last build."""

    def previous_prefixes(self) -> Sequence[str]:
        """Give the prefix of each node of the last build, sorted."""

    def exact_key(self, prefix: str) -> KeyRange:
        """Give the cards whose key is the prefix."""

    def longer_prefixes(self, prefix: str) -> list[KeyRange]:
        """Give the other cards whose key begins with it, by one letter more; sorted."""

    def entries(self, prefix: str, *, all_: bool) -> list[ListingEntry]:
        """Give the cards whose key is the prefix, or `all_` that begin with it; sorted by key and package."""

    def has_changed(self, prefix: str) -> bool:
        """Say whether a page may show another card under a prefix than it did in the last build."""

    def save_page(self, node: PrefixPage) -> None:
        """Note a node that now stands, and which ones are gone."""


def split_into_pages(tree: PrefixTree, budget: int, prefix: str = "") -> Iterator[PrefixPage]:
    """Give the node of a prefix, and those below it of which something changed, each after the one that it is below.

    Cards whose costs stay within the budget together stay together; else only those whose key is the prefix stay, and
    the others go one letter deeper.
    """
    yield from _split(tree, budget, prefix, tree.previous_prefixes())


def _split(tree: PrefixTree, budget: int, prefix: str, stood: Sequence[str]) -> Iterator[PrefixPage]:
    longer = tree.longer_prefixes(prefix)
    together = tree.exact_key(prefix).cost + sum(stretch.cost for stretch in longer) <= budget
    below = () if together else tuple((stretch.prefix, stretch.entries) for stretch in longer)
    heads = {head for head, _ in below}
    before = stood[bisect_right(stood, prefix) : bisect_left(stood, f"{prefix}{END}")]
    node = PrefixPage(
        prefix=prefix,
        entries=tuple(tree.entries(prefix, all_=together)),
        below=below,
        removed=tuple(each for each in before if each[: len(prefix) + 1] not in heads),
    )
    tree.save_page(node)
    yield node
    held = {*before}
    for head, _ in below:
        if head not in held or tree.has_changed(head):
            yield from _split(tree, budget, head, before)
