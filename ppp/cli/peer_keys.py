"""`ppp peer add`, `list`, `trust` and `distrust`: which keys are trusted, and the addresses of peers."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from ppp.cli.options import data_option, json_option, make_context, print_answer
from ppp.cli.results import find_node_id
from ppp.console import format_time
from ppp.ledger.peers import Peer, list_peers
from ppp.ledger.quarantines import Quarantine, quarantined
from ppp.ledger.schema import read_ledger
from ppp.ledger.trust_decisions import trust_decisions
from ppp.mesh import peer as peers
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.published_keys import EXAMINE_DEADLINE_S, PublishedKey, PublishedKeys, find_keys
from ppp.mesh.trust import TrustSource, shipped_keys, trust_sources
from ppp.model.errors import PeerError
from ppp.model.printable import printable_line
from ppp.runner.context import Context, open_node

#: How many keys of one address are shown and asked about: a node can list batches of any number.
MAX_SHOWN: Final = 20
NO_KEYS: Final = "no peers: add one with `ppp peer add URL`"


@click.command("add")
@click.argument("url")
@click.option("--key", help="The key of the node that publishes there: then nothing is fetched, and nobody asked.")
@data_option
@json_option
def peer_add(*, url: str, key: str | None, data: Path | None, as_json: bool) -> None:
    """Trust the node that publishes at URL, and fetch from there.

    Without --key, it shows whose batches are published there, and asks about each key that is not trusted yet. Whoever
    controls the address, or the way to it, can show any key: compare them with what their operators tell you.
    """
    context = make_context(data)
    if key is None:
        _add_found(context, peers.parse_url(url), as_json=as_json)
        return
    with open_node(context) as ours:
        added = peers.add(ours.store, ours.key, url, key, now=context.now)
    _print_added(added, [], as_json=as_json)


def _print_added(added: Peer, others: list[str], *, as_json: bool) -> None:
    lines = [
        f"trusted {added.node} at {added.url}",
        *(f"trusted {node}, whoever serves its batches" for node in others),
    ]
    answer = {"node": added.node, "url": added.url, "trusted": [added.node, *others]}
    print_answer(answer, "\n".join(lines), as_json=as_json)


def _add_found(context: Context, url: str, *, as_json: bool) -> None:
    """Show the keys at a URL, and trust those that a person confirms on a terminal."""
    with open_node(context) as ours:
        own = ours.key.id
        known = trust_sources(ours.store.db, own, shipped_keys())
        others = [peer.node for peer in list_peers(ours.store.db) if peer.url == url]
    with HttpTransport(user_agent=context.config.user_agent, peer_s=EXAMINE_DEADLINE_S).connect() as connection:
        found = find_keys(connection, url)
    if found.node == own:
        raise PeerError(f"this node itself publishes at {url}", hint="use the address of another node")
    if others == [found.node]:
        raise PeerError(f"node {found.node} is already a peer, at {url}", hint="`ppp peer sync` fetches from it")
    # Also with --json, whose one answer is the outcome.
    click.echo("\n".join(map(printable_line, _found_lines(found, known, now=context.now))), err=as_json)
    if not sys.stdin.isatty():
        raise PeerError(
            f"nobody is here to confirm the key {found.node}",
            hint=f"if you trust it: `ppp peer add {url} --key {found.node}`",
        )
    confirmed = list(_confirmed(found, known))
    with open_node(context) as ours:
        added = peers.add(ours.store, ours.key, url, found.node, now=context.now)
        for node in confirmed:
            peers.trust(ours.store, ours.key, node, now=context.now)
    _print_added(added, confirmed, as_json=as_json)


def _confirmed(found: PublishedKeys, known: Iterable[str]) -> Iterator[str]:
    """Ask about the node that publishes, then about each other key that is not known; yield those that are trusted."""
    if not click.confirm(f"Trust {found.node}, and fetch from {found.url}?", err=True):
        raise PeerError(f"{found.node} was not confirmed", hint="nothing has changed")
    for key in found.keys[1:MAX_SHOWN]:
        if key.node not in known and key.batches and click.confirm(f"Trust {key.node} too?", err=True):
            yield key.node


def _found_lines(found: PublishedKeys, known: dict[str, TrustSource], *, now: int) -> Iterator[str]:
    statement = found.statement
    expired = ", expired since" if statement.expires_at <= now else ""
    yield f"{found.url} is published by node {found.node}"
    yield f"  its statement {statement.sequence}, signed by it on {format_time(statement.issued_at)}{expired}, lists:"
    for key in found.keys[:MAX_SHOWN]:
        yield f"  {key.node}  {_held(key)}; {_trust_of(key.node, found, known)}"
    if len(found.keys) > MAX_SHOWN:
        yield f"  and {len(found.keys) - MAX_SHOWN} more keys"
    if found.examined < found.listed:
        why = f": {found.failure}" if found.failure else ""
        yield f"  {found.examined} of {found.listed} batches were looked at{why}"


def _held(key: PublishedKey) -> str:
    held = (
        f"{key.records:,} records, signed by it in {key.batches:,} batches" if key.batches else "nothing signed by it"
    )
    if key.newest is not None:
        held += f", the newest of {format_time(key.newest)}"
    if key.invalid:
        held += f"; NOT signed by it, but in its name: {key.invalid:,} batches"
    return held


def _trust_of(node: str, found: PublishedKeys, known: dict[str, TrustSource]) -> str:
    if node in known:
        return f"trusted already ({known[node]})"
    return "publishes here, not trusted yet" if node == found.node else "not trusted"


@click.command("trust")
@click.argument("key")
@data_option
@json_option
def peer_trust(*, key: str, data: Path | None, as_json: bool) -> None:
    """Trust the node with KEY, whoever serves its batches."""
    context = make_context(data)
    with open_node(context) as ours:
        node = peers.trust(ours.store, ours.key, key, now=context.now)
    text = f"trusted {node}: `ppp peer sync` merges its batches, where a peer publishes them"
    print_answer({"node": node, "trusted": True}, text, as_json=as_json)


@click.command("distrust")
@click.argument("which", metavar="URL-OR-KEY")
@data_option
@json_option
def peer_distrust(*, which: str, data: Path | None, as_json: bool) -> None:
    """Trust a node no more, whatever the shipped list says.

    Its address is forgotten; the records that came from it stay.
    """
    context = make_context(data)
    with open_node(context) as ours:
        node = peers.distrust(ours.store, ours.key, which, now=context.now)
    text = f"not trusted: {node}; `ppp peer trust {node}` changes that"
    print_answer({"node": node, "trusted": False}, text, as_json=as_json)


@click.command("list")
@data_option
@json_option
def peer_list(*, data: Path | None, as_json: bool) -> None:
    """List the keys that are trusted, and why; and distrusted ones."""
    config = make_context(data).config
    own = find_node_id(config) or ""
    with closing(read_ledger(config.data)) as db:
        known, held = list_peers(db), quarantined(db)
        sources = trust_sources(db, own, shipped_keys())
        refused = [node for node, trusted in trust_decisions(db).items() if not trusted]
    rows = [_peer_json(p, sources[p.node], held.get(p.node)) for p in known]
    lines = [f"{p.node}  {p.url}  {_peer_state(p, held.get(p.node))}" for p in known]
    addressed = {p.node for p in known}
    for node, source in sources.items():
        if node != own and node not in addressed:
            rows.append(_peer_json(Peer(node=node, url="", added_at=0), source, held.get(node)))
            lines.append(f"{node}  no address  {_key_state(source, held.get(node))}")
    for node in refused:
        rows.append(_peer_json(Peer(node=node, url="", added_at=0), None, held.get(node)))
        lines.append(f"{node}  no address  not trusted: `ppp peer trust {node}` changes that")
    print_answer(rows, "\n".join(lines) or NO_KEYS, as_json=as_json)


def _peer_json(peer: Peer, source: TrustSource | None, quarantine: Quarantine | None) -> dict[str, object]:
    return {
        "node": peer.node,
        "url": peer.url or None,
        "trusted": source and str(source),
        "sequence": peer.sequence,
        "synced_at": peer.synced_at,
        "error": peer.sync_error,
        "quarantined_since": quarantine and quarantine.since,
    }


def _peer_state(peer: Peer, quarantine: Quarantine | None) -> str:
    if quarantine:
        return _quarantine_state(quarantine)
    return peer.sync_error or ("synced" if peer.synced_at else "not synced yet")


def _key_state(source: TrustSource, quarantine: Quarantine | None) -> str:
    return _quarantine_state(quarantine) if quarantine else f"trusted {source}"


def _quarantine_state(quarantine: Quarantine) -> str:
    return f"quarantined since {format_time(quarantine.since)}: {quarantine.reason}"
