"""Batches that a peer publishes and that were not merged, so that they are not fetched again at every synchronization.

The note belongs to the peer that publishes the batch: what one peer serves says nothing about the same batch elsewhere.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors

#: How many are kept of one peer, the newest: a peer may list any number, each at the cost of one small batch.
MAX_LEFT_OUT: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOutBatch:
    """A batch by its sha256 (hex), and why it was not merged; `seen_at` is in epoch seconds.

    `node` is set if the only reason is that this node, of which it is, is not trusted.
    """

    batch: str
    node: str | None
    reason: str
    seen_at: int


def read_left_out(db: Database, peer: str) -> dict[str, LeftOutBatch]:
    """Return the batches of a peer that were left out, by id."""
    rows = db.execute("SELECT batch, node, reason, seen_at FROM left_out_batches WHERE peer = ?", (peer,)).fetchall()
    return {batch: LeftOutBatch(batch=batch, node=node, reason=reason, seen_at=at) for batch, node, reason, at in rows}


def save_left_out(store: Store, peer: str, batches: Iterable[LeftOutBatch], *, limit: int = MAX_LEFT_OUT) -> None:
    """Store batches of a peer that were left out, and drop the oldest beyond the limit."""
    with translate_storage_errors(store.path), store.db.atomic():
        for each in batches:
            store.db.execute(
                "INSERT OR REPLACE INTO left_out_batches (peer, batch, node, reason, seen_at) VALUES (?, ?, ?, ?, ?)",
                (peer, each.batch, each.node, each.reason, each.seen_at),
            )
        store.db.execute(
            "DELETE FROM left_out_batches WHERE peer = ? AND batch IN (SELECT batch FROM left_out_batches"
            " WHERE peer = ? ORDER BY seen_at DESC, batch LIMIT -1 OFFSET ?)",
            (peer, peer, limit),
        )


def forget_left_out(store: Store, peer: str) -> None:
    """Delete all notes about a peer's batches."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("DELETE FROM left_out_batches WHERE peer = ?", (peer,))
