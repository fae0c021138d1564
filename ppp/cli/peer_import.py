"""`ppp peer import`: merge batches from a folder or a snapshot on this machine, verified as those of peers are."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click

from ppp import pipeline
from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.mesh.local_batches import BatchFile, ImportReport, read_batch_files
from ppp.model.errors import RejectedDataError
from ppp.model.printable import printable_line
from ppp.verify.database import open_verified


@click.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@data_option
@json_option
def peer_import(*, source: Path, data: Path | None, as_json: bool) -> None:
    """Merge batches from files.

    SOURCE is a folder of them, or the SQLite snapshot of a node's state. Use it for batches for which a peer's site has
    no room. They are verified as if the peer had sent them, and merged only if their nodes are trusted here, wherever
    you have them from.
    """
    context = make_context(data)
    report = pipeline.import_batches(context, _batches_in(source))
    print_answer(dataclasses.asdict(report), "\n".join(_lines(report)), as_json=as_json)
    for reason in report.rejections:
        click.echo(printable_line(f"ppp: {source}: {reason}"), err=True)
    if report.rejections:
        raise SystemExit(RejectedDataError.exit_code)


def _batches_in(source: Path) -> Iterator[BatchFile]:
    if source.is_dir():
        yield from read_batch_files(source)
        return
    with open_verified(source, immutable=True) as db:
        rows = db.execute("SELECT batch, packed, signature FROM batches JOIN batch_files USING (batch) ORDER BY batch")
        yield from (BatchFile(str(batch), bytes(packed), str(signature)) for batch, packed, signature in rows)


def _lines(report: ImportReport) -> Iterator[str]:
    known = f", {report.known:,} batches were here before" if report.known else ""
    yield f"{report.records:,} new records in {report.batches:,} batches{known}; `ppp publish` publishes them"
    yield from (f"  {each}" for each in report.untrusted)
