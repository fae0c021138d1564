"""The build cache: what a build keeps for the next one, such as each owner's files and how much of the ledger it read.

The cache may be lost at any time: a build without one, or with one of another folder, ledger or PPP, builds everything
and writes the same bytes. It changes in one transaction that is committed after `current.json` is written.
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
from ppp.publish.verified_index import store as verified

_TABLES: Final = f"""
CREATE TABLE IF NOT EXISTS owned (
    kind TEXT NOT NULL,
    owner_hash TEXT NOT NULL,           -- sha256 of the owner's name, hex: decides which list its files are in
    owner TEXT NOT NULL,
    lines TEXT NOT NULL,                -- each of its files as a line of JSON: [path, size, sha256]
    files INTEGER NOT NULL, size INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS lists (      -- as they were last published
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS days (       -- since the epoch
    day INTEGER PRIMARY KEY,
    ids TEXT NOT NULL                   -- of its records, sorted, one a line
) STRICT;
CREATE TABLE IF NOT EXISTS templates (  -- compiled
    name TEXT PRIMARY KEY,
    code BLOB NOT NULL,
    sha256 TEXT NOT NULL                -- of the code: damaged code is never run
) STRICT;
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    fact TEXT NOT NULL                  -- JSON
) STRICT;
{store.TABLES}{verified.TABLES}"""
_TABLE_NAMES: Final = ("owned", "lists", "days", "templates", "facts", *store.TABLE_NAMES, *verified.TABLE_NAMES)
_INDEXES: Final = ("owned_by_hash ON owned (kind, owner_hash, owner)", *store.INDEXES, *verified.INDEXES)
_FORMAT_VERSION: Final = int(sha256("\n".join((_TABLES, *_INDEXES)).encode()).hexdigest()[:7], 16)
#: The cache may be lost, so nothing waits for the disk: whoever reads it checks that it can be relied on. What of it is
#: mapped counts as memory of the build, so it has a bound.
_PRAGMAS: Final = ("PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -65536", "PRAGMA mmap_size = 268435456")


class OwnerKind(StrEnum):
    """What owns a file, and names the list that the file is in: a package, a batch, or the site as a whole.

    `SIMPLE` are a package's pages in simple indexes, `EPISODES` the text of an episode, `AUDIO` its audio.
    """

    PACKAGES = "packages"
    BATCHES = "batches"
    SITE = "site"
    SIMPLE = "simple"
    AUDIO = "audio"
    EPISODES = "episodes"


class Owner(NamedTuple):
    """A package by its name, a batch by its id, an episode by its period, or a file of the site by its path."""

    kind: OwnerKind
    name: str


class OwnedFiles(NamedTuple):
    """An owner's files: a line for each, sorted, how many there are, and their bytes together."""

    kind: OwnerKind
    owner_hash: str
    owner: str
    lines: str
    files: int
    size: int


class BuildCache:
    """An open cache, in a transaction: `commit` ends it; without that, the cache stays as it was."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use an open database, and create its tables where they are missing."""
        self._db = connection
        self._db.executescript(_TABLES)
        # The write lock is taken now, so that no other build changes the cache in the meantime.
        self._db.execute("BEGIN IMMEDIATE")
        counted, file_totals = self.fact("totals"), self.fact("file totals")
        totals: Totals = Counter({tuple(key): n for key, n in counted} if isinstance(counted, list) else {})
        self.listings = store.ListingStore(connection, totals)
        self.verified = verified.VerifiedStore(connection)
        self._file_totals: dict[str, list[int]] = file_totals if isinstance(file_totals, dict) else {}
        self._from_scratch = False
        self.create_indexes()

    @classmethod
    @contextmanager
    def open(cls, path: Path | None) -> Iterator[Self]:
        """Open the cache at a path; without a path it exists in memory only.

        Raises `sqlite3.DatabaseError` where the file cannot be read.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path or ":memory:", isolation_level=None)) as connection:
            _prepare(connection)
            yield cls(connection)

    def commit(self) -> None:
        """Keep all changes since the cache was opened."""
        totals = self.listings.totals
        self.set_fact("totals", [[key, count] for key, count in sorted(totals.items(), key=str) if count])
        self.set_fact("file totals", self._file_totals)
        self._db.execute("COMMIT")

    def clear(self) -> None:
        """Remove everything. Until `create_indexes`, each owner and package is added once, and nothing is looked up."""
        for table in _TABLE_NAMES:
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        # Built once at the end, indexes cost a fraction of what they do row by row.
        for index in _INDEXES:
            self._db.execute(f"DROP INDEX IF EXISTS {index.partition(' ')[0]}")
        self.listings.clear()
        self._file_totals.clear()
        self._from_scratch = True

    def create_indexes(self) -> None:
        """Create the indexes that are missing, so that what was added can be looked up."""
        for index in _INDEXES:
            self._db.execute(f"CREATE INDEX IF NOT EXISTS {index}")
        self._from_scratch = False

    def fact(self, name: str) -> object:
        """Return a fact by its name, None where there is none."""
        row = self._db.execute("SELECT fact FROM facts WHERE name = ?", (name,)).fetchone()
        return row and json.loads(row[0])

    def set_fact(self, name: str, fact: object) -> None:
        """Store a fact: anything that JSON can express."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(fact)))

    def replace_files(self, owned: Sequence[OwnedFiles]) -> set[str]:
        """Store owners' files in place of those they had, and return the paths that they no longer have.

        An owner without files is removed.
        """
        removed: set[str] = set()
        # From scratch, no owner has files yet, and there is no index to look them up by.
        for each in () if self._from_scratch else owned:
            removed |= self._remove_files(each)
        kept = [each for each in owned if each.files]
        self._db.executemany("INSERT INTO owned VALUES (?, ?, ?, ?, ?, ?)", kept)
        for kind, of_kind in groupby(kept, key=itemgetter(0)):
            files, sizes = zip(*((each.files, each.size) for each in of_kind), strict=True)
            self._add_to_totals(kind, (len(files), sum(files), sum(sizes)))
        return removed

    def _remove_files(self, now: OwnedFiles) -> set[str]:
        key = (now.kind, now.owner_hash, now.owner)
        row = self._db.execute(
            "SELECT rowid, lines, files, size FROM owned WHERE kind = ? AND owner_hash = ? AND owner = ?", key
        ).fetchone()
        if row is None:
            return set()
        rowid, lines, files, size = row
        self._db.execute("DELETE FROM owned WHERE rowid = ?", (rowid,))
        self._add_to_totals(now.kind, (-1, -files, -size))
        # Equal lines have equal paths, and need not be decoded.
        return set() if lines == now.lines else paths_in(lines) - paths_in(now.lines)

    def _add_to_totals(self, kind: OwnerKind, change: tuple[int, int, int]) -> None:
        before = self._file_totals.get(kind, (0, 0, 0))
        self._file_totals[str(kind)] = [old + new for old, new in zip(before, change, strict=True)]

    def files_of(self, owner: Owner) -> list[FileEntry]:
        """Return an owner's files, by path."""
        which = "kind = ? AND owner_hash = ? AND owner = ?"
        return self._files(which, owner.kind, owner_hash(owner.name), owner.name)

    def taken_by(self, kind: OwnerKind, name: str) -> tuple[int, int] | None:
        """Return the bytes of an owner's files and how many there are; None: it has none."""
        row: tuple[int, int] | None = self._db.execute(
            "SELECT size, files FROM owned WHERE kind = ? AND owner_hash = ? AND owner = ?",
            (kind, owner_hash(name), name),
        ).fetchone()
        return row

    def files_in(self, kind: OwnerKind, prefix: str) -> list[FileEntry]:
        """Return the files of all owners of a kind whose hash starts with a prefix, by path."""
        return self._files("kind = ? AND owner_hash >= ? AND owner_hash < ?", kind, prefix, f"{prefix}g")

    def _files(self, which: str, *values: str) -> list[FileEntry]:
        rows = self._db.execute(f"SELECT lines FROM owned WHERE {which}", values)  # noqa: S608 - our own words
        return sorted(entry for (lines,) in rows for entry in entries_in(lines))

    def lines_in(self, kind: OwnerKind, prefix: str) -> list[str]:
        """Return a line for each file of all owners of a kind whose hash starts with a prefix, by path."""
        rows = self._db.execute(
            "SELECT lines FROM owned WHERE kind = ? AND owner_hash >= ? AND owner_hash < ?",
            (kind, prefix, f"{prefix}g"),
        )
        # Lines sort as their paths do: the quote that ends a path sorts before every character of a path.
        return sorted(line for (lines,) in rows for line in lines.split("\n"))

    def owners(self, kind: OwnerKind) -> list[str]:
        """Return the names of all owners of a kind."""
        return [owner for (owner,) in self._db.execute("SELECT owner FROM owned WHERE kind = ?", (kind,))]

    def owner_hashes(self, kind: OwnerKind) -> list[str]:
        """Return the hashes of all owners of a kind."""
        return [digest for (digest,) in self._db.execute("SELECT owner_hash FROM owned WHERE kind = ?", (kind,))]

    def file_totals(self, kind: OwnerKind) -> tuple[int, int, int]:
        """Return how many owners of a kind there are, how many files they have, and the bytes of these."""
        owners, files, size = self._file_totals.get(kind, (0, 0, 0))
        return owners, files, size

    def set_list(self, path: str, entry: FileEntry | None) -> None:
        """Store a list as it is published; None: it no longer is."""
        if entry is None:
            self._db.execute("DELETE FROM lists WHERE path = ?", (path,))
        else:
            self._db.execute("INSERT OR REPLACE INTO lists VALUES (?, ?, ?)", entry)

    def lists(self) -> list[FileEntry]:
        """Return the lists as they were last published, by path."""
        return [FileEntry(*row) for row in self._db.execute("SELECT path, size, sha256 FROM lists ORDER BY path")]

    def record_ids(self, day: int) -> list[str]:
        """Return the sorted ids of a day's records; days are numbered since the epoch."""
        row = self._db.execute("SELECT ids FROM days WHERE day = ?", (day,)).fetchone()
        return row[0].split("\n") if row else []

    def set_record_ids(self, day: int, ids: Sequence[str]) -> None:
        """Store the sorted ids of a day's records."""
        self._db.execute("INSERT OR REPLACE INTO days VALUES (?, ?)", (day, "\n".join(ids)))

    def template_code(self, name: str) -> bytes | None:
        """Return a compiled template, None where there is none or its code is damaged."""
        row = self._db.execute("SELECT code, sha256 FROM templates WHERE name = ?", (name,)).fetchone()
        return row[0] if row and sha256(row[0]).hexdigest() == row[1] else None

    def set_template_code(self, name: str, code: bytes) -> None:
        """Store a compiled template."""
        self._db.execute("INSERT OR REPLACE INTO templates VALUES (?, ?, ?)", (name, code, sha256(code).hexdigest()))


def owned_files(owner: Owner, files: Iterable[FileEntry]) -> OwnedFiles:
    """Return an owner's files as the cache stores them; raises `ValueError` where a path occurs twice."""
    kind, name = owner
    entries = sorted(files)
    if len({entry.path for entry in entries}) < len(entries):
        raise ValueError(f"a file of {name} is written twice")
    lines = "\n".join(map(line_of, entries))
    return OwnedFiles(kind, owner_hash(name), name, lines, len(entries), sum(entry.size for entry in entries))


def line_of(entry: FileEntry) -> str:
    """Return a file as JSON on one line; its path is plain, so nothing in it needs an escape."""
    return f'["{entry.path}", {entry.size}, "{entry.sha256}"]'


def entries_in(lines: str) -> list[FileEntry]:
    """Return the files that lines describe."""
    return [FileEntry(*entry) for entry in json.loads(f"[{lines.replace(chr(10), ',')}]")]


def paths_in(lines: str) -> set[str]:
    """Return the paths of the files that lines describe."""
    return {entry.path for entry in entries_in(lines)}


def owner_hash(name: str) -> str:
    """Return the sha256 (hex) of an owner's name, which decides the list that its files are in."""
    return sha256(name.encode()).hexdigest()


def _prepare(connection: sqlite3.Connection) -> None:
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    # A cache in another version's format cannot be used.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != _FORMAT_VERSION:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE [{table}]")
        connection.execute(f"PRAGMA user_version = {_FORMAT_VERSION}")
