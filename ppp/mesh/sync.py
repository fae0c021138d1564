"""Synchronise with a peer: fetch its statement, its lists of files and the batches that are missing here.

Each file is verified before anything in it is used. Of a file that is rejected only the reason is stored; valid batches
that were merged before it are kept.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from ppp.ledger.batches import has_batch, ledger_root
from ppp.ledger.peers import Peer, list_peers, mark_sync_failed, mark_synced
from ppp.ledger.quarantines import quarantined
from ppp.ledger.store import Store
from ppp.mesh.batch import MAX_BATCH_BYTES, Batch, UntrustedBatch, decompress_batch, verify_batch
from ppp.mesh.fetch import Fetcher, PeerConnection
from ppp.mesh.files import MAX_FILES_BYTES, PublishedFile, batch_ids, batch_lists, read_file_list, read_files
from ppp.mesh.history import accept_statements, fetch_statements, quarantine_error, trusted_nodes
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.mesh.untrusted import reject
from ppp.model.errors import PeerError, PPPError, RejectedDataError
from ppp.model.record import sha256_hex

#: A signature is 128 hex digits and a line feed.
SIGNATURE_BYTES: Final = 129


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """The result of a synchronisation: how many batches and records are new here.

    `untrusted_batches` counts the batches of nodes that are not trusted here, which were not merged. `agree` is true if
    both nodes now have the same set of records.
    """

    peer: Peer
    sequence: int
    batches: int
    records: int
    untrusted_batches: int
    agree: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncFailure:
    """A synchronisation that failed; what it had merged before is kept."""

    peer: Peer
    error: PPPError


def sync_all(store: Store, key: NodeKey, fetcher: Fetcher, *, now: int) -> list[SyncReport | SyncFailure]:
    """Synchronise with every peer in turn; if one fails or is rejected, go on with the others."""
    outcomes: list[SyncReport | SyncFailure] = []
    for peer in list_peers(store.db):
        try:
            outcomes.append(sync(store, key, peer, fetcher, now=now))
        except (PeerError, RejectedDataError) as error:
            outcomes.append(SyncFailure(peer=peer, error=error))
    return outcomes


def sync(store: Store, key: NodeKey, peer: Peer, fetcher: Fetcher, *, now: int) -> SyncReport:
    """Fetch, verify and merge what a peer has and this ledger lacks; `now` in epoch seconds.

    Raises `PeerError` if a file cannot be fetched, or `RejectedDataError` if it fails verification, and stores the
    reason with the peer.
    """
    try:
        with fetcher.connect() as connection:
            report = _sync(store, key, peer, connection, now)
    except (PeerError, RejectedDataError) as error:
        mark_sync_failed(store, peer.node, str(error))
        raise
    mark_synced(store, peer.node, now=now)
    return report


def _sync(store: Store, key: NodeKey, peer: Peer, connection: PeerConnection, now: int) -> SyncReport:
    if quarantine := quarantined(store.db).get(peer.node):
        raise quarantine_error(quarantine)
    everybody = {key.id, *(other.node for other in list_peers(store.db))}
    fetched = fetch_statements(connection, peer, trusted=everybody)
    statement = accept_statements(store, peer, fetched, own=key.id, now=now)
    files = _fetch_file_lists(peer, connection, sha256=statement.files_sha256)
    trusted = trusted_nodes(store.db, key.id)
    batches = records = untrusted = 0
    for batch_id in batch_ids(files):
        if has_batch(store.db, batch_id):
            continue
        match _fetch_batch(batch_id, files, peer, connection, trusted=trusted, now=now):
            case UntrustedBatch():
                untrusted += 1
            case Batch() as batch:
                records += merge(store, batch, now=now)
                batches += 1
    return SyncReport(
        peer=peer,
        sequence=statement.sequence,
        batches=batches,
        records=records,
        untrusted_batches=untrusted,
        agree=ledger_root(store.db) == statement.root,
    )


def _fetch_file_lists(peer: Peer, connection: PeerConnection, *, sha256: str) -> dict[str, PublishedFile]:
    files = read_files(connection.get(f"{peer.url}files.json", max_bytes=MAX_FILES_BYTES), sha256=sha256)
    for listed in batch_lists(files):
        files |= read_file_list(connection.get(f"{peer.url}{listed.path}", max_bytes=listed.size), listed)
    return files


def _fetch_batch(
    batch_id: str,
    files: dict[str, PublishedFile],
    peer: Peer,
    connection: PeerConnection,
    *,
    trusted: Container[str],
    now: int,
) -> Batch | UntrustedBatch:
    path, signature_path = f"batches/{batch_id}.json.gz", f"batches/{batch_id}.sig"
    # The size in the list is the peer's claim: it limits the fetch, so it must itself be limited first.
    if files[path].size > MAX_BATCH_BYTES:
        reject(path, f"it is larger than {MAX_BATCH_BYTES:,} bytes")
    packed = connection.get(f"{peer.url}{path}", max_bytes=files[path].size)
    signature = connection.get(f"{peer.url}{signature_path}", max_bytes=SIGNATURE_BYTES)
    for name, content in ((path, packed), (signature_path, signature)):
        if sha256_hex(content) != files[name].sha256:
            reject(name, "it is not the file that the peer's statement covers")
    data = decompress_batch(packed, batch_id=batch_id)
    return verify_batch(data, signature.decode("ascii", "replace").strip(), batch_id=batch_id, trusted=trusted, now=now)
