"""Files by their sha256: what is stored is what was checked, and what is used is checked again.

A file is alone in a folder named by its hash. It gets its name when it is complete, its hash is right and it is on the
disk; so a crash leaves no file that looks complete. Nothing here follows a symbolic link.
"""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from ppp.durability import sync_to_disk

CHUNK: Final = 256 * 1024
#: The name of a file that is not complete; no file of an index begins with a dot.
PART_NAME: Final = ".part"


class WrongHashError(Exception):
    """A file has another sha256 than the one it was to have; the message is that sha256."""


class NewFile:
    """A file that is being stored; `path` is where it will be."""

    def __init__(self, path: Path, out: BinaryIO) -> None:
        """Write to `out`."""
        self.path = path
        self._out = out
        self._digest = hashlib.sha256()

    def write(self, part: bytes) -> None:
        """Add the next part."""
        self._digest.update(part)
        self._out.write(part)

    @property
    def sha256(self) -> str:
        """The hash of all parts so far, in hex."""
        return self._digest.hexdigest()


class FileCache:
    """The folder of the files; names and hashes are checked by the caller. Raises `OSError` where the disk fails."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist."""
        self._folder = folder

    def get(self, sha256: str, name: str, *, max_bytes: int) -> Path | None:
        """Return the path of a file if it is there and as it was; remove it otherwise."""
        folder = self._folder / sha256
        if not _is_folder(folder):
            _remove(folder)
            return None
        path = folder / name
        if _sha256_of(path, max_bytes=max_bytes) == sha256:
            # What was not used for longest makes room first, and not every file system notes when a file is read.
            with suppress(OSError):
                os.utime(folder)
            return path
        _remove(path)
        return None

    @contextmanager
    def add(self, sha256: str, name: str) -> Iterator[NewFile]:
        """Store what the block writes; raise `WrongHashError` at its end if that has another hash."""
        path = self._folder / sha256 / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(PART_NAME)
        _remove(part)
        try:
            # "x" opens no file that is there already, and follows no symbolic link.
            with part.open("xb") as out:
                new = NewFile(path, out)
                yield new
                if new.sha256 != sha256:
                    raise WrongHashError(new.sha256)
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        # The name of the file, and that of its folder.
        sync_to_disk(path.parent)
        sync_to_disk(self._folder)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _sha256_of(path: Path, *, max_bytes: int) -> str | None:
    """Return the sha256 of a regular file in hex; None if there is none, or it is larger than `max_bytes`."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > max_bytes:
            return None
        with open(descriptor, "rb", closefd=False) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if there is one."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
