"""The digest of each day, from the ids that are remembered and those of new records: no others are read again."""

from dataclasses import asdict

from sqlite_utils import Database

from ppp.ledger.digests import Day, Seen, day_of, name_of, seen_after
from ppp.publish.cache.build_cache import BuildCache


def days_of(db: Database, memory: BuildCache, last: int) -> list[Day]:
    """Give each day that has records, by day; those up to the row `last` are remembered."""
    told = {day.day: day for day in _remembered(memory)}
    for seen in seen_after(db, last):
        ids = sorted((*memory.ids_of(seen.day), *seen.ids))
        memory.keep_ids(seen.day, ids)
        before = told.get(name_of(seen.day))
        words = before.by_result.values() if before else (0,) * len(seen.words)
        added = [old + new for old, new in zip(words, seen.words, strict=True)]
        told[name_of(seen.day)] = day_of(Seen(seen.day, ids, added))
    days = sorted(told.values(), key=lambda day: day.day)
    memory.note("days", [asdict(day) for day in days])
    return days


def _remembered(memory: BuildCache) -> list[Day]:
    held = memory.fact("days")
    return [Day(**day) for day in held] if isinstance(held, list) else []
