"""`ppp attest`: a verdict as a signed statement that other programs read, and the check of such a statement."""

import hashlib
from contextlib import closing
from io import BufferedReader
from pathlib import Path

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.cli.results import find_node_id
from ppp.cli.stored import TARGET_METAVAR, find_stored
from ppp.durability import replace_file
from ppp.ledger.schema import LEDGER_NAME, read_ledger
from ppp.mesh.attestation import MAX_ENVELOPE_BYTES, Attestation, attest, read_attestation
from ppp.mesh.node import is_node_id, load_key
from ppp.mesh.trust import shipped_keys, trusted_nodes
from ppp.model.errors import InvalidAttestationError
from ppp.runner.context import Context
from ppp.storage_errors import translate_storage_errors


def _parse_keys(_ctx: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys of nodes, as 64 hex digits each."""
    keys = tuple(text.strip().lower() for text in texts)
    for key in keys:
        if not is_node_id(key):
            raise click.BadParameter(f"{key[:80]!r} is not a key: a key is 64 hex digits")
    return keys


@click.command()
@click.argument("target", metavar=TARGET_METAVAR)
@click.option("-e", "--env", "environment", metavar="ENVIRONMENT", help="The environment of PACKAGE==VERSION.")
@click.option("-o", "--output", type=NonEmptyPath(), help="The file to write (standard output if there is none).")
@data_option
def sign(*, target: str, environment: str | None, output: Path | None, data: Path | None) -> None:
    """Sign a verdict of this node as an in-toto statement.

    It is a DSSE envelope around a statement with the predicate test-result; its subject is the file that was checked.
    """
    context = make_context(data)
    found = find_stored(context, target, environment)
    envelope = attest(found.record, load_key(context.config.data, context.config.node_seed))
    if output is None:
        click.echo(envelope, nl=False)
    else:
        with translate_storage_errors(output):
            replace_file(output, envelope)


@click.command()
@click.argument("path", metavar="ATTESTATION", type=NonEmptyPath())
@click.option("--key", "keys", multiple=True, callback=_parse_keys, help="Trust only this node (may be repeated).")
@click.option("--file", "subject", type=NonEmptyPath(), help="The file that it must be about.")
@data_option
@json_option
def verify(*, path: Path, keys: tuple[str, ...], subject: Path | None, data: Path | None, as_json: bool) -> None:
    """Check an attestation, and show what it says.

    Without --key it must be signed by this node or by one that it trusts: see `ppp peer list`.
    """
    context = make_context(data)
    with _opened(path) as file:
        content = file.read(MAX_ENVELOPE_BYTES + 1)
    found = read_attestation(content, keys or _trusted(context))
    if subject:
        _check_subject(found, subject)
    text = f"valid: node {found.node} says {found.result} of {found.filename} (sha256 {found.sha256})"
    print_answer({"node": found.node, "statement": found.statement}, text, as_json=as_json)


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidAttestationError(f"{path} cannot be read: {error.strerror}", hint="name another file") from error


def _trusted(context: Context) -> frozenset[str]:
    config = context.config
    if not (config.data / LEDGER_NAME).exists():
        return shipped_keys()
    with closing(read_ledger(config.data)) as db:
        return trusted_nodes(db, find_node_id(config) or "", shipped_keys())


def _check_subject(found: Attestation, subject: Path) -> None:
    with _opened(subject) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != found.sha256:
        raise InvalidAttestationError(
            f"{subject} has the sha256 {digest}, and the attestation is about {found.sha256}",
            hint="it is about another file, or the file was changed",
        )
