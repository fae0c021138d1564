"""`ppp lock`: the files of a PASS, for pip and uv to install again."""

from pathlib import Path
from typing import Final

import click

from ppp.cli.options import data_option, make_context, parse_packages
from ppp.cli.paths import NonEmptyPath
from ppp.durability import replace_file
from ppp.index_files.store import Completion
from ppp.locks.pylock import write_pylock
from ppp.locks.requirements import write_requirements
from ppp.model.printable import first_of
from ppp.model.release import RequestedPackage
from ppp.runner import locks
from ppp.storage_errors import translate_storage_errors

WRITERS: Final = {"pylock": write_pylock, "requirements": write_requirements}


@click.command()
@click.argument("release", metavar="[RELEASE]", callback=parse_packages, nargs=-1)
@click.option("-e", "--env", "environment", metavar="ENVIRONMENT", help="The environment in which it passed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(WRITERS)),
    default="pylock",
    show_default=True,
    help="Write a pylock.toml (PEP 751), or a requirements file of addresses with hashes.",
)
@click.option("-o", "--output", type=NonEmptyPath(), help="Write it to this file, not to standard output.")
@click.option(
    "--complete",
    is_flag=True,
    help="Read from the index what is not known here; without a RELEASE, for all locks that `ppp publish` makes.",
)
@data_option
def lock(
    *,
    release: tuple[RequestedPackage, ...],
    environment: str | None,
    form: str,
    output: Path | None,
    complete: bool,
    data: Path | None,
) -> None:
    """Write a lock of a PASS: its files, by address and hash.

    RELEASE is a package, optionally with a version. The lock pins files: not the base image, the architecture, pip, or
    what an sdist is built with, which it names instead.
    """
    context = make_context(data)
    if not release and complete:
        click.echo(describe(locks.complete_all(context)))
        return
    if len(release) != 1 or environment is None:
        raise click.UsageError("name one RELEASE and its environment (-e), or --complete alone")
    content = WRITERS[form](locks.lock_of(context, release[0], environment, complete=complete))
    if output is None:
        click.echo(content.decode(), nl=False)
        return
    with translate_storage_errors(output):
        replace_file(output, content)


def describe(completion: Completion) -> str:
    """Return what reading the index added, and which files it does not list, as a sentence."""
    added = "1 file is" if completion.added == 1 else f"{completion.added} files are"
    unknown = [project for project, _ in completion.unknown]
    missing = f"; the index does not list {len(unknown)}, of {first_of(unknown, 5)}" if unknown else ""
    return f"{added} known now from the index{missing}"
