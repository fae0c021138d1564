"""The output folder: each file is written whole, only where its bytes changed, and only inside the folder.

Other programs may keep files in the folder, as a node does its statements: a build only removes files that the last
build listed. `current.json` changes last of all.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from ppp.durability import sync_to_disk
from ppp.model.canonical import sha256_hex
from ppp.model.errors import PublishError
from ppp.model.simple_index import MIRROR_FOLDER
from ppp.storage_errors import translate_storage_errors

MANIFEST: Final = "files.json"
#: The folder of the lists that `files.json` names.
LISTS_FOLDER: Final = "files"
CURRENT: Final = "current.json"
DIGEST: Final = "current.json.sha256"
#: Above this size, `OutputFolder.matches` compares sizes only.
LARGE_FILE_BYTES: Final = 256 * 1024
#: A node writes these into the same folder; no build touches them.
STATEMENTS: Final = ("statement.json", "statements", "peers.json")
_RESERVED: Final = frozenset({*STATEMENTS, LISTS_FOLDER, MIRROR_FOLDER})
_WRITTEN_LAST: Final = frozenset({MANIFEST, CURRENT, DIGEST})

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
_PLAIN: Final = re.compile(f"({_NAME})(?:/{_NAME})*")


class FileEntry(NamedTuple):
    """A published file: its path within the folder, its size in bytes, its sha256 (hex)."""

    path: str
    size: int
    sha256: str


class OutputFolder:
    """A folder to write files into: no path or symbolic link leads out of it.

    All methods but `matches` raise `DiskFullError`, `DataReadOnlyError` or `PublishError`.
    """

    def __init__(self, root: Path) -> None:
        """Use a folder, and create it if it does not exist."""
        self._root = root
        # Paths as text: with thousands of files, `Path` objects would take more time than writing.
        self._base = f"{root}/"
        self._checked_folders: set[str] = {str(root)}
        with self._errors():
            root.mkdir(parents=True, exist_ok=True)

    def write(self, path: str, content: bytes) -> tuple[FileEntry, bool]:
        """Write one file of a build (`p/six/index.html`), unless it has these bytes already.

        Return its entry and whether it was written. Raises `ValueError` for a path that no build writes.
        """
        if not (is_build_path(path) or is_list_path(path)):
            raise ValueError(f"{path!r} is not a path that a build writes")
        try:
            written = self._write({path: content}, durable=False)
        except OSError:
            with self._errors():
                raise
        return FileEntry(path, len(content), sha256_hex(content)), bool(written)

    def write_last(self, files: Mapping[str, bytes]) -> list[str]:
        """Write the files that describe all others, durably, and return the paths that changed.

        All of them are complete on disk before the first is renamed into place.
        """
        with self._errors():
            return self._write(files, durable=True)

    def write_statement(self, path: str, content: bytes) -> None:
        """Write a file of a node (`statement.json`); builds neither list nor remove it."""
        plain = _PLAIN.fullmatch(path)
        if plain is None or plain[1] not in STATEMENTS:
            raise ValueError(f"{path!r} is not the path of a statement")
        with self._errors():
            self._write({path: content}, durable=True)

    def remove(self, path: str) -> bool:
        """Remove a file and the folders that are empty then; return whether the file existed."""
        with self._errors():
            return self._remove(path)

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None where there is none, or where a link leads out of the folder."""
        target = self._root / path
        if not target.resolve().is_relative_to(self._root.resolve()):
            return None
        with self._errors():
            try:
                return target.read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def matches(self, entry: FileEntry) -> bool:
        """Return whether a file is as an entry describes it; files over `LARGE_FILE_BYTES` by their size only."""
        try:
            found = (self._root / entry.path).lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
                return False
            return entry.size > LARGE_FILE_BYTES or sha256_hex((self._root / entry.path).read_bytes()) == entry.sha256
        except OSError:
            return False

    def sync(self) -> None:
        """Wait until renames in the folder itself are on the disk."""
        with self._errors():
            sync_to_disk(self._root)

    def _write(self, files: Mapping[str, bytes], *, durable: bool) -> list[str]:
        staged: list[tuple[str, str]] = []
        written: list[str] = []
        try:
            for path, content in files.items():
                target = self._base + path
                if _has_content(target, content):
                    continue
                folder, _, name = target.rpartition("/")
                if folder not in self._checked_folders:
                    self._create_folder(Path(folder))
                part = f"{folder}/.{name}.part"
                staged.append((part, path))
                _stage(part, content, durable=durable)
            for part, path in staged:
                os.rename(part, self._base + path)  # noqa: PTH104 - as above
                written.append(path)
        except BaseException:
            for part, _ in staged:
                with suppress(OSError):
                    os.unlink(part)  # noqa: PTH108 - as above
            raise
        return written

    def _create_folder(self, folder: Path) -> None:
        if str(folder) in self._checked_folders:
            return
        self._create_folder(folder.parent)
        try:
            folder.mkdir()
        except FileExistsError as error:
            # A folder that existed before may be a link.
            if folder.is_symlink() and not folder.resolve().is_relative_to(self._root.resolve()):
                raise PublishError(
                    f"{folder} leads out of {self._root}", hint="remove that link and publish again"
                ) from error
            if not folder.is_dir():
                raise
        self._checked_folders.add(str(folder))

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
            with suppress(OSError):  # not empty
                folder.rmdir()
                self._checked_folders.discard(str(folder))
        return True

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with translate_storage_errors(self._root):
                try:
                    yield
                except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
                    raise _obstructed(error) from error
        except OSError as error:
            raise _obstructed(error) from error


def write_statements(root: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write a node's statements into a public folder, in the order given, each whole and only if it changed."""
    folder = OutputFolder(root)
    for path, content in files:
        folder.write_statement(path, content)


def is_build_path(path: str) -> bool:
    """Return whether a build may write a path: plain, relative, and reserved for nothing else."""
    plain = _PLAIN.fullmatch(path)
    return plain is not None and plain[1] not in _RESERVED and path not in _WRITTEN_LAST


def is_list_path(path: str) -> bool:
    """Return whether `files.json` may name a list by this path."""
    plain = _PLAIN.fullmatch(path)
    return plain is not None and plain[1] == LISTS_FOLDER and path.endswith(".json")


def digest_line(digest: str) -> bytes:
    """Return the content of `current.json.sha256`, as `sha256sum -c` reads it; `digest` is in hex."""
    return f"{digest}  {CURRENT}\n".encode()


def _obstructed(error: OSError) -> PublishError:
    return PublishError(
        f"cannot write {error.filename2 or error.filename}: {error.strerror}",
        hint="move what is in the way, or publish into another folder",
    )


def _has_content(path: str, content: bytes) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == len(content) and Path(path).read_bytes() == content


def _stage(part: str, content: bytes, *, durable: bool) -> None:
    # Only the last files wait for the disk. A page that is lost with the power is found and written by a later build.
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        written = os.write(handle, content)
        while written < len(content):
            written += os.write(handle, memoryview(content)[written:])
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)
