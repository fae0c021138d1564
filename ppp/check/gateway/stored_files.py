"""The files of the index that are stored for all cells: those that were not used for longest are removed."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

#: How many bytes of files are kept from one run to the next.
MAX_BYTES: Final = 8 * 1024**3


class _StoredFile(NamedTuple):
    used_at: float
    size: int
    folder: Path


def remove_unused_files(folder: Path, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.time) -> None:
    """Remove the files used longest ago until at most `max_bytes` are left; a file is alone in a folder in `folder`.

    What another process removes or uses meanwhile is left alone. A time in the future counts as now.
    """
    files = sorted(_stored_files(folder, clock()))
    excess = sum(file.size for file in files) - max_bytes
    for file in files:
        if excess <= 0:
            return
        shutil.rmtree(file.folder, ignore_errors=True)
        excess -= file.size


def _stored_files(folder: Path, now: float) -> Iterator[_StoredFile]:
    for one in folder.iterdir():
        try:
            found = [path.lstat() for path in one.iterdir()]
        except OSError:
            continue
        used_at = max((status.st_mtime for status in found), default=0.0)
        yield _StoredFile(min(used_at, now), sum(status.st_size for status in found), one)
