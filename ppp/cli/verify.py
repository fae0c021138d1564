"""`ppp verify`: what is judged, and how it is told; an exit code of its own where something does not hold."""

import re
from pathlib import Path
from typing import Final

import click

from ppp import console
from ppp.cli.options import Options, common
from ppp.mesh.node import is_node_id
from ppp.model.errors import InvalidFileError
from ppp.verify.examine import VerifyOptions, examine
from ppp.verify.result import Verification

#: A word for the eye beside the word for the mind.
WORDS: Final = {True: "✓ holds", False: "✗ does not hold"}
_SHA256: Final = re.compile("[0-9a-f]{64}")


@click.command()
@common
@click.argument("files", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--sha256", help="What the one FILE must hash to, where nothing beside it says so.")
@click.option("--node", "nodes", multiple=True, help="Take only this node's signature (may be repeated).")
@click.pass_obj
def verify(options: Options, *, files: tuple[Path, ...], sha256: str | None, nodes: tuple[str, ...]) -> None:
    """Say whether published files hold: snapshots, current.json, files.json, statements, batches, a ledger, pages.

    A folder is judged in all its parts. Nothing is changed, and no file needs to be trusted.
    """
    if sha256 is not None and (len(files) != 1 or not _SHA256.fullmatch(sha256.lower())):
        raise click.UsageError("--sha256 takes 64 hex digits, and one FILE")
    if unknown := [node for node in nodes if not is_node_id(node)]:
        raise click.UsageError(f"--node takes a public key of 64 hex digits, not {unknown[0]!r}")
    asked = VerifyOptions(now=options.context().now, sha256=sha256 and sha256.lower(), nodes=frozenset(nodes))
    found: list[Verification] = []
    for path in files:
        for each in examine(path, asked):
            found.append(each)
            if not options.json:
                # A file's name may hold line breaks: it must not pass for another file that holds.
                options.print_answer(None, console.printable_line(f"{WORDS[each.valid]}  {each.path}: {each.message}"))
    if options.json:
        options.print_answer([each.to_json() for each in found], "")
    if bad := [each for each in found if not each.valid]:
        raise InvalidFileError(
            f"{len(bad)} of {len(found)} do not hold, first {bad[0].path}",
            hint="fetch it again, or ask who gave it to you",
        )
