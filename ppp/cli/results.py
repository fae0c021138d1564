"""Print the results of releases: as a table with a line for each failure, or as JSON."""

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Protocol

import click
from rich.console import Console

from ppp import console
from ppp.cli.options import print_answer
from ppp.config import Config
from ppp.ledger import queries
from ppp.ledger.node_verdicts import CellVerdicts, read_verdicts
from ppp.ledger.quarantines import quarantined
from ppp.ledger.schema import read_ledger
from ppp.mesh.node import load_key
from ppp.model.blame import assign_blame
from ppp.model.errors import NodeError, PPPError
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.model.release import Release
from ppp.model.release_files import files_until, is_final

#: Columns of a table that goes to a file or a pipe.
PIPE_WIDTH: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCell:
    """A cell that a run was asked for, and its result; None where there is none yet."""

    cell: Cell
    result: Result | None


class AnswerPart(Protocol):
    """What a run found out beside its results. Its classes belong to what checks cells, which few commands import."""

    def to_json(self) -> Mapping[str, object]:
        """Return it as a part of the JSON answer."""


def print_results(
    config: Config,
    releases: Sequence[Release],
    environments: Sequence[str],
    *,
    as_json: bool,
    unavailable: Mapping[str, str] | None = None,
    flakiness: AnswerPart | None = None,
    queue: AnswerPart | None = None,
    budget: AnswerPart | None = None,
    missing: PPPError | None = None,
    with_logs: bool = False,
    announced: Mapping[Release, int] | None = None,
    now: int = 0,
) -> None:
    """Print what this node has of some releases in some environments: its own word first, and who disagrees.

    `unavailable` says of environments why nothing could be checked there. `flakiness` is part of the JSON answer where
    an A/A test was asked for, and so are, after a run, the state of the `queue`, what its `budget` left out, and what
    was `missing` from the index of what was requested. Of releases that were `announced`, each at a time in epoch
    seconds, it is told whether they may still gain files after `now`. `with_logs` adds to each result the log that the
    ledger has.
    """
    unavailable = unavailable or {}
    own = find_node_id(config)
    with closing(read_ledger(config.data)) as db:
        found = [(release, read_verdicts(db, release, own=own)) for release in releases]
        cells = [c for _, by_environment in found for e, c in by_environment.items() if e in environments]
        records = [cell.shown for cell in cells]
        logs = {r.id: queries.read_log(db, r.log_sha256) for r in records if with_logs and r.log_sha256}
        held = frozenset(quarantined(db))
    if as_json:
        judged = {record: blame for _, by_environment in found for record, blame in _judged(by_environment).items()}
        results = [
            {**record_json(record), **judged[record.id], **({"log": logs.get(record.id)} if with_logs else {})}
            for record in records
        ]
        parts = (("flakiness", flakiness), ("queue", queue), ("budget", budget))
        shown: dict[str, object] = {name: part.to_json() for name, part in parts if part is not None}
        shown |= ({"missing": missing.message} if missing else {}) | _announced_json(announced, now)
        agreement = [_agreement_json(cell, held) for cell in cells]
        answer = {"results": results, "agreement": agreement, "unavailable": dict(unavailable), **shown}
        print_answer(answer, "", as_json=True)
    elif found:
        rows = [(release, {e: cell.shown for e, cell in cells.items()}) for release, cells in found]
        out = Console() if sys.stdout.isatty() else Console(width=PIPE_WIDTH)
        out.print(*console.results_tables(rows, environments, unavailable, width=out.width), sep="\n")
        lines = [*console.explanations(rows, environments), *console.disagreements(cells, own=own, quarantined=held)]
        lines += (_files_line(release, at, now) for release, at in (announced or {}).items())
        click.echo("\n".join(["", *lines]))


def read_asked(config: Config, cells: Sequence[Cell]) -> list[AskedCell]:
    """Return some cells with the results that tables show, which are this node's own first."""
    own = find_node_id(config)
    with closing(read_ledger(config.data)) as db:
        found = {release: read_verdicts(db, release, own=own) for release in {cell.release for cell in cells}}
    verdicts = [(cell, found[cell.release].get(cell.environment)) for cell in cells]
    return [AskedCell(cell=cell, result=verdict.shown.result if verdict else None) for cell, verdict in verdicts]


def _announced_json(announced: Mapping[Release, int] | None, now: int) -> dict[str, object]:
    if announced is None:
        return {}
    rows = [
        {
            "package": release.package,
            "version": release.version,
            "announced_at": at,
            "files_until": files_until(at),
            "is_final": is_final(at, now),
        }
        for release, at in announced.items()
    ]
    return {"announced": rows}


def _files_line(release: Release, announced_at: int, now: int) -> str:
    until = console.format_time(files_until(announced_at))
    if is_final(announced_at, now):
        return f"{release}: final, as the index takes no more files for it since {until}"
    return f"{release}: files may still be added until {until}, and are checked when they are"


def _judged(by_environment: Mapping[str, CellVerdicts]) -> dict[str, dict[str, object]]:
    """Return the blame that pages and published JSON give, by record: that of the log, or what sibling cells imply."""
    records = [cell.shown for cell in by_environment.values()]
    assigned = assign_blame(records)
    return {
        record.id: {"blame": assigned[record.environment].blame, "blamed_by": assigned[record.environment].source}
        for record in records
    }


def find_node_id(config: Config) -> str | None:
    """Return the id of this node; None where there is no key that can be read."""
    try:
        return load_key(config.data, config.node_seed).id
    except NodeError:
        return None


def _agreement_json(cell: CellVerdicts, held: Collection[str]) -> dict[str, object]:
    nodes = [
        {
            "node": record.node,
            "result": str(record.result),
            "observed_at": record.observed_at,
            "record": record.id,
            "quarantined": record.node in held,
        }
        for record in cell.by_node
    ]
    # In the order of the results, each of which is a record with the blame that is published.
    return {"record": cell.shown.id, "agreeing": cell.agreeing, "nodes": nodes}


def record_json(record: Record) -> dict[str, object]:
    """Return a record as it is published, with its id as `record`."""
    return {**record.to_json(), "record": record.id}
