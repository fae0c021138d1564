"""`ppp coverage`: what became of every release that the index named."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from ppp.cli.coverage_intervals import interval_answer, interval_lines
from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.console import format_time
from ppp.ledger.coverage import CoverageReport, read_report, releases_with_open_files
from ppp.ledger.coverage_intervals import read_intervals
from ppp.ledger.schema import read_ledger
from ppp.model.printable import printable_line
from ppp.publish.api.coverage import counts_json, day_json

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
@click.option(
    "--intervals", "by_interval", is_flag=True, help="Show each interval of serials too, and each way that served."
)
@data_option
@json_option
def coverage(
    *, since: datetime | None, fail_on_lost: bool, by_interval: bool, data: Path | None, as_json: bool
) -> None:
    """Show what became of every release that the index named.

    Each was tested, is queued, was skipped for a reason, or is lost: the four add up to all that were named. A lost one
    is a fault of PPP. The times between two readings of a feed hide releases that nobody here knows of: how many is an
    estimate, and shown apart.
    """
    since_s = int(since.replace(tzinfo=UTC).timestamp()) if since else 0
    context = make_context(data)
    with closing(read_ledger(context.config.data)) as db:
        report = read_report(db, since=since_s, limit=SHOWN)
        may_gain_files = releases_with_open_files(db, since=since_s, now=context.now)
        reading = read_intervals(db) if by_interval else None
    final = report.total.named - may_gain_files
    files = f"{may_gain_files:,} of them may still gain files; {final:,} are older than 14 days, so they cannot"
    lines = [NO_JOURNAL]
    if report.is_followed:
        lines = [*_lines(report, files), *(interval_lines(reading) if reading else ())]
    answer = _answer(report) | {"files": {"may_gain": may_gain_files, "final": final}}
    answer |= {"reading": interval_answer(reading)} if reading else {}
    print_answer(answer, "\n".join(map(printable_line, lines)), as_json=as_json)
    if fail_on_lost and report.total.lost:
        click.get_current_context().exit(1)


def _answer(report: CoverageReport) -> dict[str, object]:
    return {
        "total": counts_json(report.total),
        "days": [day_json(day) for day in report.days],
        "journals": [
            {
                "first_serial": one.first_serial,
                "serial": one.serial,
                "started_at": one.started_at,
                "read_at": one.read_at,
                "target": one.target,
                "projects_left": one.unfinished,
            }
            for one in report.journals
        ],
        "gaps": {
            "gaps": report.gaps.gaps,
            "seconds": report.gaps.seconds,
            "estimated_releases": report.gaps.estimate,
        },
        "rejected": {"entries": report.rejected, "newest": list(report.rejects)},
        "anomalies": [{"kind": one.kind, "detail": one.detail, "found_at": one.found_at} for one in report.anomalies],
        "lost": [str(release) for release in report.lost],
    }


def _lines(report: CoverageReport, files: str) -> Iterator[str]:
    yield f"{'day':10} {'named':>8} {'tested':>8} {'queued':>8} {'skipped':>8} {'lost':>8}"
    for day in report.days:
        yield f"{day.day:10} {day.named:8,} {day.tested:8,} {day.queued:8,} {day.skipped:8,} {day.lost:8,}"
    yield str(report.total)
    yield files
    for journal in report.journals:
        yield (
            f"the journal was read from serial {journal.first_serial} to {journal.serial}, the last time"
            f" {format_time(journal.read_at)}"
        )
        if journal.unfinished:
            yield f"{journal.unfinished} projects are left to read up to serial {journal.target}: `ppp watch` goes on"
    if report.gaps.gaps:
        yield (
            f"between readings of the feed, {report.gaps.seconds // 60:,} minutes are not covered: about"
            f" {report.gaps.estimate:,} releases, as an estimate; a journal with serials (PPP_JOURNAL_URL) fills them"
        )
    if report.rejected:
        yield f"{report.rejected} entries named no valid release, such as:"
        yield from (f"  {reject}" for reject in report.rejects)
    for anomaly in report.anomalies:
        yield f"the journal did what it should not ({format_time(anomaly.found_at)}): {anomaly.kind}: {anomaly.detail}"
    if report.lost:
        yield "lost, which is a fault of PPP: please report it"
        yield from (f"  {release}" for release in report.lost)
