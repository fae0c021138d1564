"""Removes what a cell has left, however deep its folders and strict their modes are.

This is done when nothing of the cell runs any more, so that nothing changes meanwhile.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

#: How long a path may be, in characters, before the folder that it names is moved up.
MAX_PATH_CHARS = 500


def move_into(used: str, folder: str, *, own: bool) -> None:
    """Move `folder` into `used` if it is still there; `own` means that it is this user's, and may be read-only."""
    with contextlib.suppress(OSError):
        if own and not os.path.islink(folder):
            os.chmod(folder, 0o700)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, os.path.join(used, os.path.basename(folder)))


def clear_folder(top: str) -> None:
    """Remove from a folder what this user may remove, but not the folder itself."""
    waiting, found = [top], []
    while waiting:
        folder = waiting.pop()
        left = [path for path in list_paths(folder) if not (try_remove(os.unlink, path) or try_remove(os.rmdir, path))]
        below = [move_up(path, top) if len(path) > MAX_PATH_CHARS else path for path in left if is_folder(path)]
        waiting += below
        found += below
    for folder in reversed(found):
        try_remove(os.rmdir, folder)


def clear_folders(tops: list[str]) -> None:
    """Do so for several folders."""
    for top in tops:
        clear_folder(top)


def list_paths(folder: str) -> list[str]:
    """Return the paths in a folder, after making it readable; none where that cannot be."""
    with contextlib.suppress(OSError):
        if is_folder(folder):
            with contextlib.suppress(PermissionError):
                os.chmod(folder, 0o700)
            return [os.path.join(folder, name) for name in os.listdir(folder)]
    return []


def move_up(path: str, top: str) -> str:
    """Move a folder to the top, under a random name, and return its path there; return `path` if that fails."""
    up = os.path.join(top, os.urandom(8).hex())
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        os.rename(path, up)
        return up
    return path


def try_remove(remove: Callable[[str], None], path: str) -> bool:
    """Return whether a path could be removed by `os.unlink` or `os.rmdir`."""
    with contextlib.suppress(OSError):
        remove(path)
        return True
    return False


def is_folder(path: str) -> bool:
    """Return whether a path is a folder, and not a link to one."""
    return os.path.isdir(path) and not os.path.islink(path)
