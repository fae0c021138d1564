"""What the indexes listed after the last build, kept in the build cache: a build reads only what changed.

By package: what passed of it; on which projects' listings its closure check depends; when the next of its files is old
enough for an index with a cooldown. By index: the packages that have a page there.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from ppp.publish.verified_index.listing import VerifiedPackage

TABLES: Final = """
CREATE TABLE IF NOT EXISTS verified (   -- see `VerifiedPackage.to_text`
    package TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    files INTEGER NOT NULL,             -- of its pages, and their bytes, as estimated
    bytes INTEGER NOT NULL,
    matures_at INTEGER,                 -- in epoch seconds
    listed INTEGER NOT NULL DEFAULT 1   -- whether there is room for it
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verified_needs (
    need TEXT NOT NULL,
    version TEXT NOT NULL,              -- the one that meets the need; '' where any may
    package TEXT NOT NULL,
    PRIMARY KEY (need, version, package)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verified_pages (
    folder TEXT NOT NULL, package TEXT NOT NULL,
    files INTEGER NOT NULL,
    open INTEGER NOT NULL,              -- whether its closure lacks something
    PRIMARY KEY (folder, package)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verified_totals (
    folder TEXT PRIMARY KEY,
    projects INTEGER NOT NULL, files INTEGER NOT NULL, open INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS verified_left_out (
    environment TEXT NOT NULL, reason TEXT NOT NULL,
    files INTEGER NOT NULL,
    PRIMARY KEY (environment, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mirrored (   -- the files that the site had its own copy of
    sha256 TEXT NOT NULL, filename TEXT NOT NULL,
    PRIMARY KEY (sha256, filename)
) STRICT, WITHOUT ROWID;
"""
TABLE_NAMES: Final = (
    "verified", "verified_needs", "verified_pages", "verified_totals", "verified_left_out", "mirrored",
)  # fmt: skip
INDEXES: Final = (
    "verified_by_maturity ON verified (matures_at) WHERE matures_at IS NOT NULL",
    "verified_without_room ON verified (listed) WHERE listed = 0",
)


class IndexPageCount(NamedTuple):
    """How many files a project's page in an index has, and whether its closure lacks something."""

    files: int
    is_open: bool


class IndexTotals(NamedTuple):
    """The projects of an index, their files, and how many of the projects are open."""

    projects: int
    files: int
    open: int


class IndexSummary(NamedTuple):
    """What the two indexes of an environment list, and how many files that passed there they do not, by reason.

    `without_room` is how many packages are in no index because the site's bound has no room for them.
    """

    environment: str
    listed: IndexTotals
    old_enough: IndexTotals
    days: int
    left_out: Mapping[str, int]
    without_room: int


class VerifiedStore:
    """The verified packages in the database of an open build cache."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use the cache's database."""
        self._db = connection

    def get(self, package: str) -> VerifiedPackage:
        """Return what passed of a package; nothing if it is unknown."""
        row = self._db.execute("SELECT body FROM verified WHERE package = ?", (package,)).fetchone()
        return VerifiedPackage.from_text(package, row[0] if row else "{}")

    def get_listed(self, package: str) -> VerifiedPackage:
        """Return what indexes list of a package: nothing where there is no room for it."""
        row = self._db.execute("SELECT body FROM verified WHERE package = ? AND listed = 1", (package,)).fetchone()
        return VerifiedPackage.from_text(package, row[0] if row else "{}")

    def replace(
        self, package: VerifiedPackage, *, room: tuple[int, int], matures_at: int | None
    ) -> frozenset[str] | None:
        """Store a package in place of what it was; return which versions are listed otherwise, None: all is the same.

        `room` is the bytes and the number of files of its pages, as estimated.
        """
        name, body = package.package, package.to_text()
        row = self._db.execute("SELECT body, matures_at FROM verified WHERE package = ?", (name,)).fetchone()
        if row == (body, matures_at) or (row is None and package.is_empty):
            return None
        before = VerifiedPackage.from_text(name, row[0] if row else "{}")
        self._add_left_out(before, -1)
        self._db.executemany(
            "DELETE FROM verified_needs WHERE need = ? AND package = ?", [(need, name) for need in before.needed]
        )
        if package.is_empty:
            self._db.execute("DELETE FROM verified WHERE package = ?", (name,))
            return package.differing_versions(before)
        self._db.execute(
            "INSERT INTO verified (package, body, files, bytes, matures_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (package) DO UPDATE SET body = excluded.body, files = excluded.files, bytes = excluded.bytes,"
            " matures_at = excluded.matures_at",
            (name, body, room[1], room[0], matures_at),
        )
        self._add_left_out(package, 1)
        needs = [(need, version, name) for need, version in package.needed_versions]
        self._db.executemany("INSERT INTO verified_needs VALUES (?, ?, ?)", needs)
        return package.differing_versions(before) if row is None or row[0] != body else None

    def _add_left_out(self, package: VerifiedPackage, sign: int) -> None:
        self._db.executemany(
            "INSERT INTO verified_left_out VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET files = files + excluded.files",
            [
                (environment, reason, sign * count)
                for environment, project in package.projects.items()
                for reason, count in project.left_out.items()
            ],
        )

    def dependents(self, changed: Mapping[str, frozenset[str] | None]) -> set[str]:
        """Return the packages whose closure check may have another result after changes of some listings.

        `changed` has the versions that are listed otherwise, by package; None: any may be.
        """
        found: set[str] = set()
        for package, versions in changed.items():
            rows = self._db.execute(
                "SELECT package FROM verified_needs WHERE need = ?"
                " AND (? OR version = '' OR version IN (SELECT value FROM json_each(?)))",
                (package, versions is None, json.dumps(sorted(versions or ()))),
            )
            found.update(dependent for (dependent,) in rows)
        return found

    def due(self, as_of: int) -> dict[str, int]:
        """Return the packages with a file that has become old enough by `as_of`, and since when (epoch seconds)."""
        rows = self._db.execute("SELECT package, matures_at FROM verified WHERE matures_at <= ?", (as_of,))
        return dict(rows.fetchall())

    def room(self, package: str) -> tuple[int, int] | None:
        """Return the bytes and the number of files of a package's pages, as estimated; None: nothing of it passed."""
        row: tuple[int, int] | None = self._db.execute(
            "SELECT bytes, files FROM verified WHERE package = ?", (package,)
        ).fetchone()
        return row

    def whole_room(self) -> tuple[int, int]:
        """Return the bytes and the number of files of all packages' pages, as estimated."""
        row: tuple[int, int] = self._db.execute(
            "SELECT coalesce(sum(bytes), 0), coalesce(sum(files), 0) FROM verified"
        ).fetchone()
        return row

    def packages_with_pages(self) -> int:
        """Return how many packages have pages in some index."""
        row: tuple[int] = self._db.execute("SELECT count(DISTINCT package) FROM verified_pages").fetchone()
        return row[0]

    def without_room(self) -> int:
        """Return for how many packages there is no room."""
        row: tuple[int] = self._db.execute("SELECT count(*) FROM verified WHERE listed = 0").fetchone()
        return row[0]

    def set_listed(self, packages: frozenset[str] | None) -> set[str]:
        """Store for which packages there is room (None: for all), and return those for which that changed."""
        rows = self._db.execute("SELECT package, listed FROM verified").fetchall()
        changed = {package for package, listed in rows if bool(listed) != (packages is None or package in packages)}
        self._db.executemany(
            "UPDATE verified SET listed = NOT listed WHERE package = ?", [(package,) for package in sorted(changed)]
        )
        return changed

    def set_pages(self, package: str, pages: Mapping[str, IndexPageCount]) -> set[str]:
        """Store in which indexes, by folder, a package has a page; return the folders whose list of names changed."""
        rows = self._db.execute("SELECT folder, files, open FROM verified_pages WHERE package = ?", (package,))
        before = {folder: IndexPageCount(files, bool(is_open)) for folder, files, is_open in rows.fetchall()}
        changed = {folder for folder in {*before, *pages} if before.get(folder) != pages.get(folder)}
        for folder in sorted(changed):
            self._change_page(folder, package, before.get(folder), pages.get(folder))
        return {*before} ^ {*pages}

    def _change_page(
        self, folder: str, package: str, before: IndexPageCount | None, now: IndexPageCount | None
    ) -> None:
        if now is None:
            self._db.execute("DELETE FROM verified_pages WHERE folder = ? AND package = ?", (folder, package))
        else:
            self._db.execute("INSERT OR REPLACE INTO verified_pages VALUES (?, ?, ?, ?)", (folder, package, *now))
        old, new = ((0, 0, 0) if page is None else (1, *page) for page in (before, now))
        self._db.execute(
            "INSERT INTO verified_totals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET projects = projects"
            " + excluded.projects, files = files + excluded.files, open = open + excluded.open",
            (folder, *(int(b) - int(a) for a, b in zip(old, new, strict=True))),
        )

    def names(self, folder: str) -> list[str]:
        """Return the packages that have a page in an index, by name."""
        rows = self._db.execute("SELECT package FROM verified_pages WHERE folder = ? ORDER BY package", (folder,))
        return [package for (package,) in rows]

    def totals(self, folder: str) -> IndexTotals:
        """Return how much an index lists."""
        row = self._db.execute(
            "SELECT projects, files, open FROM verified_totals WHERE folder = ?", (folder,)
        ).fetchone()
        return IndexTotals(*(row or (0, 0, 0)))

    def left_out(self, environment: str) -> dict[str, int]:
        """Return how many files that passed in an environment are not listed, by reason."""
        rows = self._db.execute(
            "SELECT reason, files FROM verified_left_out WHERE environment = ? AND files > 0 ORDER BY reason",
            (environment,),
        )
        return dict(rows.fetchall())

    def replace_mirrored(self, files: Iterable[tuple[str, str]]) -> set[str]:
        """Store which files, as pairs of sha256 and name, the site has; return the names of those that changed."""
        now, before = set(files), set(self._db.execute("SELECT sha256, filename FROM mirrored"))
        self._db.executemany("DELETE FROM mirrored WHERE sha256 = ? AND filename = ?", sorted(before - now))
        self._db.executemany("INSERT INTO mirrored VALUES (?, ?)", sorted(now - before))
        return {filename for _, filename in now ^ before}
