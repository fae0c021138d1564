"""Which cells of a page ran on stand-in images instead of the official ones: said once a page.

A cell is marked by itself only where its environment has cells of both kinds on the page.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ppp.model.matrix import environment_sort_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Standins:
    """The environments of a page that have cells on a stand-in; of those that are `mixed`, only some are."""

    environments: tuple[str, ...]
    mixed: frozenset[str]

    def marks(self, environments: Iterable[str]) -> bool:
        """Return whether a cell on a stand-in in any of these environments needs a mark of its own."""
        return not self.mixed.isdisjoint(environments)


def find_standins(cells: Iterable[tuple[str, bool]]) -> Standins | None:
    """Return the stand-ins among a page's cells, given as environment and whether on a stand-in; None without any."""
    seen = set(cells)
    found = {environment for environment, is_standin in seen if is_standin}
    if not found:
        return None
    return Standins(
        environments=tuple(sorted(found, key=environment_sort_key)),
        mixed=frozenset(environment for environment, is_standin in seen if environment in found and not is_standin),
    )
