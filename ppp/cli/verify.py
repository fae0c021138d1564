"""`ppp verify`: check published files; an exit code of its own where one is invalid."""

import time
from pathlib import Path
from typing import Final

import click

from ppp.cli.options import json_option, print_answer
from ppp.mesh.node import is_node_id
from ppp.model.canonical import is_sha256
from ppp.model.errors import InvalidFileError
from ppp.model.printable import printable_line
from ppp.verify.examine import VerifyOptions, examine
from ppp.verify.result import Verification

#: A glyph beside each word.
WORDS: Final = {True: "✓ valid", False: "✗ INVALID"}


@click.command()
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--sha256", help="The hash that the one FILE must have, if no file beside it says so.")
@click.option("--node", "nodes", multiple=True, help="Accept only what this node signed (may be repeated).")
@json_option
def verify(*, files: tuple[Path, ...], sha256: str | None, nodes: tuple[str, ...], as_json: bool) -> None:
    """Check whether published files are valid.

    A FILE is a snapshot, current.json, files.json, a statement, a batch, an episode.json, a ledger, or a folder with
    such files and the pages that files.json lists. Nothing is changed, and no file needs to be trusted.
    """
    if sha256 is not None and (len(files) != 1 or not is_sha256(sha256.lower())):
        raise click.UsageError("--sha256 takes 64 hex digits, and one FILE")
    if unknown := [node for node in nodes if not is_node_id(node)]:
        raise click.UsageError(f"--node takes a public key of 64 hex digits, not {unknown[0]!r}")
    options = VerifyOptions(now=int(time.time()), sha256=sha256 and sha256.lower(), nodes=frozenset(nodes))
    results: list[Verification] = []
    for path in files:
        for result in examine(path, options):
            results.append(result)
            if not as_json:
                # A file's name may hold line breaks: it must not look like the line of another, valid file.
                line = f"{WORDS[result.valid]}  {result.path}: {result.message}"
                click.echo(printable_line(line))
    if as_json:
        print_answer([result.to_json() for result in results], "", as_json=True)
    if invalid := [result for result in results if not result.valid]:
        raise InvalidFileError(
            f"{len(invalid)} of {len(results)} are invalid, first {invalid[0].path}",
            hint="fetch it again, or ask where it came from",
        )
