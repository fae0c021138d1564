"""Digests of the set of records: one of each UTC day, and the root over these; and what each day's records came to.

A day's digest is the sha256 over the sorted ids of its records, each with a line's end; the root is the sha256 over a
line `<day> <records> <digest>` for each day that has any. New records change their own days and the root, no more.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sqlite_utils import Database

from ppp.model.record import Result

DAY_S: Final = 86_400
_RESULT_COUNTS: Final = (
    "sum(result = 'PASS'), sum(result = 'FAIL'), sum(result = 'TIMEOUT'), sum(result = 'ERROR'), sum(result = 'NA')"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayDigest:
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


class DayRecords(NamedTuple):
    """Records of a day, numbered since the epoch: their ids, sorted, and how many came to each result, in its order."""

    day: int
    ids: Sequence[str]
    result_counts: Sequence[int]


def read_day_digests(db: Database) -> list[DayDigest]:
    """Give each day that has records, by day."""
    return [summarize_day(seen) for seen in day_records_after(db, 0)]


def day_records_after(db: Database, last: int) -> Iterator[DayRecords]:
    """Give what the records after a row came to, by day."""
    rows = db.execute(
        f"SELECT day, group_concat(record, char(10)), {_RESULT_COUNTS} FROM"  # noqa: S608 - our own words
        " (SELECT observed_at / 86400 AS day, record, result FROM records WHERE rowid > ? ORDER BY 1, record)"
        " GROUP BY day ORDER BY day",
        (last,),
    )
    return (DayRecords(day, ids.split("\n"), words) for day, ids, *words in rows)


def summarize_day(records: DayRecords) -> DayDigest:
    """Give a day of which all records were seen."""
    passed, failed, timed_out, errors, not_claimed = records.result_counts
    ids = "\n".join(records.ids)
    return DayDigest(
        day=format_day(records.day),
        records=len(records.ids),
        sha256=hashlib.sha256(f"{ids}\n".encode()).hexdigest(),
        passed=passed,
        failed=failed,
        timed_out=timed_out,
        errors=errors,
        not_claimed=not_claimed,
    )


def format_day(day: int) -> str:
    """Give a day as it is told (`2026-11-20`)."""
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def root_digest(day_digests: Iterable[DayDigest]) -> str:
    """Give the root (hex) over the digests of all days."""
    lines = (f"{day.day} {day.records} {day.sha256}\n" for day in sorted(day_digests, key=lambda day: day.day))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
