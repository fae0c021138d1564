"""How long a release may gain files: from then on a verdict on it is final, unless the index withdraws it.

PyPI refuses new files 14 days after a release was made, since July 2026. Other indexes may take them for longer.
"""

from typing import Final

#: How long after a release was made the index takes files for it, in seconds.
FILES_TAKEN_FOR_S: Final = 14 * 86_400


def files_until(announced_at: int) -> int:
    """Return until when, not included, a release may gain files; both times are in epoch seconds."""
    return announced_at + FILES_TAKEN_FOR_S


def is_final(announced_at: int, now: int) -> bool:
    """Return whether no more files of a release can come by now."""
    return now >= files_until(announced_at)
