"""The cards of all packages, kept from build to build on the shelves of a memory, and what changed on each.

Pages of many packages read the cards that they show by an index, and nothing else.
"""

import json
import sqlite3
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.publish.listings.entries import (
    CELLS_IN_LISTING,
    ENTRIES_IN_LISTING,
    Contribution,
    ListingEntry,
    visible_content,
)
from ppp.publish.listings.prefix_pages import END, KeyRange, PrefixPage
from ppp.publish.packages.totals import Totals

TABLES: Final = """
CREATE TABLE IF NOT EXISTS brought (
    package TEXT PRIMARY KEY,
    sums TEXT NOT NULL                  -- JSON: what it adds to the sums
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cards (      -- see `ppp.publish.listings.entries`
    package TEXT NOT NULL, shelf TEXT NOT NULL, key TEXT NOT NULL, rank INTEGER,
    cost INTEGER NOT NULL, cells INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS nodes (      -- what trees of cards were last cut into
    tree TEXT NOT NULL, prefix TEXT NOT NULL,
    cards INTEGER NOT NULL,
    PRIMARY KEY (tree, prefix)
) STRICT, WITHOUT ROWID;
"""
INDEXES: Final = (
    "cards_by_package ON cards (package)",
    "cards_by_key ON cards (shelf, key, package, cost)",
    "cards_by_rank ON cards (shelf, rank DESC, package) WHERE rank IS NOT NULL",
)
_COLUMNS: Final = "package, shelf, key, rank, cost, cells, body"


class ListingStore:
    """The shelves of an open memory; `sums` are those of all packages, `packages` and `cells` count by shelf."""

    def __init__(self, connection: sqlite3.Connection, totals: Totals) -> None:
        """Take the database and the sums that were kept; nothing is new so far."""
        self._db = connection
        self.sums = totals
        #: By shelf the keys of which something else is shown, and the packages that came; None: of all.
        self.changed_keys: dict[str, set[str]] | None = {}
        self.new_packages: set[str] | None = set()

    def clear(self) -> None:
        """Take away all cards: what comes from here on is all there is."""
        self.sums.clear()
        self.changed_keys = self.new_packages = None

    def replace(self, brought: Contribution) -> None:
        """Put what packages bring in the place of what they brought before; after `forget`, each comes once."""
        if self.changed_keys is not None and self.new_packages is not None:
            now: dict[str, list[ListingEntry]] = {package: [] for package, _ in brought.packages}
            for card in map(ListingEntry._make, brought.entries):
                now[card.package].append(card)
            for package, cards in now.items():
                before = self._remove(package)
                if not before:
                    self.new_packages.add(package)
                for shelf, key in _changed_places(before, cards):
                    self.changed_keys.setdefault(shelf, set()).add(key)
        self._db.executemany("INSERT INTO brought VALUES (?, ?)", brought.packages)
        self._db.executemany("INSERT INTO cards VALUES (?, ?, ?, ?, ?, ?, ?)", brought.entries)
        self.sums.update(brought.totals)

    def _remove(self, package: str) -> list[ListingEntry]:
        row = self._db.execute("SELECT sums FROM brought WHERE package = ?", (package,)).fetchone()
        if row is None:
            return []
        cards = list(self._entries("package = ?", package))
        self.sums.subtract(Counter({tuple(key): count for key, count in json.loads(row[0])}))
        self._db.execute("DELETE FROM brought WHERE package = ?", (package,))
        self._db.execute("DELETE FROM cards WHERE package = ?", (package,))
        return cards

    def package_count(self, shelf: str) -> int:
        """Count the cards of a shelf."""
        return self.sums[ENTRIES_IN_LISTING, shelf]

    def cell_count(self, shelf: str) -> int:
        """Count the cells that the cards of a shelf are about."""
        return self.sums[CELLS_IN_LISTING, shelf]

    def listing_names(self, prefix: str) -> list[str]:
        """Give the shelves whose names begin so and that hold any card, sorted."""
        return sorted(
            str(key[1])
            for key, n in self.sums.items()
            if n and key[0] == ENTRIES_IN_LISTING and str(key[1]).startswith(prefix)
        )

    def has_changed(self, shelf: str) -> bool:
        """Say whether anything of a shelf shows other than in the last build; see `entries.shown`."""
        return self.changed_keys is None or shelf in self.changed_keys

    def by_rank(self, shelf: str) -> Iterator[ListingEntry]:
        """Give the cards of a shelf, highest rank first, then by package; no more is read than is taken."""
        return self._entries("shelf = ? AND rank IS NOT NULL ORDER BY rank DESC, package", shelf)

    def bodies(self, shelf: str) -> Iterator[tuple[str, int]]:
        """Give of each card that `newest` gives its body, and how many cells it is about."""
        rows = "SELECT body, cells FROM cards WHERE shelf = ? AND rank IS NOT NULL ORDER BY rank DESC, package"
        yield from self._db.execute(rows, (shelf,))

    def by_key(self, shelf: str) -> Iterator[ListingEntry]:
        """Give the cards of a shelf by key and package."""
        return self._entries("shelf = ? ORDER BY key, package", shelf)

    def _entries(self, which: str, *values: str) -> Iterator[ListingEntry]:
        return map(ListingEntry._make, self._db.execute(f"SELECT {_COLUMNS} FROM cards WHERE {which}", values))  # noqa: S608 - our own words

    def entry_tree(self, shelf: str) -> "ListingTree":
        """Give the tree of a shelf's cards, each of its cost."""
        changed = None if self.changed_keys is None else self.changed_keys.get(shelf, ())
        return ListingTree(self._db, name=shelf, listing=shelf, cost="sum(cost)", changed_keys=_sorted_or_none(changed))

    def name_tree(self, name: str, shelf: str) -> "ListingTree":
        """Give another tree of a shelf whose keys are names of packages, each of cost 1: it shows nothing but these."""
        return ListingTree(
            self._db, name=name, listing=shelf, cost="count(*)", changed_keys=_sorted_or_none(self.new_packages)
        )


def _changed_places(before: Iterable[ListingEntry], now: Iterable[ListingEntry]) -> Iterator[tuple[str, str]]:
    # By shelf and key, the cards of a package of which pages by name show something else.
    old, new = ({(card.listing, card.key): card for card in cards} for cards in (before, now))
    for place in old.keys() | new.keys():
        was, is_ = old.get(place), new.get(place)
        if was is None or is_ is None or (was.body != is_.body and visible_content(was) != visible_content(is_)):
            yield place


def _sorted_or_none(keys: Iterable[str] | None) -> Sequence[str] | None:
    return None if keys is None else sorted(keys)


@dataclass(frozen=True, slots=True)
class ListingTree:
    """The cards of a shelf by key, as `prefix_pages` cuts them; `keys` are those that changed, None: all."""

    db: sqlite3.Connection
    name: str
    listing: str
    cost: str
    changed_keys: Sequence[str] | None

    def previous_prefixes(self) -> list[str]:
        """Give the prefix of each node of the last build, sorted."""
        return [prefix for prefix, _ in self.pages()]

    def pages(self) -> list[tuple[str, int]]:
        """Give the prefix of each node, sorted, with how many cards it has itself."""
        return self.db.execute(
            "SELECT prefix, cards FROM nodes WHERE tree = ? ORDER BY prefix", (self.name,)
        ).fetchall()

    def exact_key(self, prefix: str) -> KeyRange:
        """Give the cards whose key is the prefix."""
        return self._key_range(prefix, "key = ?", prefix)

    def longer_prefixes(self, prefix: str) -> list[KeyRange]:
        """Give the other cards whose key begins with it, by one letter more; sorted."""
        found: list[KeyRange] = []
        after = prefix
        # From one to the next by the index, each added up where it stands.
        while row := self.db.execute(
            "SELECT key FROM cards WHERE shelf = ? AND key > ? AND key < ? ORDER BY key LIMIT 1",
            (self.listing, after, f"{prefix}{END}"),
        ).fetchone():
            head = row[0][: len(prefix) + 1]
            after = f"{head}{END}"
            found.append(self._key_range(head, "key >= ? AND key < ?", head, after))
        return found

    def _key_range(self, prefix: str, which: str, *values: str) -> KeyRange:
        count, cost = self.db.execute(
            f"SELECT count(*), {self.cost} FROM cards WHERE shelf = ? AND {which}",  # noqa: S608 - our own words
            (self.listing, *values),
        ).fetchone()
        return KeyRange(prefix, count, cost or 0)

    def entries(self, prefix: str, *, all_: bool) -> list[ListingEntry]:
        """Give the cards whose key is the prefix, or `all_` that begin with it; sorted by key and package."""
        end = f"{prefix}{END if all_ else ''}"
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM cards WHERE shelf = ? AND key >= ? AND key <= ? ORDER BY key, package",  # noqa: S608 - our own words
            (self.listing, prefix, end),
        )
        return [ListingEntry(*row) for row in rows]

    def has_changed(self, prefix: str) -> bool:
        """Say whether a page may show another card under a prefix than it did in the last build."""
        if self.changed_keys is None:
            return True
        place = bisect_left(self.changed_keys, prefix)
        return place < len(self.changed_keys) and self.changed_keys[place].startswith(prefix)

    def save_page(self, node: PrefixPage) -> None:
        """Note a node that now stands, and which ones are gone."""
        self.db.executemany(
            "DELETE FROM nodes WHERE tree = ? AND prefix = ?", [(self.name, gone) for gone in node.removed]
        )
        self.db.execute("INSERT OR REPLACE INTO nodes VALUES (?, ?, ?)", (self.name, node.prefix, len(node.entries)))
