"""Nodes whose statements contradict each other: nothing is merged from them until a person clears them."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """One contradiction of a node: its number, its reason (a line), and the node that showed it (`source`).

    Times are in epoch seconds; `cleared_at` is None until a person ends it. Contradictions with numbers up to
    `cleared_through` belong to what was cleared.
    """

    node: str
    since: int
    sequence: int
    reason: str
    source: str
    cleared_at: int | None = None
    cleared_through: int | None = None


def list_quarantines(db: Database, node: str | None = None) -> list[Quarantine]:
    """Return the quarantines of one node, or of all, also those that ended: the oldest first."""
    rows = db.execute(
        "SELECT node, since, sequence, reason, source, cleared_at, cleared_through FROM quarantines"
        " WHERE ? IS NULL OR node = ? ORDER BY since, node, sequence",
        (node, node),
    ).fetchall()
    return [
        Quarantine(
            node=n, since=since, sequence=sequence, reason=reason, source=source, cleared_at=at, cleared_through=through
        )
        for n, since, sequence, reason, source, at, through in rows
    ]


def quarantined(db: Database) -> dict[str, Quarantine]:
    """Return the nodes that are quarantined now, each with its first contradiction that nobody has cleared."""
    found: dict[str, Quarantine] = {}
    for quarantine in list_quarantines(db):
        if quarantine.cleared_at is None:
            found.setdefault(quarantine.node, quarantine)
    return found


def cleared_through(db: Database) -> dict[str, int]:
    """Return the highest number up to which a person cleared each node that was ever cleared."""
    rows = db.execute(
        "SELECT node, max(cleared_through) FROM quarantines WHERE cleared_through IS NOT NULL GROUP BY node"
    )
    return dict(rows.fetchall())


def add_quarantines(store: Store, quarantines: Iterable[Quarantine]) -> int:
    """Add contradictions whose node and number are not quarantined already; return how many were added."""
    added = 0
    with translate_storage_errors(store.path), store.db.atomic():
        for each in quarantines:
            added += store.db.execute(
                "INSERT OR IGNORE INTO quarantines (node, since, sequence, reason, source) SELECT ?, ?, ?, ?, ?"
                " WHERE NOT EXISTS (SELECT 1 FROM quarantines"
                " WHERE node = ? AND sequence = ? AND cleared_at IS NULL)",
                (each.node, each.since, each.sequence, each.reason, each.source, each.node, each.sequence),
            ).rowcount
    return added


def clear_quarantine(store: Store, node: str, *, through: int, now: int) -> None:
    """End a node's quarantine at `now`, for contradictions with numbers up to `through`."""
    with translate_storage_errors(store.path), store.db.atomic():
        store.db.execute(
            "UPDATE quarantines SET cleared_at = ?, cleared_through = ? WHERE node = ? AND cleared_at IS NULL",
            (now, through, node),
        )
