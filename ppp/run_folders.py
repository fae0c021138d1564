"""Temporary folders of a run, which the next run can tell from those of a run that was killed, and then removes.

Each is locked (`flock`) by the process that created it, for as long as that lives: the kernel releases the lock however
the process ends, and no program that the process starts inherits it. A folder that is not locked was left behind.
(systemd-tmpfiles also leaves locked folders alone.)
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: The prefixes of the names that runs give to their folders among temporary files.
RUN_PREFIXES: Final = ("ppp-cell-", "ppp-doctor-", "ppp-gateway-")
#: How long each attempt to remove what `shutil` could not remove may take.
REMOVE_TIMEOUT_S: Final = 60


@contextmanager
def run_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Create a folder of this process in `parent` (the folder for temporary files), and remove it afterwards.

    The name starts with `prefix`. Only this user can look into it. It may be renamed, and is then not removed. Raise
    `OSError` if it cannot be created.
    """
    folder, lock = _create_locked(prefix, parent)
    try:
        yield folder
    finally:
        try:
            remove_folder(folder)
        finally:
            os.close(lock)


def remove_leftovers(prefixes: Sequence[str] = RUN_PREFIXES, parent: Path | None = None) -> list[Path]:
    """Remove the folders of these prefixes that processes of this user left behind, and return them.

    What cannot be removed is left, without an error.
    """
    removed = []
    for folder in sorted(Path(parent or tempfile.gettempdir()).iterdir()):
        if folder.name.startswith(tuple(prefixes)) and (lock := _try_lock(folder)) is not None:
            try:
                remove_folder(folder)
            finally:
                os.close(lock)
            if not folder.exists():
                removed.append(folder)
    return removed


def remove_folder(folder: Path) -> None:
    """Remove a folder of this user, if it exists, however deep it is and whatever the modes in it are.

    Leave it if that fails.
    """
    with suppress(OSError, RecursionError):
        shutil.rmtree(folder)
    if not folder.exists():
        return
    # Package code without a sandbox may have left folders that are not readable, or deeper than Python can follow.
    for command in (["chmod", "-R", "u+rwx"], ["rm", "-rf"]):
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([*command, "--", folder], check=False, capture_output=True, timeout=REMOVE_TIMEOUT_S)


def _create_locked(prefix: str, parent: Path | None) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        # Until it is locked, another process may take it for one that was left behind, and remove it.
        with suppress(FileNotFoundError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return folder, lock
            os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """Return the locked descriptor of a folder that nobody uses; None if it is in use, or not this user's."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(OSError):
        if os.fstat(lock).st_uid == os.geteuid():
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
    os.close(lock)
    return None
