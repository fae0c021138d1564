"""The output folder: each file is written whole, only where its bytes changed, and only inside the folder.

The folder may hold the files of others, such as a node's statements: only what the last build listed in `files.json`
is ever removed. `current.json` changes last of all.
"""

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.ledger.schema import sqlite_errors
from ppp.model.errors import PublishError
from ppp.model.record import sha256_hex

MANIFEST: Final = "files.json"
CURRENT: Final = "current.json"
DIGEST: Final = "current.json.sha256"
#: A node writes these beside what is built here.
STATEMENTS: Final = ("statement.json", "statements")

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a commit did, by path within the folder, each tuple sorted."""

    current_sha256: str
    files_sha256: str
    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


class Output:
    """One build of an output folder: `put` every file, then `commit`.

    Both raise `DiskFullError`, `DataReadOnlyError` or `PublishError`, and leave a `current.json` that is whole.
    """

    def __init__(self, root: Path) -> None:
        """Make the folder if need be, and read what the last build left in it."""
        self._root = root
        self._entries: dict[str, tuple[int, str]] = {}
        self._written: list[str] = []
        self._unchanged: list[str] = []
        self._folders: set[Path] = set()
        with self._errors():
            root.mkdir(parents=True, exist_ok=True)
            self._before = _owned(root / MANIFEST)

    def put(self, path: str, content: bytes) -> None:
        """Write one file (`p/six/index.html`) unless it already holds these bytes."""
        if path in self._entries or not is_ours(path):
            raise ValueError(f"{path!r} is not a path that a build writes, or it is written twice")
        self._entries[path] = (len(content), sha256_hex(content))
        with self._errors():
            self._write({path: content}, durable=False)

    def put_beside(self, path: str, content: bytes) -> None:
        """Write a file that is not of this build (`statement.json`): neither its list nor its cleaning knows it."""
        if not _is_plain(path) or path.partition("/")[0] not in STATEMENTS:
            raise ValueError(f"{path!r} is not a path that stands beside a build")
        with self._errors():
            self._write({path: content}, durable=True)

    def commit(self, current: bytes) -> Written:
        """Remove what is built no more, list what is, and let `current.json` and its digest change together."""
        manifest = _manifest(self._entries)
        digest = sha256_hex(current)
        with self._errors():
            # Before the list changes: a kill in between must not orphan a file that no list names any more.
            removed = sorted(path for path in self._before - self._entries.keys() if self._remove(path))
            self._write({MANIFEST: manifest}, durable=True)
            # The two cannot change in one step, so both lie ready before either does.
            self._write({DIGEST: f"{digest}  {CURRENT}\n".encode(), CURRENT: current}, durable=True)
            _sync_folder(self._root)
        return Written(
            current_sha256=digest,
            files_sha256=sha256_hex(manifest),
            written=tuple(sorted(self._written)),
            unchanged=tuple(sorted(self._unchanged)),
            removed=tuple(removed),
        )

    def _write(self, files: dict[str, bytes], *, durable: bool) -> None:
        staged: list[tuple[Path, str]] = []
        try:
            for path, content in files.items():
                target = self._root / path
                if _holds(target, content):
                    self._unchanged.append(path)
                    continue
                self._make_folder(target.parent)
                part = target.with_name(f".{target.name}.part")
                staged.append((part, path))
                _stage(part, content, durable=durable)
            for part, path in staged:
                part.replace(self._root / path)
                self._written.append(path)
        finally:
            for part, _ in staged:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        if folder in self._folders:
            return
        if not folder.resolve().is_relative_to(self._root.resolve()):
            raise PublishError(f"{folder} leads out of {self._root}", hint="remove that link and publish again")
        folder.mkdir(parents=True, exist_ok=True)
        self._folders.add(folder)

    def _remove(self, path: str) -> bool:
        target = self._root / path
        if not target.parent.resolve().is_relative_to(self._root.resolve()):
            return False
        try:
            target.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        for folder in target.parents:
            if folder == self._root:
                break
            with suppress(OSError):  # not empty: others still live there
                folder.rmdir()
        return True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with sqlite_errors(self._root):
                try:
                    yield
                except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                    raise _in_the_way(error) from error
        except OSError as error:
            raise _in_the_way(error) from error


def put_beside(root: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a node's statements beside what is built, in the order they come, each whole and only if it changed."""
    output = Output(root)
    for path, content in files:
        output.put_beside(path, content)


def is_ours(path: str) -> bool:
    """Say whether a path is one that a build may write: plain, relative, and nobody else's."""
    return _is_plain(path) and path.partition("/")[0] not in STATEMENTS and path not in {MANIFEST, CURRENT, DIGEST}


def _is_plain(path: str) -> bool:
    return all(_PART.fullmatch(part) for part in path.split("/"))


def _in_the_way(error: OSError) -> PublishError:
    return PublishError(
        f"cannot write {error.filename2 or error.filename}: {error.strerror}",
        hint="move what is in the way, or publish into another folder",
    )


def _manifest(entries: dict[str, tuple[int, str]]) -> bytes:
    # One file a line, so that a difference between two builds reads well.
    rows = ",\n".join(json.dumps([path, *entry]) for path, entry in sorted(entries.items()))
    return f'{{"schema": "ppp-files-1", "files": [\n{rows}\n]}}\n'.encode()


def _owned(manifest: Path) -> set[str]:
    # A list that cannot be read owns nothing: rather a file too many than one too few.
    try:
        rows = json.loads(manifest.read_bytes())["files"]
        return {path for path, _, _ in rows if isinstance(path, str) and is_ours(path)}
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return set()


def _holds(path: Path, content: bytes) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == len(content) and path.read_bytes() == content


def _stage(part: Path, content: bytes, *, durable: bool) -> None:
    # Of thousands of pages only the last files wait for the disk: a page lost with the power differs, so it heals.
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
