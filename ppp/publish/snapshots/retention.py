"""Which snapshots are kept, and how many days the window contains.

Where the site has a bound, snapshots have a share of it: the oldest dated ones make room, the newest stays.

A snapshot is removed only if its description is valid and matches its content: no other file is ever deleted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path
from typing import Final

from ppp.publish.snapshots.description import SNAPSHOTS_FOLDER, description_of, file_sha256, file_size

#: The first estimate of the size of a record in the window, in bytes.
_ROW_BYTES: Final = 600
_DAY_NAME: Final = re.compile(r"ppp-(\d{4}-\d{2}-\d{2})\.db", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """The number of newest days and weeks whose snapshots are kept, and the maximum size of the window in bytes.

    `max_bytes` is how much all snapshots together may take; None: as much as there is.
    """

    days: int
    weeks: int
    window_bytes: int
    max_bytes: int | None = None


def days_that_fit(rows: Sequence[int], size_of: Callable[[int], int], bound: int) -> int:
    """Return how many of the newest days fit within `bound` bytes; `rows` are the record counts by day, newest first.

    `size_of` returns the size in bytes of the window of so many days. It is expensive, so the number of days is
    estimated from the record counts first.
    """
    totals = [0, *accumulate(rows)]
    fitting, too_many = 0, len(rows) + 1
    row_bytes = float(_ROW_BYTES)
    for attempt in range(len(rows) + 1):
        if too_many - fitting <= 1:
            break
        guess = sum(total * row_bytes <= bound for total in totals) - 1
        if attempt > 4:  # noqa: PLR2004 - bisect if the estimates do not converge
            guess = (fitting + too_many) // 2
        count = min(max(guess, fitting + 1), too_many - 1)
        size = size_of(count)
        row_bytes = size / max(totals[count], 1)
        fitting, too_many = (count, too_many) if size <= bound else (fitting, count)
    return fitting


def kept_days(days: Sequence[str], policy: RetentionPolicy) -> set[str]:
    """Return the dated snapshots to keep: the newest days, and the last day of each of the newest ISO weeks."""
    newest_first = sorted(days, reverse=True)
    kept = set(newest_first[: policy.days])
    last_of_week: dict[tuple[int, int], str] = {}
    for day in newest_first:
        year, week, _ = date.fromisoformat(day).isocalendar()
        last_of_week.setdefault((year, week), day)
    # The newest is also `latest`, so it is always kept.
    return kept | set([*last_of_week.values()][: policy.weeks]) | set(newest_first[:1])


def days_with_room(sizes: Mapping[str, int], room: int) -> set[str]:
    """Return the dated snapshots for which there is room, of some sizes in bytes: the newest first, without a gap.

    The newest has its room, whatever is left for it.
    """
    kept: set[str] = set()
    for day in sorted(sizes, reverse=True):
        room -= sizes[day]
        if kept and room < 0:
            break
        kept.add(day)
    return kept


def folder_bytes(folder: Path, *, without: Callable[[str], bool]) -> int:
    """Return how many bytes the files of a snapshots folder take, without those of some names."""
    return sum(file_size(path) or 0 for path in folder.iterdir() if not without(path.name))


def _room_for_days(folder: Path, max_bytes: int) -> int:
    return max_bytes - folder_bytes(folder, without=lambda name: _DAY_NAME.fullmatch(name) is not None)


def remove_expired(folder: Path, policy: RetentionPolicy, notes: list[str]) -> tuple[str, ...]:
    """Remove the dated snapshots that the policy does not keep; return the removed paths and add to `notes`."""
    days = {match[1]: path for path in folder.glob("ppp-*.db") if (match := _DAY_NAME.fullmatch(path.name))}
    kept = kept_days([*days], policy)
    if policy.max_bytes is not None:
        sizes = {day: file_size(days[day]) or 0 for day in kept}
        kept = days_with_room(sizes, _room_for_days(folder, policy.max_bytes))
    removed: list[str] = []
    for day, path in sorted(days.items()):
        if day in kept:
            continue
        description = description_of(folder, path.name)
        if description is None or file_size(path) != description.bytes or file_sha256(path) != description.sha256:
            notes.append(f"{path} is kept: it has no description that matches it")
            continue
        # The description goes first: after a crash, a database without one is never removed.
        for file in (path.with_suffix(".json"), path.with_name(f"{path.name}.sha256"), path):
            file.unlink(missing_ok=True)
            removed.append(f"{SNAPSHOTS_FOLDER}/{file.name}")
    return tuple(removed)
