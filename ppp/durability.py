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


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as a whole: at any moment its name has the old bytes or the new ones. Raise `OSError`."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
    sync_to_disk(part)
    part.replace(path)
    sync_to_disk(path.parent)
