"""Read what a site takes on its host whichever packages get pages: batches, snapshots, lookup files, statements.

Of batches it takes the newest ones, within their share of the bound.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.batches import packed_batches
from ppp.model.site_bound import SiteBound
from ppp.publish.batch_budget import BatchChoice, choose_batches
from ppp.publish.cache.manifest import lists_at_most
from ppp.publish.folder import STATEMENTS
from ppp.publish.listings.store import ListingStore
from ppp.publish.page_budget import Room, holds_all, locks_estimate, room_for_pages
from ppp.publish.site.lookup import LOOKUP_PREFIX
from ppp.publish.site.snapshots import INDEX
from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER
from ppp.publish.verified_index.pages import mirror_path

_INDEX_NAME: Final = INDEX.rpartition("/")[2]
#: The parts, by the names that errors give them.
BATCHES: Final = "batches"
SNAPSHOTS: Final = "snapshots"
MIRROR: Final = "mirrored files"
INDEXES: Final = "simple indexes"
AUDIO: Final = "audio of episodes"
#: What a lookup file has around its rows, at most.
_LOOKUP_BYTES: Final = 2_000


def read_batch_choice(db: Database, bound: SiteBound | None) -> BatchChoice:
    """Return which batches of the ledger a site with this bound publishes."""
    return choose_batches(packed_batches(db), bound, _count_packages(db))


def fixed_rooms(batches: BatchChoice, out: Path, mirrored: frozenset[tuple[str, str]]) -> dict[str, Room]:
    """Return the room of what is always published, by its name; `out` is the public folder.

    `mirrored` are the copies in it that pages may name, as pairs of sha256 and name.
    """
    mirror = _sum(Room.of((out / mirror_path(*copy)).lstat().st_size, 1) for copy in mirrored)
    lists = Room.of(0, lists_at_most(len(batches.kept)))
    return {BATCHES: batches.room.plus(lists), SNAPSHOTS: _room_of(out / SNAPSHOTS_FOLDER), MIRROR: mirror}


def statements_room(out: Path) -> Room:
    """Return the room of a node's statements: nodes with the same records have others, so no page depends on it."""
    return _sum(_room_of(out / name) for name in STATEMENTS)


def is_partial(db: Database, bound: SiteBound | None, fixed: dict[str, Room]) -> bool:
    """Return whether a bound may leave no room for a page of each package.

    Raises `PublishError` where the site does not fit even without any.
    """
    if bound is None:
        return False
    room_for_pages(bound, fixed)
    return not holds_all(bound, _count_packages(db), fixed)


def holds_locks(db: Database, bound: SiteBound | None, fixed: dict[str, Room]) -> bool:
    """Return whether a bound surely has room for a lock of each PASS beside the pages of all packages."""
    if bound is None:
        return True
    (locks,) = db.execute("SELECT count(*) FROM installations").fetchone()
    return holds_all(bound, _count_packages(db), {**fixed, "locks": locks_estimate(locks)})


def room_beside_lookup(bound: SiteBound, fixed: dict[str, Room], store: ListingStore) -> Room:
    """Return the room for packages' pages where all packages are in the lookup files; raises as `is_partial` does."""
    shards = len(store.listing_names(LOOKUP_PREFIX))
    lookup = Room.of(store.lookup_bytes() + _LOOKUP_BYTES * shards, shards)
    return room_for_pages(bound, {**fixed, "lookup files": lookup})


def _count_packages(db: Database) -> int:
    count: tuple[int] = db.execute("SELECT count(*) FROM packages").fetchone()
    return count[0]


def _room_of(path: Path) -> Room:
    return _sum(Room.of(file.lstat().st_size, 1) for file in _files(path))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, _, names in os.walk(path):
        # A build writes the index itself.
        yield from (Path(folder) / name for name in names if name != _INDEX_NAME)


def _sum(rooms: Iterator[Room]) -> Room:
    total = Room(0, 0)
    for room in rooms:
        total = total.plus(room)
    return total
