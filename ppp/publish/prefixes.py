"""Long lists cut by the first letters of a name, so that one more name changes one small file and not all after it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Generic[T]):
    """What stands under one prefix: its own items, and the longer prefixes below it with how many items each has."""

    prefix: str
    items: tuple[T, ...]
    below: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """Count the items here and below."""
        return len(self.items) + sum(count for _, count in self.below)


def by_prefix(
    keyed: Sequence[tuple[str, T]], fits: Callable[[Sequence[T]], bool], prefix: str = ""
) -> Iterator[Node[T]]:
    """Give the node of a prefix and all below it; `keyed` is sorted by key, and each key begins with the prefix.

    Items that fit stay together; else only those whose key is the prefix stay, and the others go one letter deeper.
    """
    items = tuple(item for _, item in keyed)
    rest = [pair for pair in keyed if len(pair[0]) > len(prefix)]
    if not rest or fits(items):
        yield Node(prefix=prefix, items=items, below=())
        return
    groups = [(longer, list(group)) for longer, group in groupby(rest, key=lambda pair: pair[0][: len(prefix) + 1])]
    yield Node(
        prefix=prefix,
        items=tuple(item for key, item in keyed if len(key) == len(prefix)),
        below=tuple((longer, len(group)) for longer, group in groups),
    )
    for longer, group in groups:
        yield from by_prefix(group, fits, longer)
