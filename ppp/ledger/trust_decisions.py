"""What the operator decided about keys: trusted, or not trusted in spite of the shipped list and of an address here."""

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


def trust_decisions(db: Database) -> dict[str, bool]:
    """Return whether each node that the operator decided about is trusted, in the order of the decisions."""
    rows = db.execute("SELECT node, trusted FROM trust_decisions ORDER BY decided_at, node").fetchall()
    return {node: bool(trusted) for node, trusted in rows}


def save_trust_decision(store: Store, node: str, *, trusted: bool, now: int) -> None:
    """Store a decision about a node, in place of an earlier one; `now` is in epoch seconds."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("INSERT OR REPLACE INTO trust_decisions VALUES (?, ?, ?)", (node, trusted, now))


def forget_trust_decision(store: Store, node: str) -> None:
    """Delete the decision about a node, if there is one."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute("DELETE FROM trust_decisions WHERE node = ?", (node,))
