"""What became of the releases that the index named, added up: for `current.json`, `api/v1/coverage.json` and pages."""

from collections.abc import Mapping, Sequence
from typing import Final

from ppp.ledger.published_journal import Coverage, DayCoverage, JournalGap, JournalInterval, total_coverage
from ppp.model.canonical import Json
from ppp.publish.api.encoding import document_bytes

SCHEMA: Final = "ppp-coverage-1"
PATH: Final = "api/v1/coverage.json"
#: The newest days that `current.json` has.
CURRENT_DAYS: Final = 30


def counts_json(counted: DayCoverage | Coverage) -> dict[str, Json]:
    """Return counts as they are published: reasons and the estimate only where there are any."""
    document: dict[str, Json] = {
        "named": counted.named,
        "tested": counted.tested,
        "queued": counted.queued,
        "skipped": counted.skipped,
        "lost": counted.lost,
    }
    if counted.skip_reasons:
        document["skip_reasons"] = dict(counted.skip_reasons)
    if counted.gaps:
        document |= {"gaps": counted.gaps, "estimated_lost": counted.estimated_lost}
    return document


def day_json(day: DayCoverage) -> dict[str, Json]:
    """Return the counts of a day with its name."""
    return {"day": day.day, **counts_json(day)}


def current_coverage(days: Sequence[DayCoverage]) -> dict[str, Json]:
    """Return the object `coverage` of `current.json`: totals, and the newest days, oldest first."""
    return {
        "since": days[0].day if days else None,
        "total": counts_json(total_coverage(days)),
        "days": [day_json(day) for day in days[-CURRENT_DAYS:]],
    }


def coverage_file(
    days: Sequence[DayCoverage],
    adapters: Mapping[str, tuple[int, int]],
    intervals: Sequence[JournalInterval],
    gaps: Sequence[JournalGap],
) -> tuple[str, bytes]:
    """Return `/api/v1/coverage.json`: all days, oldest first; the last intervals and gaps, newest first."""
    document: dict[str, Json] = {
        "schema": SCHEMA,
        **current_coverage(days),
        "days": [day_json(day) for day in days],
        "adapters": {name: {"intervals": count, "serials": serials} for name, (count, serials) in adapters.items()},
        "intervals": [interval_json(interval) for interval in intervals],
        "gaps": [gap_json(gap) for gap in gaps],
    }
    return PATH, document_bytes(document)


def interval_json(interval: JournalInterval) -> Json:
    """Return an interval as JSON."""
    return dict(interval._asdict())


def gap_json(gap: JournalGap) -> Json:
    """Return a gap as JSON."""
    return dict(gap._asdict())
