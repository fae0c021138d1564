"""`ppp reproduce`: run the cell of a record again, with what the record names, and say what differs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from ppp import console, pipeline
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    data_option,
    json_option,
    log_options,
    make_context,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.cli.results import record_json
from ppp.cli.stored import TARGET_METAVAR, find_stored
from ppp.model.errors import ReproducedDifferentlyError
from ppp.model.matrix import Cell
from ppp.model.record import PHASES
from ppp.runner.reproduce import NOW, Reproduction


def _parse_as_of(_ctx: click.Context, _parameter: click.Parameter, text: str | None) -> int | str | None:
    """Return None, `now`, or a time in epoch seconds; a time without an offset is UTC."""
    if text is None or text == NOW:
        return text
    try:
        if text.isascii() and text.isdecimal():
            return int(text)
        parsed = datetime.fromisoformat(text)
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise click.BadParameter("it is neither `now` nor a time such as 2026-02-01 or 2026-02-01T12:00:00Z") from error


@click.command()
@click.argument("target", metavar=TARGET_METAVAR)
@click.option("-e", "--env", "environment", metavar="ENVIRONMENT", help="The environment of PACKAGE==VERSION.")
@click.option(
    "--as-of",
    metavar="now|TIME",
    callback=_parse_as_of,
    help="Resolve dependencies anew: with the index as it is now, or as it was at a time.",
)
@click.option("--record", "store", is_flag=True, help="Add what is observed as a record; only with --as-of now.")
@network_option
@matrix_option
@data_option
@log_options
@json_option
def reproduce(
    *,
    target: str,
    environment: str | None,
    as_of: int | str | None,
    store: bool,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Run the cell of a record again and compare.

    It gets the same image by its digest, the same pip, the same files by their hashes, and the same limits. Exits with
    0 if the same is observed, and with 70 if not.
    """
    if store and as_of != NOW:
        raise click.UsageError("--record goes with --as-of now: a record says what an installation finds at its time")
    context = make_context(data, network=network)
    before = find_stored(context, target, environment)
    loaded, (chosen,) = select_environments(matrix, [before.record.environment])
    done = pipeline.reproduce(context, before, loaded, chosen, as_of=as_of, store=store)
    print_answer(_json(done), "\n".join(_lines(done)), as_json=as_json)
    if not done.differences.is_same:
        raise ReproducedDifferentlyError(
            f"{Cell.of(done.now.record)}: something else was observed than the record says", hint=""
        )


def _json(done: Reproduction) -> dict[str, object]:
    differences = done.differences
    return {
        "record": done.before.record.id,
        "as_of": done.as_of,
        "same": differences.is_same,
        "differences": {
            "phases": [one.to_json() for one in differences.phases],
            "files": [one.to_json() for one in differences.files],
            "log": list(differences.log),
        },
        "untimed": list(done.untimed),
        "observed": {
            key: value for key, value in record_json(done.now.record).items() if key not in {"node", "record"}
        },
    }


def _lines(done: Reproduction) -> Sequence[str]:
    before, now, differences = done.before.record, done.now.record, done.differences
    lines = [f"{Cell.of(now)}: {'same' if differences.is_same else 'different'}"]
    lines.append(f"  record    {before.id}, observed {console.format_time(before.observed_at)}")
    lines.append(f"  index     {_index_words(done)}")
    if before.image_digest:
        lines.append(f"  image     {before.image_digest}")
    lines.append(f"  result    {now.result} ({', '.join(f'{phase} {now.outcome(phase)}' for phase in PHASES)})")
    lines += [f"  differs   {one}" for one in (*differences.phases, *differences.files)]
    if differences.log:
        lines.append("  log       differs, which decides nothing:")
        lines += [f"    {line}" for line in differences.log]
    if done.untimed:
        lines.append(
            f"  note      the index gives no time of upload for files of {', '.join(done.untimed)}: all were there"
        )
    if before.network is not now.network:
        lines.append(f"  note      its network was {before.network}, and is {now.network} now")
    return lines


def _index_words(done: Reproduction) -> str:
    if done.as_of is None:
        count = len({*(one.name for one in done.before.record.installed), done.before.record.release.package})
        files = "1 project's file" if count == 1 else f"{count} projects' files"
        at = console.format_time(done.before.record.observed_at)
        return f"the {files} that the record names; anything else as of {at}"
    return "as it is now" if done.as_of == NOW else f"as of {console.format_time(int(done.as_of))}"
