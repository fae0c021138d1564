"""What a build remembers for the next one: which files are of which owner, and how far into the ledger it came.

A cache that may be lost at any time: a build that has none, or one of another folder, ledger or PPP, does everything
anew and comes to the same bytes. It is written in one transaction that ends after `current.json` stands.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from ppp.publish.files import Entry
from ppp.publish.tally import Sums, Tally

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS owned (
    kind TEXT NOT NULL,
    place TEXT NOT NULL,                -- sha256 of the owner, hex: which list its files stand in
    owner TEXT NOT NULL,
    files TEXT NOT NULL,                -- JSON: [path, size, sha256] of each
    PRIMARY KEY (kind, place, owner)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS totals (     -- of each kind
    kind TEXT PRIMARY KEY,
    owners INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS listed (     -- the lists as they were last published
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL, sha256 TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    package TEXT PRIMARY KEY,
    part TEXT NOT NULL,                 -- as `ppp.publish.parts` encodes it
    tally TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS severities ( -- of each package's newest release: how many cells fail, and how
    fails INTEGER NOT NULL, timeouts INTEGER NOT NULL, errors INTEGER NOT NULL,
    package TEXT NOT NULL,
    PRIMARY KEY (fails DESC, timeouts DESC, errors DESC, package)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS told (       -- the current cells that a cause explains
    cause TEXT NOT NULL, observed_at INTEGER NOT NULL,
    package TEXT NOT NULL, version TEXT NOT NULL, environment TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (cause, observed_at DESC, package, version, environment)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS keys (       -- what a page of many packages was made of, but for their parts
    path TEXT PRIMARY KEY,
    key TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    fact TEXT NOT NULL                  -- JSON
) STRICT;
"""
_FORM: Final = int(sha256(_TABLES.encode()).hexdigest()[:7], 16)
#: It may be lost, so nothing waits for the disk; who reads it asks whether it is whole.
_PRAGMAS: Final = ("PRAGMA synchronous = NORMAL", "PRAGMA cache_size = -65536")


class Kind(StrEnum):
    """Whose files a list holds: of one package each, of one batch each, or pages and files that tell of many."""

    PACKAGES = "packages"
    BATCHES = "batches"
    SITE = "site"


class Memory:
    """An open memory, in a transaction that `keep` ends; without that all is as before."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open database, and make its tables if need be; `sums` are those of all packages."""
        self._db = connection
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN IMMEDIATE")
        held = self.fact("sums")
        self.sums: Sums = Counter({tuple(key): count for key, count in held} if isinstance(held, list) else {})

    @classmethod
    @contextmanager
    def open(cls, path: Path | None) -> Iterator[Self]:
        """Open the memory at a path; without a path it is forgotten at the end.

        Raises `sqlite3.DatabaseError` where it cannot be read.
        """
        with closing(_connect(path)) as connection:
            yield cls(connection)

    def keep(self) -> None:
        """Remember all that was told since it was opened."""
        self.note("sums", [[key, count] for key, count in sorted(self.sums.items(), key=str) if count])
        self._db.execute("COMMIT")

    def forget(self) -> None:
        """Forget everything."""
        for table in ("owned", "totals", "listed", "parts", "severities", "told", "keys", "facts"):
            self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        self.sums.clear()

    def fact(self, name: str) -> object:
        """Give a remembered fact, None where there is none."""
        row = self._db.execute("SELECT fact FROM facts WHERE name = ?", (name,)).fetchone()
        return row and json.loads(row[0])

    def note(self, name: str, fact: object) -> None:
        """Remember a fact, anything that JSON can tell."""
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(fact)))

    def own(self, kind: Kind, owner: str, files: Iterable[Entry]) -> list[Entry]:
        """Remember an owner's files in place of those it had, and give those; an owner without files is forgotten."""
        place, held = place_of(owner), sorted(files)
        before = self.files_of(kind, owner)
        if held:
            self._db.execute("INSERT OR REPLACE INTO owned VALUES (?, ?, ?, ?)", (kind, place, owner, json.dumps(held)))
        else:
            self._db.execute("DELETE FROM owned WHERE kind = ? AND place = ? AND owner = ?", (kind, place, owner))
        grown = (bool(held) - bool(before), len(held) - len(before), _bytes(held) - _bytes(before))
        self._db.execute(
            "INSERT INTO totals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET owners = owners + excluded.owners,"
            " files = files + excluded.files, bytes = bytes + excluded.bytes",
            (kind, *grown),
        )
        return before

    def files_of(self, kind: Kind, owner: str) -> list[Entry]:
        """Give an owner's files, by path."""
        row = self._db.execute(
            "SELECT files FROM owned WHERE kind = ? AND place = ? AND owner = ?", (kind, place_of(owner), owner)
        ).fetchone()
        return [Entry(*entry) for entry in json.loads(row[0])] if row else []

    def owners(self, kind: Kind) -> list[str]:
        """Give every owner of a kind."""
        return [owner for (owner,) in self._db.execute("SELECT owner FROM owned WHERE kind = ?", (kind,))]

    def places(self, kind: Kind) -> list[str]:
        """Give the place of every owner of a kind."""
        return [place for (place,) in self._db.execute("SELECT place FROM owned WHERE kind = ?", (kind,))]

    def files_in(self, kind: Kind, prefix: str) -> list[Entry]:
        """Give the files of all owners of a kind whose place begins so, by path."""
        rows = self._db.execute(
            "SELECT files FROM owned WHERE kind = ? AND place >= ? AND place < ?", (kind, prefix, f"{prefix}g")
        )
        return sorted(Entry(*entry) for (files,) in rows for entry in json.loads(files))

    def total(self, kind: Kind) -> tuple[int, int, int]:
        """Count the owners of a kind, their files, and the bytes of these."""
        row = self._db.execute("SELECT owners, files, bytes FROM totals WHERE kind = ?", (kind,)).fetchone()
        return row or (0, 0, 0)

    def keep_part(self, part: str, tally: Tally) -> None:
        """Remember what a package brings to the whole, in place of what it brought before."""
        package = tally.package
        row = self._db.execute("SELECT tally FROM parts WHERE package = ?", (package,)).fetchone()
        if row:
            before = Tally.from_text(row[0])
            self.sums.subtract(before.sums)
            self._db.execute(
                "DELETE FROM severities WHERE fails = ? AND timeouts = ? AND errors = ? AND package = ?",
                (*before.severity, package),
            )
            self._db.executemany(
                "DELETE FROM told WHERE cause = ? AND observed_at = ? AND package = ? AND version = ?"
                " AND environment = ?",
                [(t.cause, t.observed_at, package, t.version, t.environment) for t in before.told],
            )
        self.sums.update(tally.sums)
        self._db.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (package, part, tally.to_text()))
        self._db.execute("INSERT INTO severities VALUES (?, ?, ?, ?)", (*tally.severity, package))
        self._db.executemany(
            "INSERT INTO told VALUES (?, ?, ?, ?, ?, ?)",
            [(t.cause, t.observed_at, package, t.version, t.environment, t.record) for t in tally.told],
        )

    def parts(self) -> Iterator[str]:
        """Give every part, by package."""
        return (part for (part,) in self._db.execute("SELECT part FROM parts ORDER BY package"))

    def key(self, path: str) -> str | None:
        """Give the key that a page was made with."""
        row = self._db.execute("SELECT key FROM keys WHERE path = ?", (path,)).fetchone()
        return row and str(row[0])

    def keep_key(self, path: str, key: str) -> None:
        """Remember the key that a page was made with."""
        self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (path, key))

    def worst(self) -> Iterator[str]:
        """Give every package, most failures in its newest release first, then timeouts, then errors, then by name."""
        order = "fails DESC, timeouts DESC, errors DESC, package"
        return (package for (package,) in self._db.execute(f"SELECT package FROM severities ORDER BY {order}"))  # noqa: S608 - our own words

    def newest_told(self, cause: str, limit: int) -> list[str]:
        """Give the ids of the newest cells that a cause explains, then by package, version and environment."""
        rows = self._db.execute(
            "SELECT record FROM told WHERE cause = ? ORDER BY observed_at DESC, package, version, environment LIMIT ?",
            (cause, limit),
        )
        return [record for (record,) in rows]

    def list_as(self, path: str, entry: Entry | None) -> None:
        """Remember a list as it is published, or that it is no more."""
        if entry is None:
            self._db.execute("DELETE FROM listed WHERE path = ?", (path,))
        else:
            self._db.execute("INSERT OR REPLACE INTO listed VALUES (?, ?, ?)", entry)

    def lists(self) -> list[Entry]:
        """Give the lists as they were last published, by path."""
        return [Entry(*row) for row in self._db.execute("SELECT path, size, sha256 FROM listed ORDER BY path")]


def place_of(owner: str) -> str:
    """Give the sha256 (hex) that an owner's list is chosen by."""
    return sha256(owner.encode()).hexdigest()


def _bytes(files: Iterable[Entry]) -> int:
    return sum(entry.size for entry in files)


def _connect(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path or ":memory:", isolation_level=None)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    # What another PPP remembers in another form is worth nothing.
    (form,) = connection.execute("PRAGMA user_version").fetchone()
    if form != _FORM:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            connection.execute(f"DROP TABLE [{table}]")
        connection.execute(f"PRAGMA user_version = {_FORM}")
    return connection
