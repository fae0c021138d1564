"""Print the results of releases: as a table with a line for each failure, or as JSON."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from ppp import console
from ppp.cli.options import print_answer
from ppp.ledger import queries
from ppp.ledger.flakiness import Flakiness
from ppp.ledger.schema import read_ledger
from ppp.model.record import Record
from ppp.model.release import Release

#: Columns of a table that goes to a file or a pipe.
PIPE_WIDTH: Final = 160


def print_results(
    data: Path,
    releases: Sequence[Release],
    environments: Sequence[str],
    *,
    as_json: bool,
    unavailable: Mapping[str, str] | None = None,
    flakiness: Flakiness | None = None,
    with_logs: bool = False,
) -> None:
    """Print the current results of some releases in some environments.

    `unavailable` says of environments why nothing could be checked there. `flakiness` is part of the JSON answer where
    an A/A test was asked for; `with_logs` adds to each result the log that the ledger has of it.
    """
    unavailable = unavailable or {}
    with closing(read_ledger(data)) as db:
        rows = [(release, queries.current_by_environment(db, release)) for release in releases]
        records = [r for _, found in rows for environment, r in found.items() if environment in environments]
        logs = {r.id: queries.read_log(db, r.log_sha256) for r in records if with_logs and r.log_sha256}
    if as_json:
        results = [{**record_json(record), **({"log": logs.get(record.id)} if with_logs else {})} for record in records]
        shown = {} if flakiness is None else {"flakiness": flakiness.to_json()}
        print_answer({"results": results, "unavailable": dict(unavailable), **shown}, "", as_json=True)
    elif rows:
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        out.print(console.results_table(rows, environments, unavailable))
        click.echo("\n".join(["", *console.explanations(rows, environments)]))


def record_json(record: Record) -> dict[str, object]:
    """Return a record as it is published, with its id as `record`."""
    return {**record.to_json(), "record": record.id}
