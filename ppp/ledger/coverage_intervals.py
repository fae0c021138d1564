"""What became of the releases that each interval of serials named, and each way of reading: numbers that add up."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.published_journal import STATES, JournalInterval

#: Releases that only the feed has named; it has no serials.
FEED: Final = "feed"
#: Releases with a serial that is in no interval.
OTHER: Final = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCounts:
    """How many releases were named, and how many of these are tested, queued, skipped or lost: the four add up."""

    named: int
    tested: int
    queued: int
    skipped: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalCoverage:
    """An interval of serials, and what became of the releases whose first event is in it."""

    interval: JournalInterval
    counts: StateCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GapCoverage:
    """A time between two readings of the feed that neither covers, and how many releases that may have been.

    `estimate` goes by the pace of both readings. `named` is the number itself: what a journal with serials has named in
    that time since; None while none has filled the gap. Times are in epoch seconds.
    """

    start_at: int
    end_at: int
    estimate: int
    filled_at: int | None
    named: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingCoverage:
    """All intervals by serial, all gaps by time, and what became of the releases that each way of reading named.

    `by_adapter` has `changelog` and `index` where they served, `feed` for what only the feed has named, and `other` for
    what is in no interval. Its numbers add up to all that were named.
    """

    intervals: Sequence[IntervalCoverage]
    by_adapter: Mapping[str, StateCounts]
    gaps: Sequence[GapCoverage]


def read_intervals(db: Database) -> ReadingCoverage:
    """Return how each interval of serials was read, and what became of its releases; it reads all named releases."""
    rows = db.execute(
        "SELECT first_serial, last_serial, adapter, events, releases, read_at FROM journal_intervals"
        " ORDER BY first_serial, last_serial, source"
    )
    intervals = [JournalInterval(*row) for row in rows.fetchall()]
    starts = [interval.first_serial for interval in intervals]
    by_interval = [Counter[str]() for _ in intervals]
    by_adapter: dict[str, Counter[str]] = {interval.adapter: Counter() for interval in intervals}
    for serial, state in db.execute("SELECT serial, state FROM coverage_releases"):
        place = -1 if serial is None else bisect_right(starts, serial) - 1
        if place >= 0 and serial <= intervals[place].last_serial:
            by_interval[place][state] += 1
            adapter = intervals[place].adapter
        else:
            adapter = FEED if serial is None else OTHER
        by_adapter.setdefault(adapter, Counter())[state] += 1
    return ReadingCoverage(
        intervals=[
            IntervalCoverage(interval=interval, counts=_counts(counted))
            for interval, counted in zip(intervals, by_interval, strict=True)
        ],
        by_adapter={adapter: _counts(counted) for adapter, counted in sorted(by_adapter.items())},
        gaps=_read_gaps(db),
    )


def _counts(counted: Counter[str]) -> StateCounts:
    return StateCounts(named=counted.total(), **{state: counted[state] for state in STATES})


def _read_gaps(db: Database) -> list[GapCoverage]:
    rows = db.execute(
        "SELECT start_at, end_at, estimate, filled_at, CASE WHEN filled_at IS NOT NULL THEN (SELECT count(*)"
        " FROM journal_releases AS j WHERE j.announced_at > g.start_at AND j.announced_at < g.end_at) END"
        " FROM journal_gaps AS g ORDER BY start_at, source"
    )
    return [
        GapCoverage(start_at=start, end_at=end, estimate=estimate, filled_at=filled, named=named)
        for start, end, estimate, filled, named in rows.fetchall()
    ]
