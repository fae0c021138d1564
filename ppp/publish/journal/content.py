"""What the pages and files of the journal show, as values; the releases of a day are read while its file is written."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger import published_journal
from ppp.ledger.digests import format_day
from ppp.ledger.published_journal import (
    DayCoverage,
    JournalGap,
    JournalInterval,
    JournalNotice,
    JournalRelease,
)
from ppp.publish.cache.build_cache import BuildCache, Owner, OwnerKind
from ppp.publish.feeds.entries import MAX_ENTRIES
from ppp.publish.folder import FileEntry
from ppp.publish.journal.changes import JournalChanges, remember_fingerprints

_FACT: Final = "journal days"
#: The newest intervals and gaps that are listed.
MAX_INTERVALS: Final = 100
MAX_GAPS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalDay:
    """A day that is written again; `releases` come oldest first."""

    coverage: DayCoverage
    releases: Sequence[JournalRelease]
    notices: Sequence[JournalNotice]
    intervals: Sequence[JournalInterval]
    gaps: Sequence[JournalGap]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalContent:
    """The journal as it is published: `days` are all days, oldest first; `changed` is read once, as it is rendered.

    `files` has the file of each day that is not written again, `removed` the names of days that have nothing any more;
    `newest` are the newest releases, newest first, as are the last `intervals` and `gaps`; `adapters` has, for each way
    of reading, how many intervals and serials it served.
    """

    days: Sequence[DayCoverage]
    changed: Iterable[JournalDay]
    removed: Sequence[str]
    files: Mapping[str, FileEntry]
    newest: Sequence[JournalRelease]
    intervals: Sequence[JournalInterval]
    gaps: Sequence[JournalGap]
    adapters: Mapping[str, tuple[int, int]]


def day_path(day: str) -> str:
    """Return the path of a day's file."""
    return f"journal/{day}.json"


def read_journal(db: Database, cache: BuildCache, changes: JournalChanges) -> JournalContent:
    """Read the journal; only the days that changed are counted again."""
    days = _update_days(db, cache, changes)
    remember_fingerprints(cache, changes)
    again = {format_day(day) for day in changes.changed}
    files = {
        day.day: entry
        for day in days
        if day.day not in again
        for entry in cache.files_of(Owner(OwnerKind.SITE, day_path(day.day)))
    }
    by_name = {day.day: day for day in days}
    return JournalContent(
        days=days,
        changed=_read_days(db, changes.changed, by_name),
        removed=[format_day(day) for day in changes.removed],
        files=files,
        newest=published_journal.newest_releases(db, MAX_ENTRIES),
        intervals=published_journal.newest_intervals(db, MAX_INTERVALS),
        gaps=published_journal.newest_gaps(db, MAX_GAPS),
        adapters=published_journal.adapter_counts(db),
    )


def _update_days(db: Database, cache: BuildCache, changes: JournalChanges) -> list[DayCoverage]:
    known = cache.fact(_FACT)
    by_day = {day["day"]: DayCoverage(**day) for day in known} if isinstance(known, list) else {}
    for day in changes.removed:
        by_day.pop(format_day(day), None)
    for day in changes.changed:
        by_day[format_day(day)] = published_journal.day_coverage(db, day, format_day(day))
    days = sorted(by_day.values(), key=lambda one: one.day)
    cache.set_fact(_FACT, [asdict(day) for day in days])
    return days


def _read_days(db: Database, days: Iterable[int], coverage: Mapping[str, DayCoverage]) -> Iterator[JournalDay]:
    # One day at a time: memory holds the releases of one day.
    for day in days:
        yield JournalDay(
            coverage=coverage[format_day(day)],
            releases=[*published_journal.day_releases(db, day)],
            notices=published_journal.day_notices(db, day),
            intervals=published_journal.day_intervals(db, day),
            gaps=published_journal.day_gaps(db, day),
        )
