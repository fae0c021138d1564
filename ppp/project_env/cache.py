"""Wheels by their sha256: `<cache>/<first two digits>/<sha256>/<file name>`, and what has arrived of others.

- A wheel gets its name when it is complete, its hash is right and it is on the disk. It is checked again before each
  use: one that differs is refused, never replaced in silence, as the disk or somebody changed it.
- What has arrived of a wheel is in `<file name>.partial`, where a killed process leaves it: the next one asks only for
  the rest. It is locked (`flock`) while it is written, so that two processes never write one file.
"""

import fcntl
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ppp.durability import sync_to_disk
from ppp.model.errors import LockedFileError
from ppp.project_env.locked import LockedWheel

#: How long to wait between two looks at a partial file that another process writes.
_LOCK_WAIT_S: Final = 0.1
_CHUNK: Final = 1024 * 1024


class DownloadStoppedError(Exception):
    """Another download failed, or the user interrupted: this one ended early, and what has arrived is kept."""


class PartialFile:
    """What has arrived of a wheel: `size` bytes so far, whose hash is known."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Read what is there."""
        self.path = path
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.size = 0
        while part := os.pread(descriptor, _CHUNK, self.size):
            self._digest.update(part)
            self.size += len(part)

    @property
    def sha256(self) -> str:
        """The hash of what has arrived, in hex."""
        return self._digest.hexdigest()

    def restart(self) -> None:
        """Forget what has arrived."""
        os.ftruncate(self._descriptor, 0)
        self._digest, self.size = hashlib.sha256(), 0

    def write(self, part: bytes) -> None:
        """Add the next part, so that it is there even if this process is killed."""
        view = memoryview(part)
        while view:
            written = os.pwrite(self._descriptor, view, self.size)
            self._digest.update(view[:written])
            self.size += written
            view = view[written:]


class WheelCache:
    """The folder of the wheels; raises `OSError` where the disk fails."""

    def __init__(self, folder: Path) -> None:
        """Use a folder, which need not exist."""
        self.folder = folder

    def path_of(self, wheel: LockedWheel) -> Path:
        """Return where a wheel is, or will be."""
        return self.folder / wheel.sha256[:2] / wheel.sha256 / wheel.filename

    def get(self, wheel: LockedWheel) -> Path | None:
        """Return the path of a wheel that is complete, None if it is not there.

        Raise `LockedFileError` if it is not as the lock says.
        """
        path = self.path_of(wheel)
        try:
            # Without O_NONBLOCK, opening a named pipe would wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            size, sha256 = os.fstat(descriptor).st_size, hashlib.file_digest(file, "sha256").hexdigest()
        check_content(wheel, size=size, sha256=sha256, where=f"in the cache, at {path},", hint="remove that file")
        return path

    @contextmanager
    def partial(self, wheel: LockedWheel, stop: threading.Event) -> Iterator[PartialFile]:
        """Yield what has arrived of a wheel, for this process alone to write; wait for another one that writes it.

        Raise `DownloadStoppedError` if `stop` is set meanwhile.
        """
        path = self.path_of(wheel)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.partial")
        descriptor = _open_locked(part, stop)
        try:
            yield PartialFile(part, descriptor)
        finally:
            os.close(descriptor)

    def complete(self, wheel: LockedWheel, partial: PartialFile) -> Path:
        """Rename a wheel to its own name, once all of it has arrived and is right; return its path."""
        path = self.path_of(wheel)
        sync_to_disk(partial.path)
        partial.path.replace(path)
        sync_to_disk(path.parent)
        return path


def check_content(wheel: LockedWheel, *, size: int, sha256: str, where: str, hint: str) -> None:
    """Raise `LockedFileError` if a file has another size or hash than the lock says; `where` says which file it is."""
    if wheel.size is not None and size != wheel.size:
        raise LockedFileError(
            f"{wheel.filename} {where} has {size:,} bytes, and the lock says {wheel.size:,}", hint=hint
        )
    if sha256 != wheel.sha256:
        raise LockedFileError(
            f"{wheel.filename} {where} has the sha256 {sha256}, and the lock says {wheel.sha256}", hint=hint
        )


def _open_locked(path: Path, stop: threading.Event) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            _wait_for_lock(descriptor, stop)
            # Whoever had the lock may have renamed the file, or removed it.
            if _is_same(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait_for_lock(descriptor: int, stop: threading.Event) -> None:
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if stop.wait(_LOCK_WAIT_S):
                raise DownloadStoppedError from None


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False
