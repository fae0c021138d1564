"""The entries of all packages, kept in the build cache from build to build, and which of them changed in this one.

Pages of many packages read just the entries that they show, by an index.
"""

import heapq
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
CREATE TABLE IF NOT EXISTS contributions (
    package TEXT PRIMARY KEY,
    totals TEXT NOT NULL,               -- JSON: what it adds to the totals
    changed_at INTEGER NOT NULL,        -- when a verdict on it last changed, in epoch seconds
    severity INTEGER NOT NULL           -- grows with the failures of its newest release
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (    -- see `ppp.publish.listings.entries`
    package TEXT NOT NULL, listing TEXT NOT NULL, key TEXT NOT NULL, rank INTEGER,
    cost INTEGER NOT NULL, cells INTEGER NOT NULL,
    body TEXT NOT NULL,
    downloads INTEGER,
    has_page INTEGER NOT NULL DEFAULT 1 -- whether its package has a page: others are in no page by name
) STRICT;
CREATE TABLE IF NOT EXISTS pages (      -- that trees of entries were last split into
    tree TEXT NOT NULL, prefix TEXT NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (tree, prefix)
) STRICT, WITHOUT ROWID;
"""
TABLE_NAMES: Final = ("contributions", "entries", "pages")
_BY_DOWNLOADS: Final = "rank > 0 DESC, downloads DESC, rank DESC, package"
_PARTS: Final = ("(rank > 0) = 1", "(rank > 0) = 0")
_MOST: Final = "ORDER BY downloads DESC, rank DESC, package"
INDEXES: Final = (
    "contributions_by_change ON contributions (changed_at DESC, package)",
    "contributions_by_severity ON contributions (severity DESC, changed_at DESC, package) WHERE severity > 0",
    "entries_by_package ON entries (package)",
    "entries_by_key ON entries (listing, has_page, key, package, cost)",
    "entries_by_rank ON entries (listing, rank DESC, package) WHERE rank IS NOT NULL",
    f"entries_by_downloads ON entries (listing, {_BY_DOWNLOADS}) WHERE rank IS NOT NULL",
)
_COLUMNS: Final = "package, listing, key, rank, cost, cells, body, downloads"


class ListingStore:
    """The listings of an open build cache; `totals` are those of all packages and of all listings."""

    def __init__(self, connection: sqlite3.Connection, totals: Totals) -> None:
        """Use the cache's database, and the totals that it keeps."""
        self._db = connection
        self.totals = totals
        #: By listing, the keys whose entries show something else than before; None: all of them.
        self.changed_keys: dict[str, set[str]] | None = {}
        #: The packages that had no entries before this build; None: all of them.
        self.new_packages: set[str] | None = set()
        #: Whether packages that are new have pages, before `set_pages` says which do.
        self.new_have_pages = True

    def clear(self) -> None:
        """Remove the totals, and take everything as changed; `BuildCache.clear` empties the tables."""
        self.totals.clear()
        self.changed_keys = self.new_packages = None

    def replace(self, contribution: Contribution) -> None:
        """Store what packages contribute in place of what they did before; after `clear`, each comes once."""
        had_pages: dict[str, bool] = {}
        # After `clear` there is nothing to replace, and everything counts as changed.
        if self.changed_keys is not None and self.new_packages is not None:
            now: dict[str, list[ListingEntry]] = {package: [] for package, *_ in contribution.packages}
            for entry in map(ListingEntry._make, contribution.entries):
                now[entry.package].append(entry)
            for package, entries in now.items():
                before, had_pages[package] = self._remove(package)
                if not before:
                    self.new_packages.add(package)
                for listing, key in _changed_places(before, entries):
                    self.changed_keys.setdefault(listing, set()).add(key)
        self._db.executemany("INSERT INTO contributions VALUES (?, ?, ?, ?)", contribution.packages)
        # Until `set_pages` says otherwise, a package has pages where it had them before.
        rows = ((*entry, had_pages.get(entry[0], self.new_have_pages)) for entry in contribution.entries)
        self._db.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        self.totals.update(contribution.totals)

    def _remove(self, package: str) -> tuple[list[ListingEntry], bool]:
        row = self._db.execute("SELECT totals FROM contributions WHERE package = ?", (package,)).fetchone()
        if row is None:
            return [], self.new_have_pages
        entries = list(self._entries("package = ?", package))
        had_page = self._db.execute("SELECT has_page FROM entries WHERE package = ? LIMIT 1", (package,)).fetchone()
        # Counts that reach zero stay in the counter until the cache is stored.
        self.totals.subtract(Counter({tuple(key): count for key, count in json.loads(row[0])}))
        self._db.execute("DELETE FROM contributions WHERE package = ?", (package,))
        self._db.execute("DELETE FROM entries WHERE package = ?", (package,))
        return entries, bool(had_page and had_page[0])

    def set_pages(self, packages: Iterable[str], *, have_pages: bool) -> None:
        """Store whether packages have pages: what shows them is changed where this was different before."""
        for package in packages:
            different = "SELECT listing, key FROM entries WHERE package = ? AND has_page <> ?"
            rows = self._db.execute(different, (package, have_pages)).fetchall()
            if rows and self.changed_keys is not None and self.new_packages is not None:
                self.new_packages.add(package)
                for listing, key in rows:
                    self.changed_keys.setdefault(listing, set()).add(key)
            if rows:
                self._db.execute("UPDATE entries SET has_page = ? WHERE package = ?", (have_pages, package))

    def by_change(self) -> Iterator[str]:
        """Return the packages whose verdicts changed last, then the others; they are read as they are taken."""
        rows = self._db.execute("SELECT package FROM contributions ORDER BY changed_at DESC, package")
        return (package for (package,) in rows)

    def by_severity(self) -> Iterator[str]:
        """Return the packages whose newest release fails: the greatest severity first, then those that changed last."""
        rows = self._db.execute(
            "SELECT package FROM contributions WHERE severity > 0 ORDER BY severity DESC, changed_at DESC, package"
        )
        return (package for (package,) in rows)

    def packages_with_pages(self) -> list[str]:
        """Return the packages that have pages."""
        rows = self._db.execute("SELECT package FROM entries WHERE listing = 'packages' AND has_page = 1")
        return [package for (package,) in rows]

    def lookup_bytes(self) -> int:
        """Return the bytes of all packages' rows in lookup files, estimated on the high side."""
        rows = self._db.execute(
            "SELECT coalesce(sum(cost), 0) FROM entries WHERE listing > 'lookup/' AND listing < 'lookup0'"
        )
        size: tuple[int] = rows.fetchone()
        return size[0]

    def has_package(self, package: str) -> bool:
        """Return whether a package has contributed."""
        return self._db.execute("SELECT 1 FROM contributions WHERE package = ?", (package,)).fetchone() is not None

    def row_bytes(self, package: str) -> int:
        """Return the bytes of all rows of a package in pages by name, estimated on the high side."""
        row: tuple[int] = self._db.execute(
            "SELECT coalesce(sum(cost), 0) FROM entries WHERE package = ? AND listing NOT LIKE 'lookup/%'", (package,)
        ).fetchone()
        return row[0]

    def package_count(self, listing: str) -> int:
        """Return how many entries a listing has."""
        return self.totals[ENTRIES_IN_LISTING, listing]

    def cell_count(self, listing: str) -> int:
        """Return how many cells the entries of a listing are about."""
        return self.totals[CELLS_IN_LISTING, listing]

    def listing_names(self, prefix: str) -> list[str]:
        """Return the names of the listings that start with a prefix and have any entry, sorted."""
        names = (str(key[1]) for key, count in self.totals.items() if count and key[0] == ENTRIES_IN_LISTING)
        return sorted(name for name in names if name.startswith(prefix))

    def has_changed(self, listing: str) -> bool:
        """Return whether any entry of a listing shows something else than before; see `entries.visible_content`."""
        return self.changed_keys is None or listing in self.changed_keys

    def by_rank(self, listing: str) -> Iterator[ListingEntry]:
        """Return the entries of a listing, highest rank first, then by package; they are read as they are taken."""
        return self._entries("listing = ? AND rank IS NOT NULL ORDER BY rank DESC, package", listing)

    def by_downloads(self, listing: str) -> Iterator[ListingEntry]:
        """Return the entries of a listing, most downloaded first, then in the order of `by_rank`.

        Those with a rank of 0 come after all others.
        """
        return self._entries(f"listing = ? AND rank IS NOT NULL ORDER BY {_BY_DOWNLOADS}", listing)

    def most_downloaded(self, listing: str) -> Iterator[ListingEntry]:
        """Return the entries of a listing, most downloaded first, then by rank, whatever that is; then by package."""
        # The index has those with a rank of 0 apart: each part comes in order.
        parts = (self._entries(f"listing = ? AND rank IS NOT NULL AND {part} {_MOST}", listing) for part in _PARTS)
        return heapq.merge(*parts, key=_place_by_downloads)

    def downloads(self, listing: str) -> dict[str, int | None]:
        """Return the downloads of every package in a listing, as the last build knew them."""
        return dict(self._db.execute("SELECT package, downloads FROM entries WHERE listing = ?", (listing,)).fetchall())

    def bodies(self, listing: str) -> Iterator[tuple[str, int]]:
        """Return the body of each entry in the order of `by_rank`, with how many cells it is about."""
        rows = "SELECT body, cells FROM entries WHERE listing = ? AND rank IS NOT NULL ORDER BY rank DESC, package"
        yield from self._db.execute(rows, (listing,))

    def by_key(self, listing: str) -> Iterator[ListingEntry]:
        """Return the entries of a listing by key, then by package."""
        return self._entries("listing = ? ORDER BY key, package", listing)

    def lookup_rows(self, listing: str) -> Iterator[tuple[str, str, bool]]:
        """Return each package of a listing with its body and whether it has a page, by name."""
        rows = self._db.execute(
            "SELECT package, body, has_page FROM entries WHERE listing = ? ORDER BY package", (listing,)
        )
        return ((package, body, bool(has_page)) for package, body, has_page in rows)

    def _entries(self, which: str, *values: str) -> Iterator[ListingEntry]:
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM entries WHERE {which}", values)  # noqa: S608 - our own words
        return map(ListingEntry._make, rows)

    def entry_tree(self, listing: str) -> "ListingTree":
        """Return a tree of a listing's entries, in which each counts with its cost."""
        changed = None if self.changed_keys is None else self.changed_keys.get(listing, ())
        keys = _sorted_or_none(changed)
        return ListingTree(self._db, name=listing, listing=listing, cost="sum(cost)", changed_keys=keys)

    def name_tree(self, name: str, listing: str) -> "ListingTree":
        """Return another tree of a listing whose keys are package names: pages of it show these names only.

        Each name counts 1, and only new packages are a change. `name` is the tree's own.
        """
        keys = _sorted_or_none(self.new_packages)
        return ListingTree(self._db, name=name, listing=listing, cost="count(*)", changed_keys=keys)


def _place_by_downloads(entry: ListingEntry) -> tuple[int, int, str]:
    return (1 if entry.downloads is None else -entry.downloads, -(entry.rank or 0), entry.package)


def _changed_places(before: Iterable[ListingEntry], now: Iterable[ListingEntry]) -> Iterator[tuple[str, str]]:
    # The listing and key of each of a package's entries that pages by name show differently.
    old, new = ({(entry.listing, entry.key): entry for entry in entries} for entries in (before, now))
    for place in old.keys() | new.keys():
        was, is_ = old.get(place), new.get(place)
        # Bodies are decoded only where they differ.
        if was is None or is_ is None or was.downloads != is_.downloads or _differ(was, is_):
            yield place


def _differ(was: ListingEntry, is_: ListingEntry) -> bool:
    return was.body != is_.body and visible_content(was) != visible_content(is_)


def _sorted_or_none(keys: Iterable[str] | None) -> Sequence[str] | None:
    return None if keys is None else sorted(keys)


@dataclass(frozen=True, slots=True)
class ListingTree:
    """The entries of a listing by key: a `PrefixTree`. `changed_keys` are sorted; None: all keys."""

    db: sqlite3.Connection
    name: str
    listing: str
    cost: str
    changed_keys: Sequence[str] | None

    def previous_prefixes(self) -> list[str]:
        """Return the prefix of each page of the last build, sorted."""
        return [prefix for prefix, _ in self.pages()]

    def pages(self) -> list[tuple[str, int]]:
        """Return the prefix of each page, sorted, with how many entries the page itself has."""
        return self.db.execute(
            "SELECT prefix, entries FROM pages WHERE tree = ? ORDER BY prefix", (self.name,)
        ).fetchall()

    def exact_key(self, prefix: str) -> KeyRange:
        """Return the entries whose key is the prefix."""
        return self._key_range(prefix, "key = ?", prefix)

    def longer_prefixes(self, prefix: str) -> list[KeyRange]:
        """Return the other entries whose key starts with the prefix, by one letter more, sorted."""
        found: list[KeyRange] = []
        after = prefix
        # Jumps from one letter to the next by the index, instead of reading every entry.
        while row := self.db.execute(
            "SELECT key FROM entries WHERE listing = ? AND has_page = 1 AND key > ? AND key < ? ORDER BY key LIMIT 1",
            (self.listing, after, f"{prefix}{END}"),
        ).fetchone():
            longer = row[0][: len(prefix) + 1]
            after = f"{longer}{END}"
            found.append(self._key_range(longer, "key >= ? AND key < ?", longer, after))
        return found

    def _key_range(self, prefix: str, which: str, *values: str) -> KeyRange:
        count, cost = self.db.execute(
            f"SELECT count(*), {self.cost} FROM entries WHERE listing = ? AND has_page = 1 AND {which}",  # noqa: S608 - our own words
            (self.listing, *values),
        ).fetchone()
        return KeyRange(prefix, count, cost or 0)

    def entries(self, prefix: str, *, all_: bool) -> list[ListingEntry]:
        """Return the entries whose key is the prefix, or `all_` that start with it, by key and package."""
        end = f"{prefix}{END if all_ else ''}"
        rows = self.db.execute(
            f"SELECT {_COLUMNS} FROM entries"  # noqa: S608 - our own words
            " WHERE listing = ? AND has_page = 1 AND key >= ? AND key <= ? ORDER BY key, package",
            (self.listing, prefix, end),
        )
        return [ListingEntry(*row) for row in rows]

    def has_changed(self, prefix: str) -> bool:
        """Return whether a page may show other entries under a prefix than after the last build."""
        if self.changed_keys is None:
            return True
        place = bisect_left(self.changed_keys, prefix)
        return place < len(self.changed_keys) and self.changed_keys[place].startswith(prefix)

    def save_page(self, page: PrefixPage) -> None:
        """Store a page for the next build, and forget the pages that it removes."""
        removed = [(self.name, prefix) for prefix in page.removed]
        self.db.executemany("DELETE FROM pages WHERE tree = ? AND prefix = ?", removed)
        self.db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", (self.name, page.prefix, len(page.entries)))
