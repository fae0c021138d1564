"""The digest of each day, from the ids that are remembered and those of new records: no others are read again."""

from dataclasses import asdict

from sqlite_utils import Database

from ppp.ledger.digests import DayDigest, DayRecords, day_records_after, format_day, summarize_day
from ppp.publish.cache.build_cache import BuildCache


def update_days(db: Database, cache: BuildCache, last: int) -> list[DayDigest]:
    """Give each day that has records, by day; those up to the row `last` are remembered."""
    told = {day.day: day for day in _cached_days(cache)}
    for seen in day_records_after(db, last):
        ids = sorted((*cache.record_ids(seen.day), *seen.ids))
        cache.set_record_ids(seen.day, ids)
        before = told.get(format_day(seen.day))
        words = before.by_result.values() if before else (0,) * len(seen.result_counts)
        added = [old + new for old, new in zip(words, seen.result_counts, strict=True)]
        told[format_day(seen.day)] = summarize_day(DayRecords(seen.day, ids, added))
    days = sorted(told.values(), key=lambda day: day.day)
    cache.set_fact("days", [asdict(day) for day in days])
    return days


def _cached_days(memory: BuildCache) -> list[DayDigest]:
    held = memory.fact("days")
    return [DayDigest(**day) for day in held] if isinstance(held, list) else []
