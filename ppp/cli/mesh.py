"""`ppp node` and `ppp peer`: this node's key; which nodes are trusted, and the exchange of records with them."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from ppp import pipeline
from ppp.cli.github_setup import read_origin, setup_steps
from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.results import find_node_id
from ppp.console import format_time
from ppp.ledger.quarantines import Quarantine, list_quarantines, quarantined
from ppp.ledger.schema import read_ledger
from ppp.ledger.statements import Fork, list_forks
from ppp.mesh import history
from ppp.mesh import node as nodes
from ppp.mesh import peer as trusted
from ppp.mesh.fetch import PEER_DEADLINE_S, HttpTransport
from ppp.mesh.history import quarantine_error
from ppp.mesh.push import AnnouncementStatus
from ppp.mesh.statement import ForkedError
from ppp.mesh.sync import SyncFailure, SyncReport
from ppp.mesh.trust import TRUSTED_KEYS_NAME, shipped_keys, trust_sources
from ppp.model.errors import RejectedDataError
from ppp.model.printable import printable_line
from ppp.runner.context import open_node

NO_PEERS: Final = "no peers: add one with `ppp peer add URL`"
NO_EVIDENCE: Final = "no node has contradicted itself, as far as this one has seen"


@click.command("init")
@click.option("--github", is_flag=True, help="Print what to click, or run, so that a fork on GitHub is this node.")
@data_option
@json_option
def node_init(*, github: bool, data: Path | None, as_json: bool) -> None:
    """Create this node's key.

    With --github, a key that exists is kept.
    """
    config = make_context(data).config
    if github:
        key, _ = nodes.load_or_create_key(config.data, config.node_seed)
        _print_setup(key, None if config.node_seed else config.data / nodes.KEY_NAME, as_json=as_json)
        return
    _print_node(nodes.create_key(config.data, config.node_seed), as_json=as_json)


@click.command("show")
@data_option
@json_option
def node_show(*, data: Path | None, as_json: bool) -> None:
    """Show this node's id and public key."""
    config = make_context(data).config
    _print_node(nodes.load_key(config.data, config.node_seed), as_json=as_json)


def _print_setup(key: nodes.NodeKey, key_file: Path | None, *, as_json: bool) -> None:
    steps = setup_steps(read_origin(Path.cwd()), key_file)
    answer = {"id": key.id, "key": key.id, "steps": [dataclasses.asdict(step) for step in steps]}
    lines = [line for number, step in enumerate(steps, 1) for line in step.lines(number)]
    kept = f"keep a copy of {key_file}, where nobody else can read it, and never commit it: " if key_file else ""
    lost = f"{kept}whoever has the key can sign as this node, and without it this node cannot go on"
    print_answer(answer, "\n".join([f"id and public key: {key.id}", *lines, lost]), as_json=as_json)


def _print_node(key: nodes.NodeKey, *, as_json: bool) -> None:
    print_answer({"id": key.id, "key": key.id}, f"id and public key: {key.id}", as_json=as_json)


@click.command("evidence")
@click.argument("which", metavar="[URL-OR-KEY]", required=False)
@data_option
@json_option
def peer_evidence(*, which: str | None, data: Path | None, as_json: bool) -> None:
    """Show how nodes contradicted themselves.

    The JSON has the signed statements, by which anybody can verify it.
    """
    with closing(read_ledger(make_context(data).config.data)) as db:
        node = which and trusted.find_node(db, which)
        found, forks = list_quarantines(db, node), list_forks(db, node)
    rows = {
        "contradictions": [dataclasses.asdict(each) for each in found],
        "statements": [
            {
                "node": f.node,
                "sequence": f.sequence,
                "sha256": f.digest,
                "seen_at": f.seen_at,
                "envelope": json.loads(f.text),
            }
            for f in forks
        ],
    }
    lines = [line for each in found for line in _evidence_lines(each, forks)]
    print_answer(rows, "\n".join(lines) or NO_EVIDENCE, as_json=as_json)


def _evidence_lines(quarantine: Quarantine, forks: Sequence[Fork]) -> Iterator[str]:
    end = f"cleared {format_time(quarantine.cleared_at)}" if quarantine.cleared_at else "quarantined"
    shown = "" if quarantine.source == quarantine.node else f", shown by node {quarantine.source}"
    yield f"node {quarantine.node}: {quarantine.reason}"
    yield f"  found {format_time(quarantine.since)}{shown}; {end}"
    for fork in forks:
        if fork.node == quarantine.node and fork.sequence in {quarantine.sequence - 1, quarantine.sequence}:
            yield f"  statement {fork.sequence}, sha256 {fork.digest}"


@click.command("clear")
@click.argument("which", metavar="URL-OR-KEY")
@data_option
@json_option
def peer_clear(*, which: str, data: Path | None, as_json: bool) -> None:
    """End a peer's quarantine.

    Its next statement is taken as its first one. The evidence stays. Do this only if you know from its operator why the
    node contradicted itself.
    """
    context = make_context(data)
    with open_node(context) as ours:
        cleared = history.clear(ours.store, trusted.find_node(ours.store.db, which), now=context.now)
    answer = {"node": cleared.node, "reason": cleared.reason, "cleared_at": context.now}
    print_answer(answer, f"cleared: {cleared.node} ({cleared.reason})", as_json=as_json)


@click.command("remove")
@click.argument("which", metavar="URL-OR-KEY")
@data_option
@json_option
def peer_remove(*, which: str, data: Path | None, as_json: bool) -> None:
    """Stop trusting a peer; the records that came from it stay."""
    with open_node(make_context(data)) as ours:
        removed = trusted.remove(ours.store, which)
    text = f"no longer trusted: {removed.node}"
    if removed.node in (shipped := shipped_keys()):
        text = (
            f"no longer a peer: {removed.node}, but {TRUSTED_KEYS_NAME} trusts it: `ppp peer distrust {removed.node}`"
        )
    answer = {"node": removed.node, "url": removed.url, "trusted": removed.node in shipped}
    print_answer(answer, text, as_json=as_json)


@click.command("sync")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    default=PEER_DEADLINE_S,
    show_default=True,
    help="How many seconds one peer may take; the next synchronization goes on from there.",
)
@data_option
@json_option
def peer_sync(*, deadline: float, data: Path | None, as_json: bool) -> None:
    """Fetch, verify and merge what all peers publish."""
    context = make_context(data)
    outcomes = pipeline.sync(context, HttpTransport(user_agent=context.config.user_agent, peer_s=deadline))
    lines = [line for outcome in outcomes for line in _sync_lines(outcome)]
    print_answer([_sync_json(outcome) for outcome in outcomes], "\n".join(lines) or NO_PEERS, as_json=as_json)
    problems = [(outcome.peer.url, *problem) for outcome in outcomes for problem in _problems(outcome)]
    with closing(read_ledger(context.config.data)) as db:
        # Also of this node, whose key somebody else may have; not of nodes that are trusted no more.
        concerned = trust_sources(db, find_node_id(context.config) or "", shipped_keys())
        held = [quarantine for node, quarantine in quarantined(db).items() if node in concerned]
    for url, reason, _ in problems:
        click.echo(printable_line(f"ppp: {url}: {reason}"), err=True)
    for quarantine in held:
        click.echo(printable_line(f"ppp: {quarantine_error(quarantine)}"), err=True)
    codes = [code for _, _, code in problems] + [ForkedError.exit_code for _ in held]
    if codes:
        raise SystemExit(codes[0])


def _problems(outcome: SyncReport | SyncFailure) -> list[tuple[str, int]]:
    """Return what went wrong now, each with its exit code; but not forks, which are told for all nodes."""
    if isinstance(outcome, SyncReport):
        return [(reason, RejectedDataError.exit_code) for reason in outcome.rejections]
    return [] if isinstance(outcome.error, ForkedError) else [(str(outcome.error), outcome.error.exit_code)]


@click.command("push")
@data_option
@json_option
def peer_push(*, data: Path | None, as_json: bool) -> None:
    """Announce this node's newest statement to all peers."""
    context = make_context(data)
    announcements = pipeline.push(context, HttpTransport(user_agent=context.config.user_agent))
    rows = [
        {"node": a.peer.node, "url": a.peer.url, "status": str(a.status), "detail": a.detail} for a in announcements
    ]
    print_answer(rows, "\n".join(f"{a.peer.url}: {a.status} ({a.detail})" for a in announcements), as_json=as_json)
    if any(a.status is AnnouncementStatus.REFUSED for a in announcements):
        raise SystemExit(RejectedDataError.exit_code)


def _sync_json(outcome: SyncReport | SyncFailure) -> dict[str, object]:
    peer = {"node": outcome.peer.node, "url": outcome.peer.url}
    if isinstance(outcome, SyncFailure):
        return {**peer, "error": str(outcome.error)}
    return {
        **peer,
        "batches": outcome.batches,
        "records": outcome.records,
        "untrusted_batches": outcome.untrusted_batches,
        "untrusted": [dataclasses.asdict(each) for each in outcome.untrusted],
        "rejected_batches": outcome.rejected_batches,
        "agree": outcome.agree,
        "older": outcome.older and dataclasses.asdict(outcome.older),
    }


def _sync_lines(outcome: SyncReport | SyncFailure) -> Iterator[str]:
    if isinstance(outcome, SyncFailure):
        yield f"{outcome.peer.url}: not synced"
        return
    left_out = f", {outcome.untrusted_batches} batches left out" if outcome.untrusted_batches else ""
    left_out += f", {outcome.rejected_batches} batches rejected" if outcome.rejected_batches else ""
    agree = "the same set of records" if outcome.agree else "the sets of records differ"
    yield f"{outcome.peer.url}: {outcome.records} new records in {outcome.batches} batches{left_out}; {agree}"
    yield from (f"  {each}" for each in outcome.untrusted)
    if outcome.older:
        yield f"  {outcome.older}"
