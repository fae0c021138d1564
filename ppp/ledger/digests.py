"""Digests of the set of records: one for each UTC day and the root over them; and each day's results, counted.

A day's digest is the sha256 of the sorted ids of its records, each followed by a newline; the root is the sha256 of one
line `<day> <records> <digest>` for each day that has records. New records change only their own days and the root.
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
    """A UTC day (`2026-11-20`): the number of its records, the digest (hex) of their ids, and its results, counted.

    It is flat because builds cache it as JSON.
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
        """Return the number of records of each of the five results."""
        return {
            Result.PASS: self.passed,
            Result.FAIL: self.failed,
            Result.TIMEOUT: self.timed_out,
            Result.ERROR: self.errors,
            Result.NA: self.not_claimed,
        }


class DayRecords(NamedTuple):
    """Records of a day (days since the epoch): their sorted ids, and counts of results in the order of `Result`."""

    day: int
    ids: Sequence[str]
    result_counts: Sequence[int]


def read_day_digests(db: Database) -> list[DayDigest]:
    """Return the digest of each day that has records, by day."""
    return [summarize_day(seen) for seen in day_records_after(db, 0)]


def day_records_after(db: Database, last: int) -> Iterator[DayRecords]:
    """Yield the records whose rowid is greater than `last`, grouped by day."""
    rows = db.execute(
        f"SELECT day, group_concat(record, char(10)), {_RESULT_COUNTS} FROM"  # noqa: S608 - our own words
        " (SELECT observed_at / 86400 AS day, record, result FROM records WHERE rowid > ? ORDER BY 1, record)"
        " GROUP BY day ORDER BY day",
        (last,),
    )
    return (DayRecords(day, ids.split("\n"), words) for day, ids, *words in rows)


def summarize_day(records: DayRecords) -> DayDigest:
    """Return the digest of a day, given all of its records."""
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
    """Return a day, in days since the epoch, in ISO form (`2026-11-20`)."""
    return datetime.fromtimestamp(day * DAY_S, UTC).date().isoformat()


def root_digest(day_digests: Iterable[DayDigest]) -> str:
    """Return the root digest (hex) over the digests of all days."""
    lines = (f"{day.day} {day.records} {day.sha256}\n" for day in sorted(day_digests, key=lambda day: day.day))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
