"""Long lists cut by the first letters of a name, so that one more name changes one small file and not all after it."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
    keyed: Sequence[tuple[str, T]], cost: Callable[[T], int], budget: int, prefix: str = ""
) -> Iterator[Node[T]]:
    """Give the node of a prefix and all below it; `keyed` is sorted by key, and each key begins with the prefix.

    Items whose costs stay within the budget together stay together; else only those whose key is the prefix stay, and
    the others go one letter deeper.
    """
    yield from _Cut(keyed, [0, *accumulate(cost(item) for _, item in keyed)], budget).nodes(prefix, 0, len(keyed))


@dataclass(frozen=True, slots=True)
class _Cut(Generic[T]):
    # Nodes are stretches of the sorted items, whose cost is the difference of two sums.
    keyed: Sequence[tuple[str, T]]
    sums: Sequence[int]
    budget: int

    def nodes(self, prefix: str, start: int, end: int) -> Iterator[Node[T]]:
        rest = start
        while rest < end and len(self.keyed[rest][0]) == len(prefix):
            rest += 1
        if rest == end or self.sums[end] - self.sums[start] <= self.budget:
            yield Node(prefix=prefix, items=self._items(start, end), below=())
            return
        groups = list(self._groups(len(prefix) + 1, rest, end))
        below = tuple((longer, after - first) for longer, first, after in groups)
        yield Node(prefix=prefix, items=self._items(start, rest), below=below)
        for longer, first, after in groups:
            yield from self.nodes(longer, first, after)

    def _items(self, start: int, end: int) -> tuple[T, ...]:
        return tuple(item for _, item in self.keyed[start:end])

    def _groups(self, letters: int, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        while start < end:
            longer = self.keyed[start][0][:letters]
            after = bisect_right(self.keyed, longer, start, end, key=lambda pair: pair[0][:letters])
            yield longer, start, after
            start = after
