"""`ppp feed`: one feed for a list of packages, and their own feeds as a list for a feed reader."""

from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context, parse_packages, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.model.printable import first_of
from ppp.model.release import RequestedPackage
from ppp.runner.ask import read_wanted
from ppp.runner.combined_feed import combine, write_files


@click.command()
@click.argument("packages", metavar="[PACKAGE]...", callback=parse_packages, nargs=-1)
@click.option(
    "-r",
    "--requirements",
    type=NonEmptyPath(),
    multiple=True,
    help="Follow what this requirements file or pylock.toml names (may be repeated).",
)
@click.option("-o", "--output", "folder", type=NonEmptyPath(), required=True, help="The folder to write into.")
@click.option("--from", "url", metavar="URL", default="", help="Ask the node that publishes here, not this ledger.")
@data_option
@json_option
def feed(
    *,
    packages: tuple[RequestedPackage, ...],
    requirements: tuple[Path, ...],
    folder: Path,
    url: str,
    data: Path | None,
    as_json: bool,
) -> None:
    """Write one feed about several packages.

    It shows their changed results as feed.xml (RSS), atom.xml and feed.json; feeds.opml lists their own feeds for a
    feed reader. Versions count for nothing: a feed is about all of them. Links lead to the site of this node
    (PPP_BASE_URL), or of the node that was asked.
    """
    context = make_context(data)
    entries, notes = read_wanted(packages, requirements)
    combined = combine(context.config, (entry.wanted.package for entry in entries), url=url)
    for note in notes:
        context.reporter.note(note)
    if combined.missing:
        context.reporter.warn(f"{url or 'this node'} has no feed of {first_of(combined.missing, 10)}")
    written = write_files(folder, combined.files)
    answer = {
        "files": [str(path) for path in written],
        "packages": [*combined.packages],
        "missing": [*combined.missing],
    }
    print_answer(answer, "\n".join(f"wrote {path}" for path in written), as_json=as_json)
