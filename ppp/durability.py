"""Make what was written survive a power cut."""

import os
from pathlib import Path


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk; raise `OSError` if that fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
