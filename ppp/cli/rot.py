"""`ppp rot`: check again what passed a while ago, and say what no longer does."""

from collections.abc import Sequence
from pathlib import Path

import click

from ppp import console
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    environments_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.cli.results import record_json
from ppp.runner.rot import RotSummary, check_old_passes


@click.command()
@environments_option("Check cells of this environment only; may be repeated.")
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(min=1, max=36_500),
    metavar="DAYS",
    default=90,
    show_default=True,
    help="Check what was last observed so many days ago, or longer.",
)
@click.option(
    "--limit", type=click.IntRange(min=1, max=10_000), default=20, show_default=True, help="How many cells at most."
)
@network_option
@matrix_option
@data_option
@log_options
@json_option
def rot(
    *,
    environments: Sequence[str],
    days: int,
    limit: int,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check again what passed long ago.

    The oldest come first. Dependencies are resolved anew, and what is observed is recorded. A failure is examined for
    what changed, as any fresh failure is.
    """
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, environments)
    done = check_old_passes(context, loaded, chosen, days=days, limit=limit)
    answer = {
        "checked": done.checked,
        "no_longer_pass": [record_json(one.record) for one in done.rotten],
        "unavailable": dict(done.unavailable),
    }
    print_answer(answer, "\n".join(_lines(done)), as_json=as_json)


def _lines(done: RotSummary) -> Sequence[str]:
    counts = f"{done.checked} cells were checked again: {len(done.rotten)} no longer pass"
    lines = [console.result_line(one.record) for one in done.rotten]
    return [*lines, *(f"{id_}: {reason}" for id_, reason in done.unavailable.items()), counts]
