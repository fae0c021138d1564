"""`ppp coverage`: what became of every release that the index named."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
from sqlite_utils import Database

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.console import format_time, printable_line
from ppp.ledger import coverage as ledger
from ppp.ledger.coverage import CoverageCounts
from ppp.ledger.schema import read_ledger

#: How many lost releases, rejected entries and anomalies are named.
SHOWN: Final = 20
NO_JOURNAL: Final = (
    "no journal is followed here, so nothing is claimed about what the index released: `ppp watch` begins to follow it"
)


@click.command()
@click.option(
    "--since",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    metavar="DAY",
    help="Only releases that were announced on this UTC day (2026-11-28) or later.",
)
@click.option("--lost", "fail_on_lost", is_flag=True, help="Exit with 1 if a release is lost.")
@data_option
@json_option
def coverage(*, since: datetime | None, fail_on_lost: bool, data: Path | None, as_json: bool) -> None:
    """Show what became of every release that the index named.

    Each was tested, is queued, was skipped for a reason, or is lost: the four add up to all that were named. A lost one
    is a fault of PPP. The times between two readings of a feed hide releases that nobody here knows of: how many is an
    estimate, and shown apart.
    """
    with closing(read_ledger(make_context(data).config.data)) as db:
        days = ledger.coverage_by_day(db, **({"since": f"{since:%Y-%m-%d}"} if since else {}))
        all_ = ledger.total(days)
        is_followed = bool(ledger.followed_journals(db)) or bool(all_.named)
        lines = _lines(db, days, all_) if is_followed else iter([NO_JOURNAL])
        text = "\n".join(printable_line(line) for line in lines)
        print_answer(_answer(db, days, all_), text, as_json=as_json)
    if fail_on_lost and all_.lost:
        click.get_current_context().exit(1)


def _answer(db: Database, days: Mapping[str, CoverageCounts], all_: CoverageCounts) -> dict[str, object]:
    gaps = ledger.unfilled_gaps(db)
    rejected, reasons = ledger.rejected_entries(db, limit=SHOWN)
    return {
        "total": all_.to_json(),
        "days": {day: one.to_json() for day, one in days.items()},
        "journals": [
            {
                "first_serial": one.first_serial,
                "serial": one.serial,
                "started_at": one.started_at,
                "read_at": one.read_at,
                "target": one.target,
                "projects_left": one.unfinished,
            }
            for one in ledger.followed_journals(db)
        ],
        "gaps": {"gaps": gaps.gaps, "seconds": gaps.seconds, "estimated_releases": gaps.estimate},
        "rejected": {"entries": rejected, "newest": reasons},
        "anomalies": [
            {"kind": one.kind, "detail": one.detail, "found_at": one.found_at}
            for one in ledger.anomalies(db, limit=SHOWN)
        ],
        "lost": [str(release) for release in ledger.lost_releases(db, limit=SHOWN)],
    }


def _lines(db: Database, days: Mapping[str, CoverageCounts], all_: CoverageCounts) -> Iterator[str]:
    yield f"{'day':10} {'named':>8} {'tested':>8} {'queued':>8} {'skipped':>8} {'lost':>8}"
    for day, one in days.items():
        yield f"{day:10} {one.named:8,} {one.tested:8,} {one.queued:8,} {one.skipped:8,} {one.lost:8,}"
    yield str(all_)
    for journal in ledger.followed_journals(db):
        yield (
            f"the journal was read from serial {journal.first_serial} to {journal.serial}, the last time"
            f" {format_time(journal.read_at)}"
        )
        if journal.unfinished:
            yield f"{journal.unfinished} projects are left to read up to serial {journal.target}: `ppp watch` goes on"
    gaps = ledger.unfilled_gaps(db)
    if gaps.gaps:
        yield (
            f"between readings of the feed, {gaps.seconds // 60:,} minutes are not covered: about {gaps.estimate:,}"
            " releases, as an estimate; a journal with serials (PPP_JOURNAL_URL) fills them"
        )
    rejected, reasons = ledger.rejected_entries(db, limit=SHOWN)
    if rejected:
        yield f"{rejected} entries named no valid release, such as:"
        yield from (f"  {reason}" for reason in reasons)
    for anomaly in ledger.anomalies(db, limit=SHOWN):
        found = datetime.fromtimestamp(anomaly.found_at, UTC)
        yield f"the journal did what it should not ({found:%Y-%m-%d}): {anomaly.kind}: {anomaly.detail}"
    if all_.lost:
        yield "lost, which is a fault of PPP: please report it"
        yield from (f"  {release}" for release in ledger.lost_releases(db, limit=SHOWN))
