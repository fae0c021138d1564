"""The commands about other nodes: this node's key, whose word is taken, fetching it, and telling of one's own."""

from typing import Final

import click

from ppp import console, pipeline
from ppp.cli.options import Options, common
from ppp.ledger.peers import list_peers
from ppp.ledger.schema import read_ledger
from ppp.mesh import node as nodes
from ppp.mesh import peer as peering
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.push import AnnouncementStatus
from ppp.mesh.sync import SyncFailure, SyncReport
from ppp.model.errors import RejectedDataError
from ppp.runner.context import open_node

NO_PEERS: Final = "no peers: pin one with `ppp peer add URL KEY`"


@click.group()
def node() -> None:
    """Make or show the key of this node."""


@node.command("init")
@common
@click.pass_obj
def node_init(options: Options) -> None:
    """Make this node's key."""
    _tell_node(options, nodes.create_key(options.context().config.data))


@node.command("show")
@common
@click.pass_obj
def node_show(options: Options) -> None:
    """Show this node's id and public key."""
    _tell_node(options, nodes.load_key(options.context().config.data))


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
    with open_node(context) as at_work:
        added = peering.add(at_work.store, at_work.key, url, key, now=context.now)
    options.print_answer({"node": added.node, "url": added.url}, f"pinned {added.node} at {added.url}")


@peer.command("list")
@common
@click.pass_obj
def peer_list(options: Options) -> None:
    """List the pinned nodes."""
    db = read_ledger(options.context().config.data)
    try:
        known = list_peers(db)
    finally:
        db.close()
    rows = [
        {"node": p.node, "url": p.url, "sequence": p.sequence, "synced_at": p.synced_at, "trouble": p.sync_error}
        for p in known
    ]
    lines = [f"{p.node}  {p.url}  {p.sync_error or ('synced' if p.synced_at else 'not synced yet')}" for p in known]
    options.print_answer(rows, "\n".join(lines) or NO_PEERS)


@peer.command("remove")
@common
@click.argument("which", metavar="URL-OR-KEY")
@click.pass_obj
def peer_remove(options: Options, *, which: str) -> None:
    """Unpin a node; the records that came from it stay."""
    with open_node(options.context()) as at_work:
        removed = peering.remove(at_work.store, which)
    options.print_answer({"node": removed.node, "url": removed.url}, f"unpinned {removed.node}")


@click.command()
@common
@click.pass_obj
def sync(options: Options) -> None:
    """Fetch, verify and merge what the peers have."""
    context = options.context()
    outcomes = pipeline.sync(context, HttpTransport(user_agent=context.config.user_agent))
    options.print_answer(
        [_sync_json(outcome) for outcome in outcomes], "\n".join(map(_sync_line, outcomes)) or NO_PEERS
    )
    failures = [outcome for outcome in outcomes if not isinstance(outcome, SyncReport)]
    for failure in failures:
        click.echo(console.printable_line(f"ppp: {failure.peer.url}: {failure.error}"), err=True)
    if failures:
        raise SystemExit(failures[0].error.exit_code)


@click.command()
@common
@click.pass_obj
def push(options: Options) -> None:
    """Tell the peers that listen what this node last published."""
    context = options.context()
    told = pipeline.push(context, HttpTransport(user_agent=context.config.user_agent))
    rows = [{"node": a.peer.node, "url": a.peer.url, "heard": str(a.status), "detail": a.detail} for a in told]
    options.print_answer(rows, "\n".join(f"{a.peer.url}: {a.status} ({a.detail})" for a in told))
    if any(a.status is AnnouncementStatus.REFUSED for a in told):
        raise SystemExit(RejectedDataError.exit_code)


def _sync_json(outcome: SyncReport | SyncFailure) -> dict[str, object]:
    peer = {"node": outcome.peer.node, "url": outcome.peer.url}
    if not isinstance(outcome, SyncReport):
        return {**peer, "trouble": str(outcome.error)}
    return {
        **peer,
        "batches": outcome.batches,
        "records": outcome.records,
        "left_out": outcome.untrusted_batches,
        "agree": outcome.agree,
    }


def _sync_line(outcome: SyncReport | SyncFailure) -> str:
    if not isinstance(outcome, SyncReport):
        return f"{outcome.peer.url}: not synced"
    left_out = (
        f", {outcome.untrusted_batches} batches of nodes not pinned here left out" if outcome.untrusted_batches else ""
    )
    agree = "the same set of records" if outcome.agree else "the sets of records differ"
    return f"{outcome.peer.url}: {outcome.records} new records in {outcome.batches} batches{left_out}; {agree}"


def _tell_node(options: Options, key: nodes.NodeKey) -> None:
    options.print_answer({"id": key.id, "key": key.id}, f"id and public key: {key.id}")
