"""The node's own chain of signed statements, and statements by which other nodes contradicted themselves.

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
    """One of the statements by which a node contradicted itself; `seen_at` is in epoch seconds."""

    node: str
    sequence: int
    digest: str
    text: str
    seen_at: int


def newest_statement(db: Database) -> StoredStatement | None:
    """Return the last statement that this node issued, or None."""
    row = db.execute("SELECT sequence, statement, digest FROM statements ORDER BY sequence DESC LIMIT 1").fetchone()
    return row and StoredStatement(sequence=row[0], text=row[1], digest=row[2])


def own_statement(db: Database, sequence: int) -> StoredStatement | None:
    """Return the statement with a number that this node issued, or None."""
    row = db.execute("SELECT sequence, statement, digest FROM statements WHERE sequence = ?", (sequence,)).fetchone()
    return row and StoredStatement(sequence=row[0], text=row[1], digest=row[2])


def add_statement(store: Store, statement: StoredStatement) -> None:
    """Add a statement to this node's chain."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("statements").insert(
            {"sequence": statement.sequence, "statement": statement.text, "digest": statement.digest}
        )


def statement_files(db: Database, own: str | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield the chain's published files: each `statements/<sequence>.json`, and the last one as `statement.json`.

    Statements that this node (`own`) issued and lost, and that its peers showed it again, are among them.
    """
    rows = db.execute(
        "SELECT sequence, statement FROM statements UNION ALL"
        " SELECT sequence, min(statement) FROM seen_statements"
        " WHERE node = ? AND sequence NOT IN (SELECT sequence FROM statements) GROUP BY sequence"
        " ORDER BY sequence",
        (own,),
    )
    for sequence, text in rows:
        yield f"statements/{sequence}.json", text.encode()
    if newest := newest_statement(db):
        yield "statement.json", newest.text.encode()


def list_forks(db: Database, node: str | None = None) -> list[Fork]:
    """Return the evidence against one node, or against all, by node, number and digest."""
    rows = db.execute(
        "SELECT node, sequence, digest, statement, seen_at FROM forks WHERE ? IS NULL OR node = ? ORDER BY 1, 2, 3",
        (node, node),
    ).fetchall()
    return [Fork(node=n, sequence=s, digest=d, text=t, seen_at=at) for n, s, d, t, at in rows]


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
