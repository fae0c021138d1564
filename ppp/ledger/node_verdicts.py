"""What this node shows of a cell: its own word first, and beside it what each node says.

What is published as current is a function of the set of records, the same on every node (ADR 4). A person at this
machine asks something else: what was found here, and who disagrees. No peer can replace the answer to that, whatever
its clock says (ADR 23).
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.queries import record_from_row
from ppp.model.current import local_rank
from ppp.model.record import Record, Result
from ppp.model.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRecord:
    """A record, and when it arrived here (epoch seconds); None for one of this node, or from before that was stored."""

    record: Record
    received_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellVerdicts:
    """What is shown of a cell, and the newest verdict of each node that has one, by node.

    An `ERROR` is no verdict.
    """

    shown: Record
    by_node: tuple[Record, ...]

    @property
    def agreeing(self) -> int:
        """How many of the nodes have the result that is shown."""
        return sum(record.result is self.shown.result for record in self.by_node)


def choose_verdicts(records: Sequence[ReceivedRecord], *, own: str | None) -> CellVerdicts:
    """Return what is shown of a cell that has these records (at least one); `own` is this node."""
    ranked = sorted(records, key=lambda r: local_rank(r.record, own=own, received_at=r.received_at))
    newest = {r.record.node: r.record for r in ranked if r.record.result is not Result.ERROR}
    return CellVerdicts(shown=ranked[-1].record, by_node=tuple(newest[node] for node in sorted(newest)))


def read_verdicts(db: Database, release: Release, *, own: str | None) -> dict[str, CellVerdicts]:
    """Return the verdicts on each of a release's cells, by environment."""
    rows = db.query(
        "SELECT c.*, (SELECT min(p.received_at) FROM batch_records AS b JOIN receipts AS p ON p.batch = b.batch"
        " WHERE b.record = c.record) AS received_at FROM records AS c WHERE package = ? AND version = ?",
        (release.package, release.version),
    )
    by_environment: defaultdict[str, list[ReceivedRecord]] = defaultdict(list)
    for row in rows:
        received = ReceivedRecord(record=record_from_row(row), received_at=row["received_at"])
        by_environment[received.record.environment].append(received)
    return {environment: choose_verdicts(found, own=own) for environment, found in by_environment.items()}
