"""The peers a person pinned: key, address, the last statement seen of each, what went wrong the last time."""

from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A pinned node at an address that ends with `/`; times in epoch seconds, `digest` of the last statement seen."""

    node: str
    url: str
    added_at: int
    sequence: int | None = None
    digest: str | None = None
    statement: str | None = None
    synced_at: int | None = None
    sync_error: str | None = None


def list_peers(db: Database) -> list[Peer]:
    """Give all peers, in the order they were added."""
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
    """Add a peer whose key and address no other has."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("peers").insert({"node": peer.node, "url": peer.url, "added_at": peer.added_at})


def delete_peer(store: Store, node: str) -> None:
    """Forget a peer; what came from it stays."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("DELETE FROM peers WHERE node = ?", (node,))


def save_peer_statement(store: Store, node: str, *, sequence: int, digest: str, text: str) -> None:
    """Remember the last statement seen of a peer, so that no older one is taken after it."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute(
            "UPDATE peers SET sequence = ?, digest = ?, statement = ? WHERE node = ?", (sequence, digest, text, node)
        )


def mark_synced(store: Store, node: str, *, now: int) -> None:
    """Note that a peer was fetched from without trouble."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("UPDATE peers SET synced_at = ?, sync_error = NULL WHERE node = ?", (now, node))


def mark_sync_failed(store: Store, node: str, error: str) -> None:
    """Note why the last attempt to fetch from a peer ended."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("UPDATE peers SET sync_error = ? WHERE node = ?", (error, node))
