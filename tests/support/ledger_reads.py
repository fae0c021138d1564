"""Reads of the table of re-checks, which the program only writes."""

from sqlite_utils import Database

from ppp.ledger.flakiness import Flakiness, compare_pairs
from ppp.ledger.queries import record_from_row
from ppp.ledger.staging import RecheckReason
from ppp.model.record import Record


def read_flakiness(db: Database, reason: RecheckReason) -> Flakiness:
    """Compare all stored pairs of one reason."""
    pairs = db.execute("SELECT first, second FROM rechecks WHERE reason = ? ORDER BY 1, 2", (str(reason),)).fetchall()
    return compare_pairs((_record(db, first), _record(db, second)) for first, second in pairs)


def _record(db: Database, record: str) -> Record:
    (row,) = db.query("SELECT * FROM records WHERE record = ?", (record,))
    return record_from_row(row)
