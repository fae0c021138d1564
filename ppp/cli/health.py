"""`ppp health`: how a long-lived node is, for a person, a monitor or Prometheus."""

from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.console import format_time
from ppp.model.errors import UnhealthyError
from ppp.runner.health import Health, format_metrics, read_health


@click.command()
@click.option("--prometheus", is_flag=True, help="Print metrics in the text format of Prometheus.")
@data_option
@json_option
def health(*, prometheus: bool, data: Path | None, as_json: bool) -> None:
    """Show how the steps of this node went.

    It also shows what is queued, how old the newest record is, and how much disk is left. It fails if a step of the
    schedule failed or is late.
    """
    if prometheus and as_json:
        raise click.UsageError("--prometheus cannot be combined with --json")
    context = make_context(data)
    found = read_health(context.config.data, now=context.now)
    if prometheus:
        click.echo(format_metrics(found), nl=False)
        return
    print_answer(found.to_json(), "\n".join(_lines(found)), as_json=as_json)
    if found.problems:
        raise UnhealthyError("; ".join(found.problems), hint="the step's own output says why; `ppp doctor` looks here")


def _lines(found: Health) -> list[str]:
    lines = [
        f"{step:8} {one.state}" + (f", {format_time(one.last.ended_at)}" if one.last else "")
        for step, one in found.steps.items()
    ]
    if found.ledger:
        newest = found.ledger.newest_record_at
        lines.append(f"queued   {found.ledger.queued:,} cells")
        lines.append(f"newest   {format_time(newest) if newest else 'no record yet'}")
        lines.append(f"ledger   {found.ledger.size:,} bytes")
    return [*lines, f"free     {found.free:,} bytes"]
