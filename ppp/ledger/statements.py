"""The node's own chain of signed statements, and evidence of forks in other nodes' chains.

Statements are stored as text, byte for byte; `ppp.mesh.statement` interprets them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatement:
    """A published envelope (text), its sequence number, and the sha256 (hex) of its signed part."""

    sequence: int
    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One of several statements that a node signed with the same sequence number; `seen_at` is in epoch seconds."""

    node: str
    sequence: int
    digest: str
    text: str
    seen_at: int


def newest_statement(db: Database) -> StoredStatement | None:
    """Return the last statement that this node issued, or None."""
    row = db.execute("SELECT sequence, statement, digest FROM statements ORDER BY sequence DESC LIMIT 1").fetchone()
    return row and StoredStatement(sequence=row[0], text=row[1], digest=row[2])


def add_statement(store: Store, statement: StoredStatement) -> None:
    """Add a statement to this node's chain."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("statements").insert(
            {"sequence": statement.sequence, "statement": statement.text, "digest": statement.digest}
        )


def statement_files(db: Database) -> Iterator[tuple[str, bytes]]:
    """Yield the chain's published files: each `statements/<sequence>.json`, and the last one as `statement.json`."""
    for sequence, text in db.execute("SELECT sequence, statement FROM statements ORDER BY sequence"):
        yield f"statements/{sequence}.json", text.encode()
    if newest := newest_statement(db):
        yield "statement.json", newest.text.encode()


def add_forks(store: Store, forks: tuple[Fork, ...]) -> None:
    """Store statements as evidence of a fork; those stored already are ignored."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("forks").insert_all(
            (
                {
                    "node": fork.node,
                    "sequence": fork.sequence,
                    "digest": fork.digest,
                    "statement": fork.text,
                    "seen_at": fork.seen_at,
                }
                for fork in forks
            ),
            ignore=True,
        )
