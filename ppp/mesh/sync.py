"""Taking over what a peer holds: statement, lists of files, missing batches; each verified before it is looked into.

What is refused leaves nothing behind but the reason; what came before it and was good stays.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from ppp.ledger.batches import has_batch, ledger_root
from ppp.ledger.peers import Peer, list_peers, mark_sync_failed, mark_synced, save_peer_statement
from ppp.ledger.statements import Fork, add_forks
from ppp.ledger.store import Store
from ppp.mesh.batch import MAX_BATCH_BYTES, Batch, UntrustedBatch, decompress_batch, verify_batch
from ppp.mesh.fetch import Fetcher
from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, batch_ids, batch_lists, read_file_list, read_files
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.mesh.statement import (
    MAX_STATEMENT_BYTES,
    ForkedError,
    LastSeen,
    Statement,
    check_expiry,
    check_sequence,
    open_envelope,
)
from ppp.mesh.untrusted import refuse
from ppp.model.errors import PeerError, PPPError, RejectedDataError
from ppp.model.record import sha256_hex

#: A signature is 128 hex digits and a line's end.
SIGNATURE_BYTES: Final = 129


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a synchronisation brought: batches and records that are new here, and batches of nodes nobody pinned here.

    `agree` says whether both nodes now hold the same set of records.
    """

    peer: Peer
    sequence: int
    batches: int
    records: int
    untrusted_batches: int
    agree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFailure:
    """A synchronisation that ended early; what it merged before stays."""

    peer: Peer
    error: PPPError


def sync_all(store: Store, key: NodeKey, fetch: Fetcher, *, now: int) -> list[SyncReport | SyncFailure]:
    """Synchronise with every peer in turn; a peer that fails or is refused does not keep the others from it."""
    outcomes: list[SyncReport | SyncFailure] = []
    for peer in list_peers(store.db):
        try:
            outcomes.append(sync(store, key, peer, fetch, now=now))
        except (PeerError, RejectedDataError) as error:
            outcomes.append(SyncFailure(peer=peer, error=error))
    return outcomes


def sync(store: Store, key: NodeKey, peer: Peer, fetch: Fetcher, *, now: int) -> SyncReport:
    """Fetch, verify and merge what a peer has and this ledger lacks; `now` in epoch seconds.

    Raises `PeerError` (cannot be had) or `RefusedError` (must not be had) and notes the reason with the peer.
    """
    try:
        report = _sync(store, key, peer, fetch, now)
    except (PeerError, RejectedDataError) as error:
        mark_sync_failed(store, peer.node, str(error))
        raise
    mark_synced(store, peer.node, now=now)
    return report


def _sync(store: Store, key: NodeKey, peer: Peer, fetch: Fetcher, now: int) -> SyncReport:
    statement = _statement(store, peer, fetch, now)
    files = read_files(fetch.get(f"{peer.url}files.json", max_bytes=MAX_FILES_BYTES), sha256=statement.files_sha256)
    for listed in batch_lists(files):
        files |= read_file_list(fetch.get(f"{peer.url}{listed.path}", max_bytes=listed.size), listed)
    accepted = {key.id, *(other.node for other in list_peers(store.db))}
    batches = records = left_out = 0
    for batch_id in batch_ids(files):
        if has_batch(store.db, batch_id):
            continue
        match _batch(batch_id, files, peer, fetch, accepted=accepted, now=now):
            case UntrustedBatch():
                left_out += 1
            case Batch() as batch:
                records += merge(store, batch)
                batches += 1
    return SyncReport(
        peer=peer,
        sequence=statement.sequence,
        batches=batches,
        records=records,
        untrusted_batches=left_out,
        agree=ledger_root(store.db) == statement.root,
    )


def _statement(store: Store, peer: Peer, fetch: Fetcher, now: int) -> Statement:
    data = fetch.get(f"{peer.url}statement.json", max_bytes=MAX_STATEMENT_BYTES)
    statement = open_envelope(data, trusted={peer.node})
    seen = None
    if peer.sequence is not None and peer.digest is not None:
        seen = LastSeen(sequence=peer.sequence, digest=peer.digest)
    text = data.decode()
    try:
        check_sequence(statement, last_seen=seen)
    except ForkedError:
        add_forks(store, _evidence(peer, statement, text, now))
        raise
    check_expiry(statement, now=now)
    save_peer_statement(store, peer.node, sequence=statement.sequence, digest=statement.digest, text=text)
    return statement


def _evidence(peer: Peer, statement: Statement, text: str, now: int) -> tuple[Fork, ...]:
    both = ((peer.digest or "", peer.statement or ""), (statement.digest, text))
    return tuple(
        Fork(node=peer.node, sequence=statement.sequence, digest=digest, text=words, seen_at=now)
        for digest, words in both
    )


def _batch(
    batch_id: str,
    files: dict[str, PublishedFile],
    peer: Peer,
    fetch: Fetcher,
    *,
    accepted: Container[str],
    now: int,
) -> Batch | UntrustedBatch:
    path, beside = f"batches/{batch_id}.json.gz", f"batches/{batch_id}.sig"
    if files[path].size > MAX_BATCH_BYTES:
        refuse(path, f"it is larger than {MAX_BATCH_BYTES:,} bytes")
    data = fetch.get(f"{peer.url}{path}", max_bytes=files[path].size)
    signature = fetch.get(f"{peer.url}{beside}", max_bytes=SIGNATURE_BYTES)
    for name, held in ((path, data), (beside, signature)):
        if sha256_hex(held) != files[name].sha256:
            refuse(name, "it is not the file that the peer's statement vouches for")
    data = decompress_batch(data, batch_id=batch_id)
    return verify_batch(
        data, signature.decode("ascii", "replace").strip(), batch_id=batch_id, trusted=accepted, now=now
    )
