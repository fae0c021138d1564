"""What a build remembers for the next one: which files are of which owner, and how far into the ledger it came.

A cache that may be lost at any time: a build that has none, or one of another folder, ledger or PPP, does everything
anew and comes to the same bytes. It is written in one transaction that ends after `current.json` stands.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple, Self

from ppp.publish.folder import FileEntry
from ppp.publish.listings import store
from ppp.publish.packages.totals import Totals

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS owned (
    kind TEXT NOT NULL,
    place TEXT NOT NULL,                -- sha256 of the owner, hex: which list its files stand in
    owner TEXT NOT NULL,
    lines TEXT NOT NULL,                -- JSON of each of its files: [path, size, sha256]
    files INTEGER NOT NULL, size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS listed (     -- the lists as they were last published
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (       -- since the epoch
    day INTEGER PRIMARY KEY,
    ids TEXT NOT NULL                   -- of its records, sorted, a line each
) STRICT;
CREATE TABLE IF NOT EXISTS codes (      -- templates, compiled
    name TEXT PRIMARY KEY,
    code BLOB NOT NULL,
    sha256 TEXT NOT NULL                -- of the code: what is damaged is not run
) STRICT;
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    fact TEXT NOT NULL                  -- JSON
) STRICT;
{store.TABLES}"""
_TABLE_NAMES: Final = ("owned", "listed", "days", "codes", "facts", "brought", "cards", "nodes")
_INDEXES: Final = ("owned_by_place ON owned (kind, place, owner)", *store.INDEXES)
_FORMAT_VERSION: Final = int(sha256("\n".join((_TABLES, *_INDEXES)).encode()).hexdigest()[:7], 16)
#: It may be lost, so nothing waits for the disk; who reads it asks whether it is whole.
_PRAGMAS: Final = ("PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -65536", "PRAGMA mmap_size = 1073741824")


class OwnerKind(StrEnum):
    """Whose files a list holds: of one package each, of one batch each, or pages and files that tell of many."""

    PACKAGES = "packages"
    BATCHES = "batches"
    SITE = "site"


class OwnedFiles(NamedTuple):
    """An owner's files: a line of each, sorted, how many they are, and their bytes."""

    kind: OwnerKind
    owner_hash: str
    owner: str
    lines: str
    files: int
    size: int


class BuildCache:
    """An open memory, in a transaction that `keep` ends; without that all is as before."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open database, and make its tables if need be."""
        self._db = connection
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN IMMEDIATE")
        held, totals = self.fact("sums"), self.fact("totals")
        sums: Totals = Counter({tuple(key): count for key, count in held} if isinstance(held, list) else {})
        self.listings = store.ListingStore(connection, sums)
        self._totals: dict[str, list[int]] = totals if isinstance(totals, dict) else {}
        self._from_scratch = False
        self.create_indexes()

    @classmethod
    @contextmanager
    def open(cls, path: Path | None) -> Iterator[Self]:
        """Open the memory at a path; without a path it is forgotten at the end.

        Raises `sqlite3.DatabaseError` where it cannot be read.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path or ":memory:", isolation_level=None)) as connection:
            _prepare(connection)
            yield cls(connection)

    def commit(self) -> None:
        """Remember all that was told since it was opened."""
        sums = self.listings.sums
        self.set_fact("sums", [[key, count] for key, count in sorted(sums.items(), key=str) if count])
        self.set_fact("totals", self._totals)
        self._db.execute("COMMIT")

    def clear(self) -> None:
        """Forget everything; until `index`, every owner and every package is told once, and nothing is asked."""
        for table in _TABLE_NAMES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        # Sorted once at the end, they cost a fraction of what they do row by row.
        for index in _INDEXES:
            self._db.execute(f"DROP INDEX IF EXISTS {index.partition(' ')[0]}")
        self.listings.clear()
        self._totals.clear()
        self._from_scratch = True

    def create_indexes(self) -> None:
        """Make what is told ready to be asked."""
        for index in _INDEXES:
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {index}")
        self._from_scratch = False

    def fact(self, name: str) -> object:
        """Give a remembered fact, None where there is none."""
        row = self._db.execute("SELECT fact FROM facts WHERE name = ?", (name,)).fetchone()
        return row and json.loads(row[0])

    def set_fact(self, name: str, fact: object) -> None:
        """Remember a fact, anything that JSON can tell."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(fact)))

    def replace_files(self, owned: Sequence[OwnedFiles]) -> set[str]:
        """Remember owners' files in place of those they had, and give the paths of these that are no more.

        An owner without files is forgotten.
        """
        gone: set[str] = set()
        for each in () if self._from_scratch else owned:
            gone |= self._remove_files(each)
        held = [each for each in owned if each.files]
        self._db.executemany("INSERT INTO owned VALUES (?, ?, ?, ?, ?, ?)", held)
        for kind, of_kind in groupby(held, key=itemgetter(0)):
            files, sizes = zip(*((each.files, each.size) for each in of_kind), strict=True)
            self._add_to_totals(kind, (len(files), sum(files), sum(sizes)))
        return gone

    def _remove_files(self, now: OwnedFiles) -> set[str]:
        key = (now.kind, now.owner_hash, now.owner)
        row = self._db.execute(
            "SELECT rowid, lines, files, size FROM owned WHERE kind = ? AND place = ? AND owner = ?", key
        ).fetchone()
        if row is None:
            return set()
        rowid, lines, files, size = row
        self._db.execute("DELETE FROM owned WHERE rowid = ?", (rowid,))
        self._add_to_totals(now.kind, (-1, -files, -size))
        return set() if lines == now.lines else paths_in(lines) - paths_in(now.lines)

    def _add_to_totals(self, kind: OwnerKind, more: tuple[int, int, int]) -> None:
        before = self._totals.get(kind, (0, 0, 0))
        self._totals[str(kind)] = [had + comes for had, comes in zip(before, more, strict=True)]

    def files_of(self, kind: OwnerKind, owner: str) -> list[FileEntry]:
        """Give an owner's files, by path."""
        return self._entries("kind = ? AND place = ? AND owner = ?", kind, owner_hash(owner), owner)

    def files_in(self, kind: OwnerKind, prefix: str) -> list[FileEntry]:
        """Give the files of all owners of a kind whose place begins so, by path."""
        return self._entries("kind = ? AND place >= ? AND place < ?", kind, prefix, f"{prefix}g")

    def _entries(self, which: str, *values: str) -> list[FileEntry]:
        rows = self._db.execute(f"SELECT lines FROM owned WHERE {which}", values)  # noqa: S608 - our own words
        return sorted(entry for (lines,) in rows for entry in entries_in(lines))

    def lines_in(self, kind: OwnerKind, prefix: str) -> list[str]:
        """Give a line of each file of all owners of a kind whose place begins so, by path."""
        rows = self._db.execute(
            "SELECT lines FROM owned WHERE kind = ? AND place >= ? AND place < ?", (kind, prefix, f"{prefix}g")
        )
        # What ends a path in a line sorts before all that a path may go on with.
        return sorted(line for (lines,) in rows for line in lines.split("\n"))

    def owners(self, kind: OwnerKind) -> list[str]:
        """Give every owner of a kind."""
        return [owner for (owner,) in self._db.execute("SELECT owner FROM owned WHERE kind = ?", (kind,))]

    def owner_hashes(self, kind: OwnerKind) -> list[str]:
        """Give the place of every owner of a kind."""
        return [place for (place,) in self._db.execute("SELECT place FROM owned WHERE kind = ?", (kind,))]

    def file_totals(self, kind: OwnerKind) -> tuple[int, int, int]:
        """Count the owners of a kind, their files, and the bytes of these."""
        owners, files, size = self._totals.get(kind, (0, 0, 0))
        return owners, files, size

    def set_list(self, path: str, entry: FileEntry | None) -> None:
        """Remember a list as it is published, or that it is no more."""
        if entry is None:
            self._db.execute("DELETE FROM listed WHERE path = ?", (path,))
        else:
            self._db.execute("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", entry)

    def lists(self) -> list[FileEntry]:
        """Give the lists as they were last published, by path."""
        return [FileEntry(*row) for row in self._db.execute("SELECT path, size, sha256 FROM listed ORDER BY path")]

    def record_ids(self, day: int) -> list[str]:
        """Give the ids of a day's records, sorted."""
        row = self._db.execute("SELECT ids FROM days WHERE day = ?", (day,)).fetchone()
        return row[0].split("\n") if row else []

    def set_record_ids(self, day: int, ids: Sequence[str]) -> None:
        """Remember the ids of a day's records, sorted."""
        self._db.execute("INSERT OR REPLACE INTO days VALUES (?, ?)", (day, "\n".join(ids)))

    def template_code(self, name: str) -> bytes | None:
        """Give what was kept under a name, None where there is nothing or it is not as it was."""
        row = self._db.execute("SELECT code, sha256 FROM codes WHERE name = ?", (name,)).fetchone()
        return row[0] if row and sha256(row[0]).hexdigest() == row[1] else None

    def set_template_code(self, name: str, code: bytes) -> None:
        """Remember compiled code under a name."""
        self._db.execute("INSERT OR REPLACE INTO codes VALUES (?, ?, ?)", (name, code, sha256(code).hexdigest()))


def owned_files(kind: OwnerKind, owner: str, files: Iterable[FileEntry]) -> OwnedFiles:
    """Give what is remembered of an owner; raises `ValueError` where a path stands twice."""
    held = sorted(files)
    if len({entry.path for entry in held}) < len(held):
        raise ValueError(f"a file of {owner} is written twice")
    return OwnedFiles(
        kind, owner_hash(owner), owner, "\n".join(map(line_of, held)), len(held), sum(entry.size for entry in held)
    )


def line_of(entry: FileEntry) -> str:
    """Give a file as JSON on one line; its path is plain, so nothing in it needs an escape."""
    return f'["{entry.path}", {entry.size}, "{entry.sha256}"]'


def entries_in(lines: str) -> list[FileEntry]:
    """Give the files that lines tell of."""
    return [FileEntry(*entry) for entry in json.loads(f"[{lines.replace(chr(10), ',')}]")]


def paths_in(lines: str) -> set[str]:
    """Give the paths that lines tell of."""
    return {entry.path for entry in entries_in(lines)}


def owner_hash(owner: str) -> str:
    """Give the sha256 (hex) that an owner's list is chosen by."""
    return sha256(owner.encode()).hexdigest()


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    # What another PPP remembers in another form is worth nothing.
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if form != _FORMAT_VERSION:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE [{table}]")
        connection.execute(f"PRAGMA user_version = {_FORMAT_VERSION}")
