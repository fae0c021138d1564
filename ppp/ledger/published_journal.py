"""Queries for publishing the journal: by UTC day, what the index named, and what became of it here.

A day is the number of days since the epoch; a release belongs to the day on which it was announced. The state of a
release is that of the view `coverage_releases`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlite_utils import Database

from ppp.ledger.digests import DAY_S
from ppp.model.record import Result

#: What becomes of a release that was named: the four add up to all.
STATES: Final = ("tested", "queued", "skipped", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCoverage:
    """What became of the releases that were announced on a day (`2026-11-28`), and what was said of others that day.

    `skip_reasons` adds up to `skipped`. `gaps` counts the times on that day that no reading covers, `estimated_lost`
    the releases that they may hide: an estimate, not part of `named`. It is flat because builds cache it as JSON.
    """

    day: str
    named: int
    tested: int
    queued: int
    skipped: int
    lost: int
    skip_reasons: Mapping[str, int] = field(default_factory=dict)
    events: int = 0
    intervals: int = 0
    gaps: int = 0
    estimated_lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The sums over some days: `named` is `tested` + `queued` + `skipped` + `lost`; the estimate comes on top."""

    named: int
    tested: int
    queued: int
    skipped: int
    lost: int
    skip_reasons: Mapping[str, int]
    gaps: int
    estimated_lost: int

    def __str__(self) -> str:
        """Return the numbers as a sum."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skip_reasons.items())
        return (
            f"named {self.named:,} = tested {self.tested:,} + queued {self.queued:,} + skipped {self.skipped:,}"
            f"{reasons and f' ({reasons})'} + lost {self.lost:,}"
        )


def total_coverage(days: Sequence[DayCoverage]) -> Coverage:
    """Return the sums over days."""
    reasons: Counter[str] = Counter()
    for day in days:
        reasons.update(day.skip_reasons)
    return Coverage(
        named=sum(day.named for day in days),
        tested=sum(day.tested for day in days),
        queued=sum(day.queued for day in days),
        skipped=sum(day.skipped for day in days),
        lost=sum(day.lost for day in days),
        skip_reasons=dict(sorted(reasons.items())),
        gaps=sum(day.gaps for day in days),
        estimated_lost=sum(day.estimated_lost for day in days),
    )


class JournalRelease(NamedTuple):
    """A release that the index named; `serial` is None where only the feed named it, times are in epoch seconds.

    `results` are its current results by environment, of which those in `standins` ran on a stand-in; `observed_at` is
    when the newest of them was observed.
    """

    package: str
    version: str
    serial: int | None
    announced_at: int
    files: int
    state: str
    skip_reason: str | None
    results: Mapping[str, Result]
    observed_at: int | None
    standins: Sequence[str] = ()


class JournalNotice(NamedTuple):
    """What the index said of a release or, without a version, of a project: that it was yanked, for instance."""

    serial: int
    package: str
    version: str
    action: str
    at: int


class JournalInterval(NamedTuple):
    """Serials that were read together, both included, and the way they were read: `changelog` or `index`."""

    first_serial: int
    last_serial: int
    adapter: str
    events: int
    releases: int
    read_at: int


class JournalGap(NamedTuple):
    """A time that no reading of the feed covers; `estimate` is how many releases it may hide, unless it was filled."""

    start_at: int
    end_at: int
    estimate: int
    filled_at: int | None


def is_followed(db: Database) -> bool:
    """Return whether this ledger follows a journal: it has read one, or a feed has named releases."""
    (found,) = db.execute(
        "SELECT EXISTS (SELECT 1 FROM journal_cursors) OR EXISTS (SELECT 1 FROM journal_releases)"
    ).fetchone()
    return bool(found)


def day_fingerprints(db: Database) -> dict[int, str]:
    """Return, by day, a digest of what is published of it apart from results: where it differs, a day has changed.

    It reads the named releases once, and apart from them only what is queued, skipped or noticed, without looking at
    results: 1.8 s for 300,000 releases and 576,000 queued cells.
    """
    parts: dict[int, list[object]] = {}
    for query in _FINGERPRINTS:
        for day, *values in db.execute(query):
            parts.setdefault(day, []).append(values)
    for name, query in _MEMBERS:
        digest, current = hashlib.sha256(), None
        for day, *values in db.execute(query):
            if day != current:
                if current is not None:
                    parts.setdefault(current, []).append([name, digest.hexdigest()])
                digest, current = hashlib.sha256(), day
            digest.update(f"{values}\n".encode())
        if current is not None:
            parts.setdefault(current, []).append([name, digest.hexdigest()])
    return {day: hashlib.sha256(json.dumps(found).encode()).hexdigest() for day, found in sorted(parts.items())}


#: Sums that change with every row of a day that is added, removed or changed.
_FINGERPRINTS: Final = (
    (
        "SELECT announced_at / 86400, 'releases', count(*), sum(rowid), sum(announced_at % 86400 * (rowid % 997 + 1)),"
        " sum(coalesce(serial, 0) * (rowid % 997 + 1)), sum(files * (rowid % 997 + 1))"
        " FROM journal_releases GROUP BY 1"
    ),
)
#: Rows whose words are published, and which releases are queued or skipped, in an order.
_MEMBERS: Final = (
    (
        "queued",
        (
            "SELECT j.announced_at / 86400, j.rowid FROM (SELECT package, version FROM queue UNION"
            " SELECT document ->> 'package', document ->> 'version' FROM pending) AS q CROSS JOIN journal_releases AS j"
            " ON j.package = q.package AND j.version = q.version ORDER BY 1, 2"
        ),
    ),
    (
        "skipped",
        (
            "SELECT j.announced_at / 86400, j.rowid, s.environment, s.reason FROM skips AS s"
            " CROSS JOIN journal_releases AS j ON j.package = s.package AND j.version = s.version ORDER BY 1, 2, 3"
        ),
    ),
    (
        "events",
        "SELECT at / 86400, serial, package, version, action, at FROM journal_events ORDER BY 1, 2, 3, 4, 5, source",
    ),
    (
        "intervals",
        (
            "SELECT read_at / 86400, first_serial, last_serial, adapter, events, releases, read_at"
            " FROM journal_intervals ORDER BY 1, 2, 3, source"
        ),
    ),
    (
        "gaps",
        "SELECT start_at / 86400, start_at, end_at, estimate, filled_at FROM journal_gaps ORDER BY 1, 2, 3, source",
    ),
)


def days_of_packages(db: Database, packages: Iterable[str]) -> set[int]:
    """Return the days on which releases of these packages were announced."""
    rows = db.execute(
        "SELECT DISTINCT j.announced_at / 86400 FROM json_each(?) AS p CROSS JOIN journal_releases AS j"
        " ON j.package = p.value",
        (json.dumps([*packages]),),
    )
    return {day for (day,) in rows}


def announcement_digests(db: Database) -> dict[str, list[int]]:
    """Return, by day, numbers that change if a release is announced on it, or no longer; keys are days as texts."""
    rows = db.execute(
        "SELECT announced_at / 86400, count(*), sum(rowid), sum(announced_at % 86400 * (rowid % 997 + 1))"
        " FROM journal_releases GROUP BY 1"
    )
    return {str(day): [*numbers] for day, *numbers in rows}


def tested_packages_of_days(db: Database, days: Iterable[str]) -> set[str]:
    """Return the packages of releases that were announced on some days and have a result."""
    rows = db.execute(
        "SELECT DISTINCT j.package FROM json_each(?) AS d CROSS JOIN journal_releases AS j"
        " ON j.announced_at >= d.value * 86400 AND j.announced_at < (d.value + 1) * 86400"
        " WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.package = j.package AND r.version = j.version)",
        (json.dumps([*map(int, days)]),),
    )
    return {package for (package,) in rows}


def announced_days(db: Database, *, since: int = 0) -> list[int]:
    """Return the days on which releases were announced at `since` (epoch seconds) or later."""
    rows = db.execute(
        "SELECT DISTINCT announced_at / 86400 FROM journal_releases WHERE announced_at >= ? ORDER BY 1", (since,)
    )
    return [day for (day,) in rows]


def day_coverage(db: Database, day: int, name: str) -> DayCoverage:
    """Return what became of the releases of a day; `name` is the day in words."""
    start, end = day * DAY_S, (day + 1) * DAY_S
    states = dict.fromkeys(STATES, 0)
    reasons: dict[str, int] = {}
    for state, reason, count in db.execute(
        "SELECT state, CASE state WHEN 'skipped' THEN skip_reason END AS reason, count(*) FROM coverage_releases"
        " WHERE announced_at >= ? AND announced_at < ? GROUP BY 1, 2 ORDER BY 1, 2",
        (start, end),
    ):
        states[state] += count
        if reason is not None:
            reasons[reason] = count
    (events,) = _one(db, "SELECT count(*) FROM journal_events WHERE at >= ? AND at < ?", start, end)
    (intervals,) = _one(db, "SELECT count(*) FROM journal_intervals WHERE read_at >= ? AND read_at < ?", start, end)
    gaps = [gap for gap in day_gaps(db, day) if gap.filled_at is None]
    return DayCoverage(
        day=name,
        named=sum(states.values()),
        skip_reasons=reasons,
        events=events,
        intervals=intervals,
        gaps=len(gaps),
        estimated_lost=sum(gap.estimate for gap in gaps),
        **states,
    )


def day_releases(db: Database, day: int) -> Iterator[JournalRelease]:
    """Yield the releases of a day, oldest first, then by name."""
    rows = db.execute(
        f"{_RELEASES} WHERE c.announced_at >= ? AND c.announced_at < ? ORDER BY c.announced_at, c.package, c.version",
        (day * DAY_S, (day + 1) * DAY_S),
    )
    return map(_release, rows)


def newest_releases(db: Database, limit: int) -> list[JournalRelease]:
    """Return the releases that were announced last, newest first, then by name."""
    rows = db.execute(f"{_RELEASES} ORDER BY c.announced_at DESC, c.package, c.version LIMIT ?", (limit,))
    return [*map(_release, rows)]


_RELEASES: Final = (
    "SELECT c.package, c.version, c.serial, c.announced_at, (SELECT j.files FROM journal_releases AS j"
    " WHERE j.package = c.package AND j.version = c.version), c.state,"
    " CASE c.state WHEN 'skipped' THEN c.skip_reason END,"
    " (SELECT json_group_object(environment, result) FROM (SELECT r.environment, d.result FROM results AS r"
    " CROSS JOIN records AS d ON d.record = r.record WHERE r.package = c.package AND r.version = c.version"
    " ORDER BY r.environment)),"
    " (SELECT json_group_array(r.environment) FILTER (WHERE d.standin) FROM results AS r CROSS JOIN records AS d"
    " ON d.record = r.record WHERE r.package = c.package AND r.version = c.version),"
    " (SELECT max(d.observed_at) FROM results AS r CROSS JOIN records AS d ON d.record = r.record"
    " WHERE r.package = c.package AND r.version = c.version)"
    " FROM coverage_releases AS c"
)


def _release(row: Sequence[Any]) -> JournalRelease:
    *values, results, standins, observed_at = row
    named = {environment: Result(result) for environment, result in json.loads(results).items()}
    return JournalRelease._make([*values, named, observed_at, sorted(json.loads(standins))])


def day_notices(db: Database, day: int) -> list[JournalNotice]:
    """Return what the index said on a day of releases and projects, by serial; what is a new file is not among it."""
    rows = db.execute(
        "SELECT DISTINCT serial, package, version, action, at FROM journal_events WHERE at >= ? AND at < ?"
        " ORDER BY serial, package, version, action, at",
        (day * DAY_S, (day + 1) * DAY_S),
    )
    return [JournalNotice(*row) for row in rows]


def day_intervals(db: Database, day: int) -> list[JournalInterval]:
    """Return the intervals that were read on a day, in the order of their serials."""
    rows = db.execute(
        "SELECT first_serial, last_serial, adapter, events, releases, read_at FROM journal_intervals"
        " WHERE read_at >= ? AND read_at < ? ORDER BY first_serial, last_serial, source",
        (day * DAY_S, (day + 1) * DAY_S),
    )
    return [JournalInterval(*row) for row in rows]


def newest_intervals(db: Database, limit: int) -> list[JournalInterval]:
    """Return the last intervals that were read, newest first."""
    rows = db.execute(
        "SELECT first_serial, last_serial, adapter, events, releases, read_at FROM journal_intervals"
        " ORDER BY last_serial DESC, source LIMIT ?",
        (limit,),
    )
    return [JournalInterval(*row) for row in rows]


def adapter_counts(db: Database) -> dict[str, tuple[int, int]]:
    """Return, by the way of reading, how many intervals it served and how many serials they have together."""
    rows = db.execute(
        "SELECT adapter, count(*), sum(last_serial - first_serial + 1) FROM journal_intervals GROUP BY 1 ORDER BY 1"
    )
    return {adapter: (intervals, serials) for adapter, intervals, serials in rows}


def day_gaps(db: Database, day: int) -> list[JournalGap]:
    """Return the gaps of the feed that begin on a day."""
    return _gaps(db, "WHERE start_at >= ? AND start_at < ? ORDER BY start_at, end_at", day * DAY_S, (day + 1) * DAY_S)


def newest_gaps(db: Database, limit: int) -> list[JournalGap]:
    """Return the last gaps of the feed, newest first."""
    return _gaps(db, "ORDER BY start_at DESC, end_at DESC LIMIT ?", limit)


def _gaps(db: Database, which: str, *values: int) -> list[JournalGap]:
    rows = db.execute(f"SELECT start_at, end_at, estimate, filled_at FROM journal_gaps {which}", values)  # noqa: S608 - our own words
    return [JournalGap(*row) for row in rows]


def _one(db: Database, query: str, *values: int) -> tuple[int, ...]:
    row: tuple[int, ...] = db.execute(query, values).fetchone()
    return row
