"""Choose the packages that get pages on a partial site, and write the pages of those that have none yet.

Packages are taken by rank while their files fit, as they really are: the choice follows from the ledger and the bound
alone, whatever the folder had before.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from sqlite_utils import Database

from ppp.ledger.downloads import packages_by_downloads
from ppp.publish.builder.workers import BuildWorkers
from ppp.publish.builder.writer import OutputWriter
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind, owned_files
from ppp.publish.cache.manifest import lists_at_most
from ppp.publish.listings.store import ListingStore
from ppp.publish.page_budget import Room, merge_ranks, package_room

#: How many packages are looked at together: pages of the last of them may be written in vain.
_CHUNK: Final = 1_000


def ranked_packages(db: Database, store: ListingStore) -> Iterator[str]:
    """Return all packages by rank: their best place by last change, by failures, or by downloads."""
    downloaded = (package for package in packages_by_downloads(db) if store.has_package(package))
    return merge_ranks(store.by_change(), store.by_severity(), downloaded)


def write_chosen(
    ranked: Iterator[str], room: Room, cache: BuildCache, writer: OutputWriter, workers: BuildWorkers
) -> frozenset[str]:
    """Write pages by rank while there is room, remove those of all other packages, and return who has pages now."""
    chosen = _choose(ranked, room, cache, writer, workers)
    for package in cache.owners(OwnerKind.PACKAGES):
        if package not in chosen:
            writer.add([owned_files(Owner(OwnerKind.PACKAGES, package), [])], [])
    store = cache.listings
    left = [package for package in store.packages_with_pages() if package not in chosen]
    store.set_pages(left, have_pages=False)
    store.set_pages(sorted(chosen), have_pages=True)
    return chosen


def _more_lists(owners: int) -> Room:
    # For one more owner than these.
    return Room.of(0, lists_at_most(owners + 1) - lists_at_most(owners))


def _choose(
    ranked: Iterator[str], room: Room, cache: BuildCache, writer: OutputWriter, workers: BuildWorkers
) -> frozenset[str]:
    chosen: set[str] = set()
    while packages := [*islice(ranked, _CHUNK)]:
        missing = [package for package in packages if not cache.taken_by(OwnerKind.PACKAGES, package)]
        for result in workers.write_packages(missing):
            writer.add(result.owned, result.written)
        for package in packages:
            size, files = cache.taken_by(OwnerKind.PACKAGES, package) or (0, 0)
            taken = package_room(size, files, cache.listings.row_bytes(package)).plus(_more_lists(len(chosen)))
            if not room.has(taken):
                return frozenset(chosen)
            room = room.minus(taken)
            chosen.add(package)
    return frozenset(chosen)
