"""`ppp export`: the public part of the ledger as Parquet files."""

from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.publish.parquet import export_parquet


@click.command()
@click.argument("folder", type=NonEmptyPath())
@data_option
@json_option
def export(*, folder: Path, data: Path | None, as_json: bool) -> None:
    """Write the ledger's public tables as Parquet files.

    FOLDER must be new or empty. It gets current.parquet, all records by month below records/, and a file for each
    other table. This needs the extra `parquet`.
    """
    config = make_context(data).config
    # Refuses a ledger that is missing, damaged, or of another version.
    read_ledger(config.data).close()
    files = export_parquet(config.data / LEDGER_NAME, folder)
    answer = {"folder": str(folder), "files": [{"path": f.path, "rows": f.rows, "bytes": f.size} for f in files]}
    lines = [f"{folder / f.path}: {f.rows:,} rows, {f.size:,} bytes" for f in files]
    print_answer(answer, "\n".join(lines), as_json=as_json)
