"""Which record of a cell counts: pure functions of a set of records, the same on all nodes."""

from collections.abc import Iterable

from ppp.model.record import Record, Result
from ppp.model.release import Release


def current_rank(record: Record) -> tuple[bool, int, str]:
    """Return the key that orders the records of one cell: the greatest is current.

    Any verdict ranks above an `ERROR`, then the newest first, then the greatest id. This is a total order, so that all
    nodes with the same records agree on the current one, whatever order the records arrived in.
    """
    return record.result is not Result.ERROR, record.observed_at, record.id


def local_rank(record: Record, *, own: str | None, received_at: int | None) -> tuple[bool, bool, int, str]:
    """Return the key that orders the records of one cell for the node `own`: the greatest is what it shows.

    Any verdict ranks above an `ERROR`, then this node's own above others, then the newest first, then the greatest id.
    A record is no newer than its arrival here (`received_at`, epoch seconds; None if it is this node's own).
    """
    seen_at = record.observed_at if received_at is None else min(record.observed_at, received_at)
    return record.result is not Result.ERROR, record.node == own, seen_at, record.id


def current_records(records: Iterable[Record]) -> dict[tuple[Release, str], Record]:
    """Return the current record of each cell: the reference that tests compare the ledger's table `results` with."""
    best: dict[tuple[Release, str], Record] = {}
    for record in records:
        key = (record.release, record.environment)
        if key not in best or current_rank(record) > current_rank(best[key]):
            best[key] = record
    return best
