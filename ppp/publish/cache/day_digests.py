"""Keep the digest of each day up to date: only the ids of new records are read from the ledger."""

from dataclasses import asdict

from sqlite_utils import Database

from ppp.ledger.digests import DayDigest, DayRecords, day_records_after, format_day, summarize_day
from ppp.publish.cache.build_cache import BuildCache


def update_days(db: Database, cache: BuildCache, after_row: int) -> list[DayDigest]:
    """Return each day that has records, by day; the cache covers the records up to `after_row`, and then all."""
    by_name = {day.day: day for day in _cached_days(cache)}
    for seen in day_records_after(db, after_row):
        ids = sorted((*cache.record_ids(seen.day), *seen.ids))
        cache.set_record_ids(seen.day, ids)
        before = by_name.get(format_day(seen.day))
        counts = before.by_result.values() if before else (0,) * len(seen.result_counts)
        total = [old + new for old, new in zip(counts, seen.result_counts, strict=True)]
        by_name[format_day(seen.day)] = summarize_day(DayRecords(seen.day, ids, total))
    days = sorted(by_name.values(), key=lambda day: day.day)
    cache.set_fact("days", [asdict(day) for day in days])
    return days


def _cached_days(cache: BuildCache) -> list[DayDigest]:
    days = cache.fact("days")
    return [DayDigest(**day) for day in days] if isinstance(days, list) else []
