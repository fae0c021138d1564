"""`ppp downloads`: import how often packages are downloaded, and show it."""

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.ledger import downloads as ledger
from ppp.ledger.downloads import Downloads, DownloadsSource
from ppp.ledger.lock import writer_lock
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.errors import InvalidFileError
from ppp.model.printable import printable_reason
from ppp.model.release import parse_package
from ppp.runner.context import LOCK_WAIT_S

#: How many packages are shown if none is named.
SHOWN: Final = 20


@click.group()
def downloads() -> None:
    """Import how often packages are downloaded, or show it."""


@downloads.command("import")
@click.argument("file", type=NonEmptyPath())
@click.option("--source", help="Whose numbers these are, and their licence. It is published with them.")
@click.option("--period", help="What the file counts, if it does not say so: 2026-10, or two days with a /.")
@data_option
@json_option
def import_(*, file: Path, source: str | None, period: str | None, data: Path | None, as_json: bool) -> None:
    """Import a file of downloads.

    It is the monthly JSON of the most downloaded packages, or has rows as CSV or JSON.

    Rows have package, period (2026-10), downloads and, if the source has it, python_version. What is stored of the
    same period is replaced; other periods stay.
    """
    context = make_context(data)
    try:
        with file.open("rb") as opened:
            content = opened.read(ledger.MAX_BYTES + 1)
    except OSError as error:
        raise InvalidFileError(f"{file} cannot be read: {error.strerror}", hint="name a file of downloads") from error
    rows = ledger.parse_downloads(content, period=period)
    origin = DownloadsSource(
        source=printable_reason(source or file.name, ledger.MAX_SOURCE), file_sha256=sha256_hex(content)
    )
    folder = context.config.data
    # The lock first: opening may migrate the ledger, which two commands must not do at once.
    with writer_lock(folder, wait_s=LOCK_WAIT_S), Store.open(folder) as store:
        ledger.store_downloads(store.db, store.path, rows, origin)
    periods = sorted({row.period for row in rows})
    text = f"imported {len(rows):,} rows for {', '.join(periods)}: the next run orders its queue by the newest period"
    print_answer({"rows": len(rows), "periods": periods}, text, as_json=as_json)


@downloads.command("show")
@click.argument("package", required=False)
@data_option
@json_option
def show_downloads(*, package: str | None, data: Path | None, as_json: bool) -> None:
    """Show the downloads of a package.

    Without one, show the most downloaded packages of the newest period.
    """
    with closing(read_ledger(make_context(data).config.data)) as db:
        if package is None:
            rows = ledger.most_downloaded(db, limit=SHOWN)
        else:
            rows = ledger.downloads_of(db, parse_package(package))
    text = "\n".join(map(_line, rows)) or "no downloads are known: import a file with `ppp downloads import FILE`"
    print_answer([asdict(row) for row in rows], text, as_json=as_json)


def _line(row: Downloads) -> str:
    python = f", Python {row.python_version}" if row.python_version else ""
    return f"{row.package}: {row.downloads:,} downloads in {row.period}{python}"
