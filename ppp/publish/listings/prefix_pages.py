"""Split long listings by the first letters of a name, so that one more name changes one small page, not all after it.

The page of a prefix depends only on the entries under it. Only what changed since the last build is split again.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from ppp.publish.listings.entries import ListingEntry

#: Sorts after every character that a name may have.
END: Final = "\U0010ffff"


class KeyRange(NamedTuple):
    """The entries whose keys start with a prefix, or equal it: how many there are, and their costs together."""

    prefix: str
    entries: int
    cost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixPage:
    """The page of one prefix: its own entries, and the longer prefixes below it, each with how many entries it has.

    `removed` are prefixes below it that had a page after the last build and no longer have one.
    """

    prefix: str
    entries: tuple[ListingEntry, ...]
    below: tuple[tuple[str, int], ...]
    removed: tuple[str, ...]

    @property
    def count(self) -> int:
        """Return how many entries this page and those below it have."""
        return len(self.entries) + sum(count for _, count in self.below)


class PrefixTree(Protocol):
    """Entries by key, and the pages that they were split into in the last build."""

    def previous_prefixes(self) -> Sequence[str]:
        """Return the prefix of each page of the last build, sorted."""

    def exact_key(self, prefix: str) -> KeyRange:
        """Return the entries whose key is the prefix."""

    def longer_prefixes(self, prefix: str) -> list[KeyRange]:
        """Return the other entries whose key starts with the prefix, by one letter more, sorted."""

    def entries(self, prefix: str, *, all_: bool) -> list[ListingEntry]:
        """Return the entries whose key is the prefix, or `all_` that start with it, by key and package."""

    def has_changed(self, prefix: str) -> bool:
        """Return whether a page may show other entries under a prefix than after the last build."""

    def save_page(self, page: PrefixPage) -> None:
        """Store a page for the next build, and forget the pages that it removes."""


def split_into_pages(tree: PrefixTree, budget: int, prefix: str = "") -> Iterator[PrefixPage]:
    """Return the page of a prefix, and the pages below it that changed, each after the page above it.

    Entries whose costs together stay within the budget share a page. Otherwise only those whose key is the prefix stay
    on its page, and the others go to pages with one letter more.
    """
    yield from _split(tree, budget, prefix, tree.previous_prefixes())


def _split(tree: PrefixTree, budget: int, prefix: str, previous: Sequence[str]) -> Iterator[PrefixPage]:
    # Costs are summed by the database: entries are read only for the page that shows them.
    longer = tree.longer_prefixes(prefix)
    one_page = tree.exact_key(prefix).cost + sum(key_range.cost for key_range in longer) <= budget
    below = () if one_page else tuple((key_range.prefix, key_range.entries) for key_range in longer)
    next_prefixes = {next_prefix for next_prefix, _ in below}
    previous = previous[bisect_right(previous, prefix) : bisect_left(previous, f"{prefix}{END}")]
    page = PrefixPage(
        prefix=prefix,
        entries=tuple(tree.entries(prefix, all_=one_page)),
        below=below,
        removed=tuple(each for each in previous if each[: len(prefix) + 1] not in next_prefixes),
    )
    tree.save_page(page)
    yield page
    # A prefix without a page before is new, or was part of this page: it is split even if no entry changed.
    had_page = {*previous}
    for next_prefix, _ in below:
        if next_prefix not in had_page or tree.has_changed(next_prefix):
            yield from _split(tree, budget, next_prefix, previous)
