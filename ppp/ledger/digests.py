"""Digests of the set of records: one of each UTC day, and the root over these; and what each day's records came to.

A day's digest is the sha256 over the sorted ids of its records, each with a line's end; the root is the sha256 over a
line `<day> <records> <digest>` for each day that has any. New records change their own days and the root, no more.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlite_utils import Database

from ppp.model.record import Result

DAY_S: Final = 86_400
_WORDS: Final = (
    "sum(result = 'PASS'), sum(result = 'FAIL'), sum(result = 'TIMEOUT'), sum(result = 'ERROR'), sum(result = 'NA')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A UTC day (`2026-11-20`), how many records were observed on it, what they came to, the digest (hex) of their ids.

    It is kept as JSON between builds, so it is flat.
    """

    day: str
    records: int
    sha256: str
    passed: int
    failed: int
    timed_out: int
    errors: int
    not_claimed: int

    @property
    def by_result(self) -> Mapping[Result, int]:
        """Give how many of its records came to each result, all five words."""
        return {
            Result.PASS: self.passed,
            Result.FAIL: self.failed,
            Result.TIMEOUT: self.timed_out,
            Result.ERROR: self.errors,
            Result.NA: self.not_claimed,
        }


def days(db: Database, only: Iterable[int] | None = None) -> list[Day]:
    """Give each day that has records, by day; `only` names days by their number since the epoch."""
    if only is None:
        rows = db.execute(
            f"SELECT day, count(*), group_concat(record, char(10)), {_WORDS} FROM"  # noqa: S608 - our own words
            " (SELECT observed_at / 86400 AS day, record, result FROM records ORDER BY 1, record)"
            " GROUP BY day ORDER BY day"
        )
        return [_day(*row) for row in rows]
    told = []
    for day in sorted(only):
        count, *rest = db.execute(
            f"SELECT count(*), group_concat(record, char(10)), {_WORDS} FROM"  # noqa: S608 - our own words
            " (SELECT record, result FROM records WHERE observed_at >= ? AND observed_at < ? ORDER BY record)",
            (day * DAY_S, (day + 1) * DAY_S),
        ).fetchone()
        if count:
            told.append(_day(day, count, *rest))
    return told


def root_of(told: Iterable[Day]) -> str:
    """Give the root (hex) over the digests of all days."""
    lines = (f"{day.day} {day.records} {day.sha256}\n" for day in sorted(told, key=lambda day: day.day))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _day(number: int, count: int, ids: str, *came_to: int) -> Day:
    passed, failed, timed_out, errors, not_claimed = came_to
    return Day(
        day=datetime.fromtimestamp(number * DAY_S, UTC).date().isoformat(),
        records=count,
        sha256=hashlib.sha256(f"{ids}\n".encode()).hexdigest(),
        passed=passed,
        failed=failed,
        timed_out=timed_out,
        errors=errors,
        not_claimed=not_claimed,
    )
