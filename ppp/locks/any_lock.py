"""What is the same for every lock (PEP 751) that is read, whoever made it: its form, and what it says of a file."""

import tomllib

from packaging.pylock import Pylock, PylockUnsupportedVersionError, PylockValidationError

from ppp.index_files.file import is_plain_filename
from ppp.model.canonical import is_sha256
from ppp.model.file_sizes import is_distribution_size


class NotALockError(ValueError):
    """Bytes that are no lock. The message says why."""


def parse_any_lock(content: bytes) -> Pylock:
    """Return the lock that the bytes of a file are; raise `NotALockError`."""
    try:
        return Pylock.from_dict(tomllib.loads(content.decode()))
    except (ValueError, RecursionError, PylockValidationError, PylockUnsupportedVersionError) as error:
        raise NotALockError(str(error)) from error


def file_fault(filename: str, sha256: object, size: object) -> str | None:
    """Return why what a lock says of a file cannot be, a clause that begins with a verb; None if it can.

    A file has a name of plain characters, a sha256, and, if the lock says one (not None), a size within its bounds.
    """
    # The name becomes a part of paths, and packaging accepts more in it.
    if not is_plain_filename(filename):
        return f"names a file with characters that no file of an index has: {filename[:200]!r}"
    if not is_sha256(sha256):
        return f"has no sha256 of {filename}"
    if size is not None and not is_distribution_size(size):
        return f"has a size of {filename} that is none: {size!r:.40}"
    return None
