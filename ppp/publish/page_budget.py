"""Decide which packages get pages where a site has a bound: by rank, as many as there is room for beside the rest.

A package's rank is its best place in three orders: whose verdicts changed last, whose newest release fails most, and
which is downloaded most. Everything here is pure: the same sizes and orders give the same decision.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from typing import Final, NamedTuple, Self

from ppp.model.errors import PublishError
from ppp.model.site_bound import FILE_OVERHEAD, SiteBound
from ppp.publish import text

#: What the files of one package are taken to need before any is rendered. They take half of it on average, so where as
#: many packages as there are have room, all of them get pages, and nothing has to be decided.
PACKAGE_ESTIMATE: Final = 40_000
FILES_ESTIMATE: Final = 8
#: What a package is taken to need in the lookup files, and how many of these there are at most.
LOOKUP_ESTIMATE: Final = 120
LOOKUP_FILES: Final = 2_048
#: What the two files of a lock are taken to need.
LOCK_ESTIMATE: Final = 16_000
#: Room that is kept for the pages and files about many packages: as much as they take where there are most packages, a
#: fourth of smaller bounds, and what even a site without any package has (a test counts it).
SITE_RESERVE: Final = 60_000_000
SITE_FILES_RESERVE: Final = 6_000
LEAST_RESERVE: Final = 4_000_000
LEAST_FILES_RESERVE: Final = 440
#: What a package with pages takes in pages by name, beyond the rows that are counted: an address in a sitemap, its rows
#: in search files.
_NAMED_BYTES: Final = 600
#: A file's line in the lists of files.
_LINE_BYTES: Final = 160


class Room(NamedTuple):
    """An amount of bytes, as a host counts them, and of files."""

    bytes: int
    files: int

    @classmethod
    def of(cls, size: int, files: int) -> Self:
        """Return the room that files of some bytes together take."""
        return cls(size + FILE_OVERHEAD * files, files)

    def plus(self, other: "Room") -> "Room":
        """Return both together."""
        return Room(self.bytes + other.bytes, self.files + other.files)

    def minus(self, other: "Room") -> "Room":
        """Return what is left of this after the other."""
        return Room(self.bytes - other.bytes, self.files - other.files)

    def has(self, other: "Room") -> bool:
        """Return whether the other fits in."""
        return other.bytes <= self.bytes and other.files <= self.files


def site_reserve(bound: SiteBound) -> Room:
    """Return the room that is kept for pages about many packages."""
    return Room(
        max(LEAST_RESERVE, min(SITE_RESERVE, bound.max_bytes // 4)),
        max(LEAST_FILES_RESERVE, min(SITE_FILES_RESERVE, bound.max_files // 4)),
    )


def lookup_estimate(packages: int) -> Room:
    """Return about how much room the lookup files of so many packages take."""
    return Room.of(LOOKUP_ESTIMATE * packages, min(packages, LOOKUP_FILES))


def locks_estimate(locks: int) -> Room:
    """Return about how much room so many locks take, on the high side; each has two files."""
    return Room.of(LOCK_ESTIMATE * locks, 2 * locks)


def holds_all(bound: SiteBound, packages: int, fixed: Mapping[str, Room]) -> bool:
    """Return whether a bound surely has room for the pages of all packages beside the `fixed` parts, by their names."""
    room = _room_beside(bound, fixed).minus(site_reserve(bound))
    return room.has(Room.of(PACKAGE_ESTIMATE * packages, FILES_ESTIMATE * packages))


def room_for_pages(bound: SiteBound, fixed: Mapping[str, Room]) -> Room:
    """Return the room for packages' pages beside the `fixed` parts of a site, by their names, and its other pages.

    Raises `PublishError` that names the parts where they do not even fit without any package's page.
    """
    left = _room_beside(bound, fixed).minus(site_reserve(bound))
    if left.bytes < 0 or left.files < 0:
        parts = ", ".join(f"{name} {_described(room)}" for name, room in fixed.items())
        reserve = _described(site_reserve(bound))
        raise PublishError(
            f"the site does not fit its host: {parts} and pages about many packages (up to {reserve}) take more than"
            f" {_described(Room(bound.max_bytes, bound.max_files))}, without the page of a single package",
            hint="move snapshots elsewhere, raise PPP_SITE_MAX_MIB or PPP_SITE_MAX_FILES where the host allows it,"
            " or publish on a host without such a bound (PPP_SITE_PRESET=none); nothing was written",
        )
    return left


def check_bound(bound: SiteBound, taken: Room) -> None:
    """Raise `PublishError` where a site takes more than its bound."""
    if not Room(bound.max_bytes, bound.max_files).has(taken):
        raise PublishError(
            f"the site would take {_described(taken)}, more than its bound of"
            f" {_described(Room(bound.max_bytes, bound.max_files))}",
            hint="raise PPP_SITE_MAX_MIB or PPP_SITE_MAX_FILES where the host allows it, or publish on a host without"
            " such a bound (PPP_SITE_PRESET=none); current.json is still that of the last publish",
        )


def package_room(size: int, files: int, rows: int) -> Room:
    """Return the room for a package's pages: its files, their lines in lists, and `rows` bytes in pages by name.

    Pages by name take a quarter more than their rows, for what is around these.
    """
    room = Room.of(size, files)
    return Room(room.bytes + _LINE_BYTES * files + rows * 5 // 4 + _NAMED_BYTES, room.files)


def merge_ranks(*orders: Iterable[str]) -> Iterator[str]:
    """Yield the names of several orders by their best place in any of them, each once.

    At the same place, the name of an earlier order comes first. The orders are read as far as names are taken.
    """
    seen: set[str] = set()
    for names in zip_longest(*orders):
        for name in names:
            if name is not None and name not in seen:
                seen.add(name)
                yield name


def _room_beside(bound: SiteBound, fixed: Mapping[str, Room]) -> Room:
    room = Room(bound.max_bytes, bound.max_files)
    for part in fixed.values():
        room = room.minus(part)
    return room


def _described(room: Room) -> str:
    return f"{text.size(room.bytes)} in {text.grouped(room.files)} files"
