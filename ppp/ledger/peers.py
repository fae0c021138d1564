"""Trusted peers: key, address, the last statement seen of each, and the last synchronization error."""

from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A trusted node; `url` ends with `/`, times are in epoch seconds, `digest` is of the last statement seen."""

    node: str
    url: str
    added_at: int
    sequence: int | None = None
    digest: str | None = None
    statement: str | None = None
    synced_at: int | None = None
    sync_error: str | None = None


def list_peers(db: Database) -> list[Peer]:
    """Return all peers in the order in which they were added."""
    rows = db.execute(
        "SELECT node, url, added_at, sequence, digest, statement, synced_at, sync_error"
        " FROM peers ORDER BY added_at, node"
    ).fetchall()
    return [
        Peer(
            node=node,
            url=url,
            added_at=added,
            sequence=sequence,
            digest=digest,
            statement=statement,
            synced_at=synced,
            sync_error=error,
        )
        for node, url, added, sequence, digest, statement, synced, error in rows
    ]


def add_peer(store: Store, peer: Peer) -> None:
    """Add a peer; its key and its address must be unique."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("peers").insert({"node": peer.node, "url": peer.url, "added_at": peer.added_at})


def delete_peer(store: Store, node: str) -> None:
    """Delete a peer; the records that came from it stay."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("DELETE FROM peers WHERE node = ?", (node,))


def save_peer_statement(store: Store, node: str, *, sequence: int, digest: str, text: str) -> None:
    """Store the last statement seen of a peer, so that no older one is accepted later (rollback protection)."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute(
            "UPDATE peers SET sequence = ?, digest = ?, statement = ? WHERE node = ?", (sequence, digest, text, node)
        )


def forget_peer_statement(store: Store, node: str) -> None:
    """Forget the last statement seen of a peer: its next one is taken as the first."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute(
            "UPDATE peers SET sequence = NULL, digest = NULL, statement = NULL, sync_error = NULL WHERE node = ?",
            (node,),
        )


def mark_synced(store: Store, node: str, *, now: int, error: str | None = None) -> None:
    """Store the time of a successful synchronization, and what was left out as invalid, if anything."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("UPDATE peers SET synced_at = ?, sync_error = ? WHERE node = ?", (now, error, node))


def mark_sync_failed(store: Store, node: str, error: str) -> None:
    """Store why the last synchronization with a peer failed."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("UPDATE peers SET sync_error = ? WHERE node = ?", (error, node))
