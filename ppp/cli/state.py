"""`ppp state` and `ppp restore`: a node on machines that keep nothing between two runs."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click

from ppp import pipeline
from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.paths import NonEmptyPath
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.node import load_key
from ppp.mesh.peer import parse_url
from ppp.runner.context import Context
from ppp.state.fetch import fetch_snapshot, is_address
from ppp.state.folder import open_state
from ppp.state.manifest import Manifest
from ppp.state.published import COMPARE_DEADLINE_S, RECOVER_DEADLINE_S, Recovered
from ppp.storage_errors import translate_storage_errors

#: The folder of a snapshot from the network, until the ledger is made.
_TEMPORARY: Final = ".snapshot-"


@click.group()
def state() -> None:
    """Save this node's state, for a machine that keeps nothing."""


@state.command("save")
@click.argument("folder", type=NonEmptyPath())
@click.option(
    "--snapshot",
    type=NonEmptyPath(),
    help="Write all batches into this file (compressed if it ends with .gz): FOLDER then needs only newer ones.",
)
@data_option
@json_option
def save(*, folder: Path, snapshot: Path | None, data: Path | None, as_json: bool) -> None:
    """Save this node's state into FOLDER, signed.

    FOLDER holds the state from before, or nothing. An unchanged ledger leaves it as it is.
    """
    saved = pipeline.save_state(make_context(data), folder, snapshot=snapshot)
    manifest = saved.manifest
    answer = {**_described(manifest), "changed": saved.changed, "bytes": saved.size, "snapshot_due": saved.snapshot_due}
    due = "; it is large: save it with --snapshot FILE" if saved.snapshot_due and snapshot is None else ""
    done = "saved" if saved.changed else "unchanged:"
    text = f"{done} {_summary(manifest)}, {saved.size:,} bytes in {folder}{due}"
    print_answer(answer, text, as_json=as_json)


@state.command("show")
@click.argument("folder", type=NonEmptyPath())
@data_option
@json_option
def show(*, folder: Path, data: Path | None, as_json: bool) -> None:
    """Show what a saved state holds.

    If it starts from a snapshot, that is named.
    """
    config = make_context(data).config
    manifest = open_state(folder, own=load_key(config.data, config.node_seed).id)
    print_answer(_described(manifest), _summary(manifest), as_json=as_json)


@state.command("check")
@click.option("--begin-anew", is_flag=True, help="Go on after what is published, without the records that are missing.")
@data_option
@json_option
def check(*, begin_anew: bool, data: Path | None, as_json: bool) -> None:
    """Compare the ledger with the published one.

    The published one is what this node has at PPP_BASE_URL.

    A ledger that lacks statements of this node is an error: the next statement would contradict one that peers have
    seen. Where nothing is published, or the site does not answer, there is only a warning.
    """
    context = make_context(data)
    found = pipeline.compare_published(context, _transport(context, COMPARE_DEADLINE_S), begin_anew=begin_anew)
    if found.sequence is None:
        text = "not compared"
    elif found.added:
        text = f"the chain goes on after statement {found.sequence}; {found.added} of them were missing here"
    else:
        text = f"nothing is missing: statement {found.sequence} is published"
    print_answer({"published": found.sequence, "added": found.added}, text, as_json=as_json)


@click.command()
@click.argument("folder", type=NonEmptyPath(), required=False)
@click.option(
    "--snapshot",
    metavar="FILE-OR-URL",
    help="The snapshot that the state starts from: a file, an address, or the place of either, with a slash at its end."
    " Not needed if FOLDER has it.",
)
@click.option(
    "--from",
    "site",
    metavar="URL",
    help="Then fetch what this node has published there and the ledger lacks: batches, and its chain of statements.",
)
@data_option
@json_option
def restore(*, folder: Path | None, snapshot: str | None, site: str | None, data: Path | None, as_json: bool) -> None:
    """Replace the ledger by the one whose state is in FOLDER.

    The state must be signed by this node. A ledger that is newer than the state is kept. Without a state, or with one
    that is too old, --from gets back what was published; the queue is not published.
    """
    if folder is None and (site is None or snapshot):
        raise click.UsageError("name the FOLDER of a state, or with --from the address where this node publishes")
    context = make_context(data)
    answer: dict[str, object] = {}
    texts: list[str] = []
    if folder is not None:
        config = context.config
        manifest = open_state(folder, own=load_key(config.data, config.node_seed).id)
        with _snapshot_file(snapshot, manifest, config.data, config.user_agent) as file:
            restored = pipeline.restore_state(context, folder, snapshot=file)
        merged = f"; merged {restored.merged} batches of other nodes" if restored.merged else ""
        answer |= {**_described(restored.manifest), "merged_batches": restored.merged}
        texts.append(f"restored {_summary(restored.manifest)}{merged}")
    if site is not None:
        recovered = pipeline.restore_published(context, _transport(context, RECOVER_DEADLINE_S), parse_url(site))
        answer["from_site"] = asdict(recovered)
        texts.append(_recovered_text(recovered, site))
    print_answer(answer, "\n".join(texts), as_json=as_json)


def _transport(context: Context, deadline_s: float) -> HttpTransport:
    return HttpTransport(user_agent=context.config.user_agent, peer_s=deadline_s)


def _recovered_text(recovered: Recovered, site: str) -> str:
    got = f"{recovered.records:,} records, {recovered.batches} batches, {recovered.statements} statements from {site}"
    left_out = f"; left out {recovered.left_out} of nodes that are not trusted here" if recovered.left_out else ""
    older = f"; {recovered.older}" if recovered.older else ""
    return f"{got}{left_out}{'' if recovered.agree else '; the sets of records differ'}{older}"


@contextmanager
def _snapshot_file(given: str | None, manifest: Manifest, data: Path, user_agent: str) -> Iterator[Path | None]:
    """Yield the file of the snapshot that a state starts from; None if it is not `given`, or not needed."""
    base = manifest.snapshot
    if base is None or not given:
        yield None
        return
    place = f"{given}{base.file}" if given.endswith("/") else given
    if not is_address(place):
        yield Path(place)
        return
    with translate_storage_errors(data):
        data.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=data)
    with folder as name:
        yield fetch_snapshot(place, base, Path(name), user_agent=user_agent)


def _described(manifest: Manifest) -> dict[str, object]:
    base = manifest.snapshot
    return {
        "node": manifest.node,
        "sequence": manifest.sequence,
        "records": manifest.records,
        "root": manifest.root,
        "batches": len(manifest.batches),
        "snapshot": base
        and {"file": base.file, "bytes": base.size, "sha256": base.sha256, "batches": len(base.batches)},
    }


def _summary(manifest: Manifest) -> str:
    base = manifest.snapshot
    after = f" after the snapshot {base.file}" if base else ""
    return f"{manifest.records:,} records, {len(manifest.batches)} batches{after}, statement {manifest.sequence}"
