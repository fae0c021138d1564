"""How large a file of an index may be: wheels and sdists, wherever their size is said or they are fetched."""

from typing import Final

#: No file of an index is larger, and none is empty.
MAX_DISTRIBUTION_BYTES: Final = 20 * 1024**3


def is_distribution_size(size: object) -> bool:
    """Return whether a value is a size in bytes that a file of an index may have."""
    return type(size) is int and 0 < size <= MAX_DISTRIBUTION_BYTES
