"""A node's own chain of signed statements, and the forks that others were caught at. Text in, text out.

What a statement means is the mesh's business; here it is kept word for word.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStatement:
    """An envelope as it was published, its number in the chain, and the sha256 (hex) of its signed part."""

    sequence: int
    text: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """One of several statements that a node signed under one number: evidence, with the time it was seen."""

    node: str
    sequence: int
    digest: str
    text: str
    seen_at: int


def newest_statement(db: Database) -> StoredStatement | None:
    """Give the last statement that this node issued."""
    row = db.execute("SELECT sequence, statement, digest FROM statements ORDER BY sequence DESC LIMIT 1").fetchone()
    return row and StoredStatement(sequence=row[0], text=row[1], digest=row[2])


def add_statement(store: Store, statement: StoredStatement) -> None:
    """Add a statement to this node's chain."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.table("statements").insert(
            {"sequence": statement.sequence, "statement": statement.text, "digest": statement.digest}
        )


def statement_files(db: Database) -> Iterator[tuple[str, bytes]]:
    """Give the chain as it is published: `statements/<sequence>.json` each, and the last one as `statement.json`."""
    for sequence, text in db.execute("SELECT sequence, statement FROM statements ORDER BY sequence"):
        yield f"statements/{sequence}.json", text.encode()
    if newest := newest_statement(db):
        yield "statement.json", newest.text.encode()


def add_forks(store: Store, forks: tuple[Fork, ...]) -> None:
    """Keep statements as evidence of a fork; the same one a second time changes nothing."""
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


def list_forks(db: Database) -> list[Fork]:
    """Give all the evidence of forks, by node and number."""
    rows = db.execute(
        "SELECT node, sequence, digest, statement, seen_at FROM forks ORDER BY node, sequence, digest"
    ).fetchall()
    return [Fork(node=n, sequence=s, digest=d, text=t, seen_at=at) for n, s, d, t, at in rows]
