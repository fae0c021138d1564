"""The database of what the index said about files: `index_files.db`, beside the ledger and never part of it.

It holds addresses, which must not be in the ledger: that is published, and may be part of a repository. It can be lost
without harm: `IndexFiles.complete` reads from the index what is missing. A file that the index does not list stays
unknown here; nothing is ever guessed.
"""

import secrets
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from ppp.index_files.file import IndexedFile
from ppp.model.errors import UnknownPackageError
from ppp.storage_errors import translate_storage_errors

INDEX_FILES_NAME: Final = "index_files.db"
BUSY_TIMEOUT_S: Final = 10.0
#: Increased when the table changes; a file of another schema is begun anew.
SCHEMA_VERSION: Final = 3
#: How many hashes one statement asks for.
CHUNK: Final = 500
_COLUMNS: Final = tuple(field.name for field in fields(IndexedFile))
_CREATE: Final = """
CREATE TABLE index_files (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL,
    project TEXT NOT NULL,
    version TEXT NOT NULL,
    filename TEXT NOT NULL,
    url TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    size INTEGER,
    upload_time TEXT,
    requires_python TEXT,
    yanked TEXT,
    metadata_sha256 TEXT,
    UNIQUE (sha256, project)
) STRICT
"""
#: Where anything but the time changes that it was seen, a file counts as added anew, see `IndexFiles.added_after`.
_CHANGED: Final = (
    "DELETE FROM index_files WHERE sha256 = :sha256 AND project = :project AND seen_at <= :seen_at AND NOT ("  # noqa: S608 - our own words
    + " AND ".join(f"{name} IS :{name}" for name in _COLUMNS if name != "seen_at")
    + ")"
)
_INSERT: Final = (
    f"INSERT INTO index_files ({', '.join(_COLUMNS)}) VALUES (:{', :'.join(_COLUMNS)})"  # noqa: S608 - our own words
    " ON CONFLICT (sha256, project) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS if name not in {"sha256", "project"})
    # What the index said last.
    + " WHERE excluded.seen_at >= index_files.seen_at"
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM index_files"  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What reading the index added: how many files; and those that it does not list, as pairs (project, sha256)."""

    added: int
    unknown: tuple[tuple[str, str], ...]


class IndexFiles:
    """What the index said about files, by sha256 and normalized project name.

    Two projects may have uploaded the same bytes: each has its own row, so that neither can replace the other's.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        """Use an open database; see `open_index_files` and `read_index_files`."""
        self._connection = connection
        self._path = path

    def get(self, sha256: str, project: str) -> IndexedFile | None:
        """Return a file, None if nothing is known of it here."""
        return self.get_many([(sha256, project)]).get((sha256, project))

    def get_many(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], IndexedFile]:
        """Return files by the pair (sha256, project), of such pairs; those that are unknown here are left out."""
        pairs = set(wanted)
        hashes = sorted({sha256 for sha256, _ in pairs})
        found: dict[tuple[str, str], IndexedFile] = {}
        with translate_storage_errors(self._path):
            for start in range(0, len(hashes), CHUNK):
                some = hashes[start : start + CHUNK]
                marks = ", ".join("?" * len(some))
                for row in self._connection.execute(f"{_SELECT} WHERE sha256 IN ({marks})", some):
                    file = _file(row)
                    if (file.sha256, file.project) in pairs:
                        found[file.sha256, file.project] = file
        return found

    def all(self) -> Iterator[IndexedFile]:
        """Yield every file, by sha256 and project."""
        with translate_storage_errors(self._path):
            yield from map(_file, self._connection.execute(f"{_SELECT} ORDER BY sha256, project"))

    def add(self, files: Iterable[IndexedFile]) -> None:
        """Store files; what is known of one already is replaced, unless it was seen later."""
        rows = [*map(_row, files)]
        with translate_storage_errors(self._path), self._connection:
            self._connection.executemany(_CHANGED, rows)
            self._connection.executemany(_INSERT, rows)

    @property
    def position(self) -> tuple[int, int]:
        """Return a number of this database, another one after it was lost; and that of the last addition to it."""
        with translate_storage_errors(self._path):
            (identity,) = self._connection.execute("PRAGMA application_id").fetchone()
            (last,) = self._connection.execute("SELECT coalesce(max(row), 0) FROM index_files").fetchone()
        return int(identity), int(last)

    def added_after(self, last: int) -> Iterator[IndexedFile]:
        """Yield the files that were added, or are said to be otherwise, after an addition by its number."""
        with translate_storage_errors(self._path):
            yield from map(_file, self._connection.execute(f"{_SELECT} WHERE row > ? ORDER BY row", (last,)))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def complete(
        self, wanted: Mapping[str, Collection[str]], read_project: Callable[[str], Iterable[IndexedFile]]
    ) -> Completion:
        """Read from the index what is unknown here: of each project, by its normalized name, the files with a sha256.

        `read_project` returns what a project's page lists, and is called only where something is missing. It may raise
        `UnknownPackageError`: then all of them are unknown. Other errors pass through; what was read before is stored.
        """
        pairs = [(sha256, project) for project, hashes in wanted.items() for sha256 in hashes]
        known = self.get_many(pairs)
        added, unknown = 0, []
        for project in sorted(wanted):
            missing = {sha256 for sha256 in wanted[project] if (sha256, project) not in known}
            if not missing:
                continue
            files = {file.sha256: file for file in _read(read_project, project) if file.sha256 in missing}
            self.add(files.values())
            added += len(files)
            unknown += [(project, sha256) for sha256 in sorted(missing - files.keys())]
        return Completion(added=added, unknown=tuple(unknown))

    @classmethod
    def in_memory(cls) -> Self:
        """Return a store that holds nothing, and is gone with the process."""
        connection = sqlite3.connect(":memory:", check_same_thread=False)
        connection.execute(_CREATE)
        return cls(connection, Path(":memory:"))

    @classmethod
    def connect(cls, data: Path) -> Self:
        """Open the database of a data folder for reading; one that is missing, or of another schema, holds nothing."""
        path = data / INDEX_FILES_NAME
        with translate_storage_errors(path):
            if not path.exists():
                return cls.in_memory()
            # Not read only: what a kill during a commit left must be undone first.
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)
            with ExitStack() as undo:
                undo.enter_context(closing(connection))
                if _schema_version(connection) != SCHEMA_VERSION:
                    return cls.in_memory()
                undo.pop_all()
        return cls(connection, path)


@contextmanager
def open_index_files(data: Path) -> Iterator[IndexFiles]:
    """Open the database of a data folder for writing until the block ends; create it if it is missing.

    Raise `DataReadOnlyError`, `DiskFullError`, `LedgerBusyError` or `LedgerDamagedError`.
    """
    path = data / INDEX_FILES_NAME
    with translate_storage_errors(path):
        data.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, check_same_thread=False)
    with closing(connection):
        with translate_storage_errors(path), connection:
            connection.execute("BEGIN IMMEDIATE")
            if _schema_version(connection) != SCHEMA_VERSION:
                connection.execute("DROP TABLE IF EXISTS index_files")
                connection.execute(_CREATE)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.execute(f"PRAGMA application_id = {1 + secrets.randbelow(2**31 - 1)}")
        yield IndexFiles(connection, path)


@contextmanager
def read_index_files(data: Path) -> Iterator[IndexFiles]:
    """Open the database of a data folder for reading until the block ends; one that is missing holds nothing."""
    with closing(IndexFiles.connect(data)) as index_files:
        yield index_files


def _schema_version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _read(read_project: Callable[[str], Iterable[IndexedFile]], project: str) -> tuple[IndexedFile, ...]:
    try:
        return tuple(file for file in read_project(project) if file.project == project)
    except UnknownPackageError:
        return ()


def _row(file: IndexedFile) -> dict[str, Any]:
    return {**asdict(file), "upload_time": None if file.upload_time is None else _time_text(file.upload_time)}


def _time_text(time: datetime) -> str:
    # In the order of time, with the index's precision.
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _file(row: tuple[Any, ...]) -> IndexedFile:
    values = dict(zip(_COLUMNS, row, strict=True))
    time = values["upload_time"]
    return IndexedFile(**{**values, "upload_time": None if time is None else datetime.fromisoformat(time)})
