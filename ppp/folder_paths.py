"""Which paths of folders can be used: they are written into files, and passed to other programs."""

import os
import sys
from pathlib import Path
from typing import Final

#: The longest path of a folder, in characters, which leaves room for the names below it; and of one name, in bytes.
MAX_PATH: Final = 3000
MAX_PATH_PART: Final = 255


def path_mistake(path: Path) -> str | None:
    """Return why a folder cannot be used because of its path; None if it can.

    The path is written into files and passed to other programs as UTF-8 text.
    """
    # A link may lead to a folder with another name.
    found = os.path.realpath(path)
    try:
        text = os.fsencode(found).decode("utf-8")
    except UnicodeDecodeError:
        return "has a path that is not UTF-8: name another folder"
    if text != found:
        encoding = sys.getfilesystemencoding()
        return f"has a path that this Python reads as {encoding}: set LC_ALL=C.UTF-8, and unset PYTHONUTF8"
    if not text.isprintable():
        return "has a path with control characters: name another folder"
    too_long = len(found) > MAX_PATH or any(len(os.fsencode(part)) > MAX_PATH_PART for part in Path(found).parts)
    return "has a path that is too long: name another folder" if too_long else None
