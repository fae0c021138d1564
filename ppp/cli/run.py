"""`ppp run` and `ppp watch`: find releases, queue their cells, check them."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import click

from ppp import pipeline
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    environments_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    parse_packages,
    print_answer,
    snapshot_option,
)
from ppp.cli.paths import NonEmptyPath
from ppp.cli.reports.fail_on import run_failure
from ppp.cli.reports.item import parse_fail_on
from ppp.cli.results import print_results, read_asked
from ppp.cli.signals import stop_on_signals
from ppp.model.printable import printable_line
from ppp.model.record import Result
from ppp.model.release import RequestedPackage
from ppp.narrate.model import MAX_SEED
from ppp.pipeline import RunSummary
from ppp.resources import resource
from ppp.runner.context import Context
from ppp.runner.health import update_health
from ppp.runner.request import RunRequest, Sources
from ppp.watch.shares import Share, parse_shard

_WATCHLIST: Final = resource("matrices/watchlist.txt")
#: A first run on a small machine ends within five minutes; what is left stays queued for the next run.
DEFAULT_MINUTES: Final = 4.0
#: The end of `ppp run --help`: what --fail-on makes of results.
_EXIT_CODES: Final = """
\b
Exit codes with --fail-on, about the packages named, or else the watchlist's:
  0   no result that --fail-on names
  1   a result that --fail-on names, of this run or an earlier one
  23  an environment of --env is not available, or is unhealthy
  58  a check ended without a verdict (ERROR), or a cell is still queued
Without it results change nothing; docs/exit-codes.md has all others.
"""


def _parse_shard(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> Share | None:
    """Return the share that `3/8` names."""
    try:
        return None if text is None else parse_shard(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command(epilog=_EXIT_CODES)
@click.option(
    "-p",
    "--package",
    "named",
    metavar="PACKAGE",
    callback=parse_packages,
    multiple=True,
    help="Check this package, and nothing that is not named (may be repeated).",
)
@click.option(
    "-r",
    "--requirements",
    type=NonEmptyPath(),
    multiple=True,
    help="Check what this requirements file names, and nothing that is not named (may be repeated).",
)
@environments_option("Check only in this environment (may be repeated).")
@click.option("--watchlist", type=NonEmptyPath(), help="Use this watchlist instead of the one PPP ships.")
@click.option(
    "--feed/--no-feed", default=True, show_default=True, help="Read the journal of PyPI's releases, or its feed."
)
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 256), help="How many cells run at a time (PPP_JOBS, or the number of cores)."
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_MINUTES,
    show_default=True,
    help="Begin no cell after this time; what is left stays queued.",
)
@click.option(
    "--cells",
    type=click.IntRange(min=1),
    help="Begin no more than so many cells; what is left stays queued.",
)
@click.option(
    "--shard",
    callback=_parse_shard,
    metavar="NUMBER/COUNT",
    help="Of what nobody asked for, check only this shard (3/8); what a person named is in each.",
)
@click.option(
    "--fail-on",
    metavar="RESULTS",
    callback=parse_fail_on,
    default="none",
    show_default=True,
    help="Exit with 1 for these results of what was asked for: some of FAIL,TIMEOUT,ERROR,NA, or none.",
)
@click.option("--again", is_flag=True, help="Re-check cells that this node has a result for.")
@click.option(
    "--aa",
    type=click.IntRange(min=0),
    default=0,
    help="Then re-check so many cells, to measure flakiness (an A/A test).",
)
@snapshot_option
@click.option("--seed", type=click.IntRange(0, MAX_SEED), help="Choose the same cells for --aa each time.")
@network_option
@matrix_option
@data_option
@log_options
@json_option
def run(
    *,
    named: tuple[RequestedPackage, ...],
    requirements: tuple[Path, ...],
    environments: tuple[str, ...],
    watchlist: Path | None,
    feed: bool,
    jobs: int | None,
    minutes: float,
    cells: int | None,
    shard: Share | None,
    fail_on: frozenset[Result],
    again: bool,
    aa: int,
    snapshot: bool,
    seed: int | None,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check new releases and publish the results: the main job.

    Without a package or a requirements file, these are PyPI's new releases, those of the watchlist, and of the queue.
    What is named and the index does not have is left out, and is the error that the run ends with.
    """
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, environments)
    request = RunRequest(
        matrix=loaded,
        environments=chosen,
        sources=Sources(named=named, requirements=requirements, feed=feed, watchlist=watchlist or _WATCHLIST),
        jobs=jobs or context.config.jobs,
        minutes=minutes,
        cells=cells,
        shard=shard,
        recheck=again,
        aa_cells=aa,
        snapshot=snapshot,
        # A new choice each time: after many runs the A/A test has seen all kinds of cells.
        seed=context.now if seed is None else seed,
    )
    with stop_on_signals(context.stop):
        summary = pipeline.run(context, request)
    update_health(context.config.data, context.reporter, now=context.now)
    _print_summary(context, summary, [environment.id for environment in chosen], as_json=as_json)
    _finish(context, summary, fail_on, required=environments)


def _finish(context: Context, summary: RunSummary, fail_on: Collection[Result], *, required: Collection[str]) -> None:
    """Exit with 1 for a result that is to fail; else raise the error that says what was not checked."""
    if context.stop.is_set():
        # What was checked until then is published; the exit code says that the run was cut short.
        raise KeyboardInterrupt
    asked = read_asked(context.config, summary.asked) if fail_on else ()
    if any(each.result in fail_on for each in asked):
        raise SystemExit(1)
    undecided = run_failure(asked, summary.unavailable, required=required) if fail_on else None
    for error in (summary.missing, undecided):
        if error:
            raise error


def _print_summary(context: Context, summary: RunSummary, environments: list[str], *, as_json: bool) -> None:
    print_results(
        context.config,
        summary.releases,
        environments,
        unavailable=summary.unavailable,
        flakiness=summary.flakiness,
        queue=summary.queue,
        budget=summary.budget,
        missing=summary.missing,
        as_json=as_json,
    )
    if str(summary.budget):
        context.reporter.note(str(summary.budget))
    if summary.queue.due:
        context.reporter.note(f"{summary.queue.due} cells are still queued: run again to continue")
    for waiting in summary.queue.waiting:
        context.reporter.note(str(waiting))
    if not as_json:
        click.echo(printable_line(f"checked {summary.checked} cells; open {summary.page}"))


@click.command()
@click.option(
    "-r",
    "--requirements",
    type=NonEmptyPath(),
    multiple=True,
    help="Queue what this requirements file names, instead of the feed (may be repeated).",
)
@click.option("--watchlist", type=NonEmptyPath(), help="Queue what this watchlist names too.")
@click.option(
    "--feed/--no-feed", default=True, show_default=True, help="Read the journal of PyPI's releases, or its feed."
)
@environments_option("Queue only for this environment (may be repeated).")
@matrix_option
@data_option
@log_options
@json_option
def watch(
    *,
    requirements: tuple[Path, ...],
    watchlist: Path | None,
    feed: bool,
    environments: tuple[str, ...],
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Queue PyPI's new releases without checking them."""
    context = make_context(data)
    loaded, chosen = select_environments(matrix, environments)
    sources = Sources(requirements=requirements, feed=feed, watchlist=watchlist)
    summary = pipeline.watch(context, RunRequest(matrix=loaded, environments=chosen, sources=sources, jobs=1))
    due = summary.queue.due
    for waiting in summary.queue.waiting:
        context.reporter.note(str(waiting))
    more = {"waiting": summary.queue.to_json()["waiting"]} if summary.queue.waiting else {}
    print_answer({"queued": due, **more}, f"{due} cells are queued: `ppp run` checks them", as_json=as_json)
    if summary.missing:
        raise summary.missing
