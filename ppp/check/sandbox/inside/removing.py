"""Removes what a cell has left: no folder is too deep for it, and no mode too strict.

It is done when nothing of the cell runs any more, so that nothing changes meanwhile.
"""

import contextlib
import os

#: How long a path may grow, in characters, before what it leads to is moved up.
LONG = 500


def set_aside(folder, used, *, ours):
    """Move a folder into another one, where it is still there; `ours` says that it may have been made read-only."""
    with contextlib.suppress(OSError):
        if ours and not os.path.islink(folder):
            os.chmod(folder, 0o700)
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, os.path.join(used, os.path.basename(folder)))


def clear(top):
    """Remove from a folder what this user may remove, the folder itself aside."""
    waiting, found = [top], []
    while waiting:
        folder = waiting.pop()
        left = [path for path in paths_in(folder) if not (removed(os.unlink, path) or removed(os.rmdir, path))]
        below = [brought_up(path, top) if len(path) > LONG else path for path in left if is_folder(path)]
        waiting += below
        found += below
    for folder in reversed(found):
        removed(os.rmdir, folder)


def paths_in(folder):
    """Give the paths in a folder; none where it cannot be read."""
    with contextlib.suppress(OSError):
        if is_folder(folder):
            with contextlib.suppress(PermissionError):
                os.chmod(folder, 0o700)
            return [os.path.join(folder, name) for name in os.listdir(folder)]
    return []


def brought_up(path, top):
    """Move a folder to the top; give where it is then."""
    up = os.path.join(top, os.urandom(8).hex())
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
        os.rename(path, up)
        return up
    return path


def removed(remove, path):
    """Say whether it could be removed."""
    with contextlib.suppress(OSError):
        remove(path)
        return True
    return False


def is_folder(path):
    """Say whether it is a folder, and no link to one."""
    return os.path.isdir(path) and not os.path.islink(path)
