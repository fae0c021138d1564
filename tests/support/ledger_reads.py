"""Reads of tables that the program only writes, as evidence: re-checks and forks."""

from sqlite_utils import Database

from ppp.ledger.flakiness import Flakiness, compare_pairs
from ppp.ledger.queries import record_from_row
from ppp.ledger.staging import RecheckReason
from ppp.ledger.statements import Fork
from ppp.model.record import Record


def read_flakiness(db: Database, reason: RecheckReason) -> Flakiness:
    """Compare all stored pairs of one reason."""
    pairs = db.execute("SELECT first, second FROM rechecks WHERE reason = ? ORDER BY 1, 2", (str(reason),)).fetchall()
    return compare_pairs((_record(db, first), _record(db, second)) for first, second in pairs)


def _record(db: Database, record: str) -> Record:
    (row,) = db.query("SELECT * FROM records WHERE record = ?", (record,))
    return record_from_row(row)


def list_forks(db: Database) -> list[Fork]:
    """Return all evidence of forks, by node and sequence number."""
    rows = db.execute("SELECT node, sequence, digest, statement, seen_at FROM forks ORDER BY 1, 2, 3").fetchall()
    return [Fork(node=n, sequence=s, digest=d, text=t, seen_at=at) for n, s, d, t, at in rows]
