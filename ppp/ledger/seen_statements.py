"""Valid statements of other nodes, whoever showed them: what new ones are compared with, to find contradictions.

Statements are stored as text, byte for byte; `ppp.mesh` interprets them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors

#: How many statements of a node are kept, the newest: those of several days, for at most a few hundred kilobytes.
MAX_SEEN: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenStatement:
    """An envelope (text), its number and digest, the node that signed it, and the node that showed it (`source`)."""

    node: str
    sequence: int
    digest: str
    text: str
    source: str
    seen_at: int


def seen_statements(db: Database, node: str) -> list[SeenStatement]:
    """Return the statements of one node, by number and digest."""
    return _read(db, "WHERE node = ? ORDER BY sequence, digest", node)


def newest_seen(db: Database) -> list[SeenStatement]:
    """Return the newest statement that was seen of each node, by node; if a node forked there, one of them."""
    return _read(
        db,
        "WHERE NOT EXISTS (SELECT 1 FROM seen_statements AS newer WHERE newer.node = seen.node"
        " AND (newer.sequence, newer.digest) > (seen.sequence, seen.digest)) ORDER BY node",
    )


def _read(db: Database, condition: str, *parameters: str) -> list[SeenStatement]:
    rows = db.execute(
        f"SELECT node, sequence, digest, statement, source, seen_at FROM seen_statements AS seen {condition}",  # noqa: S608 - our own text
        parameters,
    ).fetchall()
    return [SeenStatement(node=n, sequence=s, digest=d, text=t, source=o, seen_at=at) for n, s, d, t, o, at in rows]


def add_seen(store: Store, statements: Iterable[SeenStatement]) -> int:
    """Add statements that are not known yet, drop the oldest beyond `MAX_SEEN` of a node; return how many were new."""
    added = 0
    with translate_storage_errors(store.path), store.db.atomic():
        nodes = set()
        for seen in statements:
            nodes.add(seen.node)
            added += store.db.execute(
                "INSERT OR IGNORE INTO seen_statements VALUES (?, ?, ?, ?, ?, ?)",
                (seen.node, seen.sequence, seen.digest, seen.text, seen.source, seen.seen_at),
            ).rowcount
        for node in nodes:
            store.db.execute(
                "DELETE FROM seen_statements WHERE node = ? AND sequence < (SELECT sequence FROM seen_statements"
                " WHERE node = ? ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
                (node, node, MAX_SEEN - 1),
            )
    return added


def forget_seen(store: Store, node: str) -> None:
    """Delete all statements of a node: the next one is taken as the first."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("DELETE FROM seen_statements WHERE node = ?", (node,))
