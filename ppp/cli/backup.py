"""`ppp backup`: a verified copy of the ledger."""

from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.ledger.backup import back_up
from ppp.ledger.schema import LEDGER_NAME


@click.command()
@click.argument("file", type=NonEmptyPath())
@data_option
@json_option
def backup(*, file: Path, data: Path | None, as_json: bool) -> None:
    """Copy the ledger into a new file, and verify the copy.

    FILE must not exist. It can be done while a run is writing. The copy does not have
    the node's key (data/node.key): keep one of that too.
    """
    made = back_up(make_context(data).config.data / LEDGER_NAME, file)
    held = ", ".join(f"{count:,} {table}" for table, count in made.rows.items())
    answer = {"file": str(made.path), "bytes": made.size, "rows": made.rows}
    print_answer(answer, f"{made.path}: {held}, {made.size:,} bytes, verified", as_json=as_json)
