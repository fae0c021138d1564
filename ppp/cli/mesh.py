"""The commands about other nodes: this node's key, whose word is taken, fetching it, and telling of one's own."""

from typing import Final

import click

from ppp import console, pipeline
from ppp.cli.options import Options, common
from ppp.ledger.peers import peers
from ppp.ledger.schema import read_ledger
from ppp.mesh import node as nodes
from ppp.mesh import peer as peering
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.push import Heard
from ppp.mesh.sync import SyncFailure, SyncReport
from ppp.model.errors import RefusedError
from ppp.runner.context import node_at_work

NO_PEERS: Final = "no peers: pin one with `ppp peer add URL KEY`"


@click.group()
def node() -> None:
    """Make or show the key of this node."""


@node.command("init")
@common
@click.pass_obj
def node_init(options: Options) -> None:
    """Make this node's key."""
    _tell_node(options, nodes.init(options.context().config.data))


@node.command("show")
@common
@click.pass_obj
def node_show(options: Options) -> None:
    """Show this node's id and public key."""
    _tell_node(options, nodes.load(options.context().config.data))


@click.group()
def peer() -> None:
    """Say whose word is taken."""


@peer.command("add")
@common
@click.argument("url")
@click.argument("key")
@click.pass_obj
def peer_add(options: Options, *, url: str, key: str) -> None:
    """Pin the node with KEY, whose public folder is at URL."""
    context = options.context()
    with node_at_work(context) as at_work:
        added = peering.add(at_work.store, at_work.key, url, key, now=context.now)
    options.answer({"node": added.node, "url": added.url}, f"pinned {added.node} at {added.url}")


@peer.command("list")
@common
@click.pass_obj
def peer_list(options: Options) -> None:
    """List the pinned nodes."""
    db = read_ledger(options.context().config.data)
    try:
        known = peers(db)
    finally:
        db.close()
    rows = [
        {"node": p.node, "url": p.url, "sequence": p.sequence, "synced_at": p.synced_at, "trouble": p.trouble}
        for p in known
    ]
    lines = [f"{p.node}  {p.url}  {p.trouble or ('synced' if p.synced_at else 'not synced yet')}" for p in known]
    options.answer(rows, "\n".join(lines) or NO_PEERS)


@peer.command("remove")
@common
@click.argument("which", metavar="URL-OR-KEY")
@click.pass_obj
def peer_remove(options: Options, *, which: str) -> None:
    """Unpin a node; the records that came from it stay."""
    with node_at_work(options.context()) as at_work:
        removed = peering.remove(at_work.store, which)
    options.answer({"node": removed.node, "url": removed.url}, f"unpinned {removed.node}")


@click.command()
@common
@click.pass_obj
def sync(options: Options) -> None:
    """Fetch, verify and merge what the peers have."""
    context = options.context()
    outcomes = pipeline.sync(context, HttpTransport(user_agent=context.config.user_agent))
    options.answer([_sync_json(outcome) for outcome in outcomes], "\n".join(map(_sync_line, outcomes)) or NO_PEERS)
    failures = [outcome for outcome in outcomes if not isinstance(outcome, SyncReport)]
    for failure in failures:
        click.echo(console.line(f"ppp: {failure.peer.url}: {failure.error}"), err=True)
    if failures:
        raise SystemExit(failures[0].error.exit_code)


@click.command()
@common
@click.pass_obj
def push(options: Options) -> None:
    """Tell the peers that listen what this node last published."""
    context = options.context()
    told = pipeline.push(context, HttpTransport(user_agent=context.config.user_agent))
    rows = [{"node": a.peer.node, "url": a.peer.url, "heard": str(a.heard), "detail": a.detail} for a in told]
    options.answer(rows, "\n".join(f"{a.peer.url}: {a.heard} ({a.detail})" for a in told))
    if any(a.heard is Heard.REFUSED for a in told):
        raise SystemExit(RefusedError.exit_code)


def _sync_json(outcome: SyncReport | SyncFailure) -> dict[str, object]:
    peer = {"node": outcome.peer.node, "url": outcome.peer.url}
    if not isinstance(outcome, SyncReport):
        return {**peer, "trouble": str(outcome.error)}
    return {
        **peer,
        "batches": outcome.batches,
        "records": outcome.records,
        "left_out": outcome.left_out,
        "agree": outcome.agree,
    }


def _sync_line(outcome: SyncReport | SyncFailure) -> str:
    if not isinstance(outcome, SyncReport):
        return f"{outcome.peer.url}: not synced"
    left_out = f", {outcome.left_out} batches of nodes not pinned here left out" if outcome.left_out else ""
    agree = "the same set of records" if outcome.agree else "the sets of records differ"
    return f"{outcome.peer.url}: {outcome.records} new records in {outcome.batches} batches{left_out}; {agree}"


def _tell_node(options: Options, key: nodes.NodeKey) -> None:
    options.answer({"id": key.id, "key": key.id}, f"id and public key: {key.id}")
