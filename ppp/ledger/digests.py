"""Digests of the set of records: one of each UTC day, and the root over these.

A day's digest is the sha256 over the sorted ids of its records, each with a line's end; the root is the sha256 over a
line `<day> <records> <digest>` for each day that has any. New records change their own days and the root, no more.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlite_utils import Database

DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A UTC day (`2026-11-20`), how many records were observed on it, and the digest (hex) of their ids."""

    day: str
    records: int
    sha256: str


def days(db: Database, only: Iterable[int] | None = None) -> list[Day]:
    """Give each day that has records, by day; `only` names days by their number since the epoch."""
    if only is None:
        rows = db.execute(
            "SELECT day, count(*), group_concat(record, char(10)) FROM"
            " (SELECT observed_at / 86400 AS day, record FROM records ORDER BY 1, record) GROUP BY day ORDER BY day"
        )
        return [_day(day, count, ids) for day, count, ids in rows]
    told = []
    for day in sorted(only):
        count, ids = db.execute(
            "SELECT count(*), group_concat(record, char(10)) FROM"
            " (SELECT record FROM records WHERE observed_at >= ? AND observed_at < ? ORDER BY record)",
            (day * DAY_S, (day + 1) * DAY_S),
        ).fetchone()
        if count:
            told.append(_day(day, count, ids))
    return told


def root_of(told: Iterable[Day]) -> str:
    """Give the root (hex) over the digests of all days."""
    lines = (f"{day.day} {day.records} {day.sha256}\n" for day in sorted(told, key=lambda day: day.day))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _day(number: int, count: int, ids: str) -> Day:
    day = datetime.fromtimestamp(number * DAY_S, UTC).date().isoformat()
    return Day(day=day, records=count, sha256=hashlib.sha256(f"{ids}\n".encode()).hexdigest())
