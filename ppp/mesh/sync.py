"""Synchronize with peers: read what the ledger has, receive what it lacks, store that; round by round.

The ledger is locked only while it is read and while a round is stored, never while a peer answers. So a peer that is
slow, or hostile, holds up no other command of this node, and its own time is limited by the `Fetcher`. What changed
meanwhile is checked again before anything is stored.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from ppp.ledger.batches import ledger_root, list_batch_ids
from ppp.ledger.left_out import LeftOutBatch, read_left_out, save_left_out
from ppp.ledger.peers import Peer, list_peers, mark_sync_failed, mark_synced
from ppp.ledger.quarantines import quarantined
from ppp.ledger.store import Store
from ppp.mesh.fetch import Fetcher, PeerConnection
from ppp.mesh.history import PeerStatements, accept_statements, fetch_statements, quarantine_error
from ppp.mesh.merge import merge
from ppp.mesh.older import OlderBatches, fetch_older
from ppp.mesh.receive import LocalState, Received, fetch_file_lists, receive_batches
from ppp.mesh.statement import Statement
from ppp.mesh.trust import trust_sources, trusted_nodes
from ppp.model.errors import PeerError, PPPError, RejectedDataError

#: How many rejected batches, and how many nodes that are not trusted, a report names.
MAX_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerAccess:
    """The ledger of a node: `open` opens it for writing and locks it while it is open; `own` is the node's id.

    `shipped` are the keys that the shipped list trusts.
    """

    open: Callable[[], AbstractContextManager[Store]]
    own: str
    shipped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrustedNode:
    """A node whose batches a peer publishes and this node leaves out; `quarantined` if that is why."""

    node: str
    batches: int
    quarantined: bool

    def __str__(self) -> str:
        """Return a line that names the key, and the command that changes it."""
        why, command = ("is quarantined", "clear") if self.quarantined else ("is not trusted", "trust")
        count = "1 batch" if self.batches == 1 else f"{self.batches:,} batches"
        return f"left out: {count} of node {self.node}, which {why} here; `ppp peer {command} {self.node}` changes that"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """The result of a synchronization: how many batches and records are new here.

    `untrusted_batches` counts the batches of nodes that are not trusted here, `rejected_batches` those that are invalid
    or not there; neither were merged. `untrusted` names at most `MAX_NAMED` of these nodes, those with most batches
    first. `rejections` are reasons why batches were rejected now, not at an earlier time. `agree` is true if both nodes
    now have the same set of records; if not, `older` counts the batches that are missing here because the peer no
    longer publishes them.
    """

    peer: Peer
    sequence: int
    batches: int
    records: int
    untrusted_batches: int
    agree: bool
    untrusted: tuple[UntrustedNode, ...] = ()
    rejected_batches: int = 0
    rejections: tuple[str, ...] = ()
    older: OlderBatches | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFailure:
    """A synchronization that failed after it had merged some records, which are kept."""

    peer: Peer
    error: PPPError
    records: int = 0


def sync_all(ledger: LedgerAccess, fetcher: Fetcher, *, now: int) -> list[SyncReport | SyncFailure]:
    """Synchronize with every peer in turn; if one fails or is rejected, go on with the others.

    Those that failed the last time come last, so that they take no time from the others.
    """
    with ledger.open() as store:
        peers = list_peers(store.db)
    peers.sort(key=lambda peer: peer.sync_error is not None)
    return [sync(ledger, peer, fetcher, now=now) for peer in peers]


def sync(ledger: LedgerAccess, peer: Peer, fetcher: Fetcher, *, now: int) -> SyncReport | SyncFailure:
    """Receive, verify and merge what a peer has and this ledger lacks; `now` is in epoch seconds.

    A failure is stored with the peer and returned. Raises `LedgerBusyError` and other errors of the ledger.
    """
    total = _Total()
    try:
        with fetcher.connect() as connection:
            return _sync(ledger, peer, connection, total, now)
    except (PeerError, RejectedDataError) as error:
        with ledger.open() as store:
            mark_sync_failed(store, peer.node, str(error))
        return SyncFailure(peer=peer, error=error, records=total.records)


class _Total:
    """What all rounds of a synchronization add up to, and the batches that they have tried."""

    def __init__(self) -> None:
        self.batches = 0
        self.records = 0
        self.untrusted: Counter[str] = Counter()
        self.rejections: list[str] = []
        self.unchanged: tuple[LeftOutBatch, ...] = ()
        self.tried: set[str] = set()
        self.older: OlderBatches | None = None

    def add(self, received: Received, merged: tuple[int, ...]) -> None:
        self.batches += len(merged)
        self.records += sum(merged)
        self.untrusted.update(each.node for each in received.untrusted if each.node)
        # Each round has all of them.
        self.unchanged = received.unchanged
        self.rejections += [batch.reason for batch in received.rejected]
        self.tried.update(batch.id for batch in received.batches)
        self.tried.update(batch.id for batch in received.rejected)
        self.tried.update(each.batch for each in received.untrusted)


def _sync(ledger: LedgerAccess, peer: Peer, connection: PeerConnection, total: _Total, now: int) -> SyncReport:
    with ledger.open() as store:
        before = _usable_peer(store, peer)
        everybody = {*trust_sources(store.db, ledger.own, ledger.shipped)}
    fetched = fetch_statements(connection, before, trusted=everybody)
    with ledger.open() as store:
        statement = _accept(store, ledger.own, before, fetched, now)
        local = _read_local_state(store, ledger, peer)
    files = fetch_file_lists(connection, peer.url, sha256=statement.files_sha256)
    while True:
        received = receive_batches(connection, files, local, tried=total.tried, now=now)
        with ledger.open() as store:
            merged = _store(store, ledger, peer, received, now)
            total.add(received, merged)
            if received.error is not None:
                raise received.error
            agree = ledger_root(store.db) == statement.root if received.complete else False
            local = _read_local_state(store, ledger, peer)
        if received.complete:
            break
    # Only where something is missing: the list may be long.
    total.older = None if agree else fetch_older(connection, files, local)
    with ledger.open() as store:
        return _finish(store, peer, statement, total, now)


def _read_local_state(store: Store, ledger: LedgerAccess, peer: Peer) -> LocalState:
    return LocalState(
        peer=_usable_peer(store, peer),
        trusted=trusted_nodes(store.db, ledger.own, ledger.shipped),
        batches=frozenset(list_batch_ids(store.db)),
        left_out=read_left_out(store.db, peer.node),
    )


def _usable_peer(store: Store, peer: Peer) -> Peer:
    """Return a peer as the ledger has it now; raise `PeerError` if it was removed meanwhile, or quarantined."""
    if quarantine := quarantined(store.db).get(peer.node):
        raise quarantine_error(quarantine)
    for stored in list_peers(store.db):
        if (stored.node, stored.url) == (peer.node, peer.url):
            return stored
    raise PeerError(f"{peer.url} is no longer a peer", hint="nothing more was stored")


def _accept(store: Store, own: str, before: Peer, fetched: PeerStatements, now: int) -> Statement:
    """Store a peer's statements if they are valid; `before` is the peer as it was when they were fetched."""
    stored = _usable_peer(store, before)
    if stored.sequence != before.sequence:
        raise PeerError(
            f"another command synchronized with {stored.url} at the same time", hint="synchronize again if you need to"
        )
    return accept_statements(store, stored, fetched, own=own, now=now)


def _store(store: Store, ledger: LedgerAccess, peer: Peer, received: Received, now: int) -> tuple[int, ...]:
    """Store a round of batches, and return how many records were new in each that was merged."""
    _usable_peer(store, peer)
    # Trust may have ended since the batches were verified.
    trusted = trusted_nodes(store.db, ledger.own, ledger.shipped)
    merged = tuple(merge(store, batch, now=now) for batch in received.batches if batch.node in trusted)
    final = (batch for batch in received.rejected if batch.is_final)
    rejected = (LeftOutBatch(batch=batch.id, node=None, reason=batch.reason, seen_at=now) for batch in final)
    save_left_out(store, peer.node, [*received.untrusted, *rejected])
    return merged


def _finish(store: Store, peer: Peer, statement: Statement, total: _Total, now: int) -> SyncReport:
    invalid = [each.reason for each in total.unchanged if each.node is None]
    reasons = [*total.rejections, *invalid]
    untrusted = total.untrusted + Counter(each.node for each in total.unchanged if each.node)
    held = quarantined(store.db)
    report = SyncReport(
        peer=peer,
        sequence=statement.sequence,
        batches=total.batches,
        records=total.records,
        untrusted_batches=untrusted.total(),
        untrusted=tuple(
            UntrustedNode(node=node, batches=count, quarantined=node in held)
            for node, count in sorted(untrusted.items(), key=lambda item: (-item[1], item[0]))[:MAX_NAMED]
        ),
        agree=ledger_root(store.db) == statement.root,
        rejected_batches=len(reasons),
        rejections=tuple(total.rejections[:MAX_NAMED]),
        older=total.older,
    )
    error = f"{len(reasons)} of its batches rejected; the first: {reasons[0]}" if reasons else None
    mark_synced(store, peer.node, now=now, error=error)
    return report
