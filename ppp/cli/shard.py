"""`ppp shard`: check a node's queue on machines that hold neither its key nor its ledger."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from ppp import pipeline
from ppp.cli.environments import select_environments
from ppp.cli.options import (
    CommandFunction,
    data_option,
    environments_option,
    json_option,
    make_context,
    matrix_option,
    network_option,
    print_answer,
)
from ppp.cli.paths import NonEmptyPath
from ppp.cli.signals import stop_on_signals
from ppp.durability import replace_file
from ppp.model.errors import InvalidFileError, RejectedDataError
from ppp.model.matrix import Environment
from ppp.runner.request import RunRequest, Sources
from ppp.runner.shards.check import ShardWork
from ppp.runner.shards.collect import CollectedShards
from ppp.runner.shards.plan import MAX_PLAN_BYTES, MAX_PLAN_CELLS, MAX_SHARDS, ShardId, ShardPlan
from ppp.runner.shards.results import MAX_FILE_BYTES, MAX_PARTS
from ppp.storage_errors import translate_storage_errors
from ppp.watch.shares import parse_shard

DEFAULT_CELLS: Final = 2_000
_PLAN: Final = click.argument("plan", metavar="PLAN", type=NonEmptyPath())


def _shard_option(command: CommandFunction) -> CommandFunction:
    return click.option(
        "--shard", "number", callback=_parse_shard, metavar="NUMBER/COUNT", required=True, help="Which shard (1/2)."
    )(command)


def _parse_shard(_ctx: click.Context, _parameter: click.Parameter, text: str) -> tuple[int, int]:
    """Return the number and the count that `3/8` names."""
    try:
        share = parse_shard(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return int(share.own.removeprefix("shard-")), len(share.nodes)


@click.group()
def shard() -> None:
    """Check the queue on machines without the key.

    In this order: plan, check, export, import.
    """


@shard.command()
@click.argument("file", type=NonEmptyPath())
@click.option(
    "--shards", type=click.IntRange(1, MAX_SHARDS), default=1, show_default=True, help="Shards of each environment."
)
@click.option(
    "--cells",
    type=click.IntRange(1, MAX_PLAN_CELLS),
    default=DEFAULT_CELLS,
    show_default=True,
    help="Plan no more than so many cells; what is left stays queued.",
)
@environments_option("This environment (may be repeated).")
@matrix_option
@data_option
@json_option
def plan(
    *,
    file: Path,
    shards: int,
    cells: int,
    environments: tuple[str, ...],
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write into FILE which queued cells each shard is to check. The queue stays as it is."""
    context = make_context(data)
    loaded, chosen = select_environments(matrix, environments)
    request = RunRequest(matrix=loaded, environments=chosen, sources=Sources(feed=False), jobs=1)
    made = pipeline.plan_shards(context, request, shards=shards, cells=cells)
    _write(file, made.encode())
    jobs = [
        {"environment": each.environment, "shard": f"{each.number}/{each.count}", "cells": len(given)}
        for each, given in made.by_shard().items()
    ]
    jobs.sort(key=lambda job: (str(job["environment"]), str(job["shard"])))
    answer = {"plan": made.id, "shards": shards, "cells": len(made.cells), "jobs": jobs}
    print_answer(answer, f"planned {len(made.cells)} cells for {len(jobs)} shards: {file}", as_json=as_json)


@shard.command()
@_PLAN
@_shard_option
@environments_option("This environment (may be repeated).")
@click.option("-j", "--jobs", type=click.IntRange(1, 256), help="How many cells run at a time (PPP_JOBS).")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True), help="Begin no cell after this time; the rest stays queued."
)
@network_option
@matrix_option
@data_option
@json_option
def check(
    *,
    plan: Path,
    number: tuple[int, int],
    environments: tuple[str, ...],
    jobs: int | None,
    minutes: float | None,
    network: str | None,
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Check what PLAN gave to one shard. This needs no key and no ledger of the node."""
    context = make_context(data, network=network)
    loaded, chosen = select_environments(matrix, environments)
    read = _read_plan(plan, number)
    work = ShardWork(number=number[0], jobs=jobs or context.config.jobs, minutes=minutes)
    with stop_on_signals(context.stop):
        report = pipeline.check_shard(context, loaded, chosen, read, work)
    answer = {"given": report.given, "finished": report.finished, "unhealthy": {**report.unhealthy}}
    print_answer(answer, f"finished {report.finished} of {report.given} cells", as_json=as_json)
    if context.stop.is_set():
        raise KeyboardInterrupt


@shard.command()
@_PLAN
@click.argument("folder", type=NonEmptyPath())
@_shard_option
@environments_option("This environment (may be repeated).")
@matrix_option
@data_option
@json_option
def export(
    *,
    plan: Path,
    folder: Path,
    number: tuple[int, int],
    environments: tuple[str, ...],
    matrix: Path | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write what was observed into FOLDER.

    These are records of what PLAN gave to the shard, in files that are named by their content.
    """
    context = make_context(data)
    _, chosen = select_environments(matrix, environments)
    files = pipeline.export_shard(context, _read_plan(plan, number), _shard_ids(number, chosen))
    with translate_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files:
        _write(folder / name, content)
    names = [name for name, _ in files]
    print_answer({"files": names}, "\n".join(str(folder / name) for name in names), as_json=as_json)


@shard.command(name="import")
@_PLAN
@click.argument("files", metavar="FILE...", type=NonEmptyPath(), nargs=-1)
@data_option
@json_option
def import_(*, plan: Path, files: tuple[Path, ...], data: Path | None, as_json: bool) -> None:
    """Take what shards observed as this node's own.

    Each FILE is what a shard of PLAN wrote, or a folder of such files. Each file is verified; one that is rejected
    changes nothing, and is the error that this ends with. A shard that did not report is named, and its cells stay
    queued.
    """
    context = make_context(data)
    read = _read_plan(plan)
    paths = [*_shard_files(files, most=len(read.by_shard()) * MAX_PARTS)]
    taken = pipeline.import_shards(context, read, ((path.name, _read(path, MAX_FILE_BYTES)) for path in paths))
    for one in taken.shards:
        if one.missing is not None:
            left = one.given - one.finished
            context.reporter.warn(f"{one.shard}: {one.missing}; {_cells(left)} of {one.given} stay queued")
    for reason in taken.rejected.values():
        context.reporter.warn(reason)
    _print_taken(taken, as_json=as_json)
    if taken.rejected:
        raise RejectedDataError(
            f"{len(taken.rejected)} of {len(paths)} files were rejected: {next(iter(taken.rejected.values()))}",
            hint="nothing of these was stored, and their cells stay queued; all other files were taken",
        )


def _print_taken(taken: CollectedShards, *, as_json: bool) -> None:
    totals = Counter[str]()
    for one in taken.shards:
        totals.update(given=one.given, finished=one.finished, new=one.new, missing=one.missing is not None)
    answer = {
        **{name: totals[name] for name in ("given", "finished", "new", "missing")},
        "shards": [one.to_json() for one in taken.shards],
        "rejected": {**taken.rejected},
    }
    text = (
        f"{totals['finished']} of {_cells(totals['given'])} finished, {totals['new']} records are new;"
        f" {totals['missing']} of {len(taken.shards)} shards did not report all of theirs"
    )
    print_answer(answer, text, as_json=as_json)


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


# ---------------------------------------------------------------- files


def _read_plan(path: Path, number: tuple[int, int] | None = None) -> ShardPlan:
    """Return the plan of a file; fail if a shard of another count is asked for."""
    plan = ShardPlan.decode(_read(path, MAX_PLAN_BYTES))
    if number is not None and number[1] != plan.shards:
        raise click.BadParameter(f"the plan has {plan.shards} shards, not {number[1]}", param_hint="--shard")
    return plan


def _shard_ids(number: tuple[int, int], environments: Sequence[Environment]) -> list[ShardId]:
    return [ShardId(environment=e.id, number=number[0], count=number[1]) for e in environments]


def _shard_files(paths: Sequence[Path], *, most: int) -> Iterator[Path]:
    """Yield the files that are given, and those of the folders that are, at any depth; raise if there are too many."""
    found = [file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    files = [file for file in found if file in paths or (file.is_file() and not file.is_symlink())]
    if len(files) > most:
        raise RejectedDataError(
            f"there are {len(files)} files, of {most} at most", hint="give only the files of this plan's shards"
        )
    yield from files


def _read(path: Path, limit: int) -> bytes:
    """Return a file's bytes, up to one more than a limit, so that whoever verifies them sees that it is too large."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        raise InvalidFileError(
            f"cannot read {path}: {error.strerror}", hint="name a file that `ppp shard` wrote"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with translate_storage_errors(path):
        replace_file(path, content)
