"""The part of `ppp coverage` that shows each interval of serials, and each way of reading that served."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

from ppp.console import format_time
from ppp.ledger.coverage_intervals import GapCoverage, ReadingCoverage, StateCounts

#: How many intervals and gaps are listed; the JSON answer has all.
LISTED: Final = 40
_SERIALS_WIDTH: Final = 23
_ADAPTER_WIDTH: Final = 9


def interval_answer(reading: ReadingCoverage) -> dict[str, object]:
    """Return the JSON object `reading`: all intervals by serial, all gaps by time, and counts by way of reading."""
    return {
        "intervals": [{**one.interval._asdict(), **asdict(one.counts)} for one in reading.intervals],
        "by_adapter": {adapter: asdict(counts) for adapter, counts in reading.by_adapter.items()},
        "gaps": [asdict(gap) for gap in reading.gaps],
    }


def interval_lines(reading: ReadingCoverage) -> Iterator[str]:
    """Yield a table of the last intervals, oldest first, one by way of reading, and the last gaps of the feed."""
    yield ""
    yield f"{_row('serials', 'way', _HEADS)}  read at"
    for one in reading.intervals[-LISTED:]:
        serials = f"{one.interval.first_serial}-{one.interval.last_serial}"
        yield f"{_row(serials, one.interval.adapter, _columns(one.counts))}  {format_time(one.interval.read_at)}"
    if len(reading.intervals) > LISTED:
        yield f"{len(reading.intervals) - LISTED:,} older intervals are in the answer of --json"
    for adapter, counts in reading.by_adapter.items():
        yield _row("all", adapter, _columns(counts))
    yield from map(_gap_line, reading.gaps[-LISTED:])


_HEADS: Final = ["named", "tested", "queued", "skipped", "lost"]


def _columns(counts: StateCounts) -> list[str]:
    return [f"{number:,}" for number in (counts.named, counts.tested, counts.queued, counts.skipped, counts.lost)]


def _row(serials: str, adapter: str, columns: list[str]) -> str:
    numbers = " ".join(f"{column:>8}" for column in columns)
    return f"{serials:{_SERIALS_WIDTH}} {adapter:{_ADAPTER_WIDTH}} {numbers}"


def _gap_line(gap: GapCoverage) -> str:
    times = f"not covered by the feed: {format_time(gap.start_at)} to {format_time(gap.end_at)}"
    if gap.named is None:
        return f"{times}, about {gap.estimate:,} releases, as an estimate"
    return f"{times}; filled since: {gap.named:,} releases were announced then (estimated: {gap.estimate:,})"
