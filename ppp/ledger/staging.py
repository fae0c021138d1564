"""What was observed and is not believed yet: kept in `pending` until the canary behind it has its say.

Promoted, observations become records as they are; overturned, each becomes an `ERROR` of ours, and its cell is queued
again. Both can be cut off at any moment and taken up again: nothing is lost, nothing counts twice. Nothing that is
pending is ever published.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.store import QueuedCell, Store
from ppp.model.matrix import Cell
from ppp.model.record import Record, canonical_json, to_infrastructure_error
from ppp.storage_errors import translate_storage_errors

#: The cause of what an unhealthy environment observed.
UNHEALTHY_CAUSE: Final = "unhealthy-environment"
#: How many observations one transaction moves.
CHUNK_RECORDS: Final = 100


class RecheckReason(StrEnum):
    """Why a node looked at a cell a second time: to confirm a regression, or to know its own noise."""

    CONFIRMATION = "confirmation"
    AA = "aa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """What makes an observation a second look: the id of the record that it looks at again, and why."""

    first: str
    reason: RecheckReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRecord:
    """An observation that waits for a canary: its log, its cell as it was queued, and whether it is a second look."""

    record: Record
    log: str | None
    queued: QueuedCell | None = None
    recheck: Recheck | None = None

    @property
    def cell(self) -> Cell:
        """The cell that was observed."""
        return Cell.of(self.record)


def stage(store: Store, staged: Iterable[StagedRecord], *, now: int) -> None:
    """Keep observations until the canary agrees, and take their cells off the queue, in one transaction."""
    with translate_storage_errors(store.path), store.db.atomic():
        for each in staged:
            store.db.table("pending").insert(_row(each, now), replace=True)
            if each.queued is not None:
                store.remove_leased(each.queued)


def pending_counts(db: Database) -> dict[str, int]:
    """Give how many observations wait for a canary, by environment."""
    return dict(db.execute("SELECT environment, count(*) FROM pending GROUP BY environment").fetchall())


def promote(store: Store, environment: str) -> list[StagedRecord]:
    """Make records of all that waits in an environment, a portion in each transaction; give it, in its order."""

    def believe(each: StagedRecord) -> StagedRecord:
        store.add_record(each.record, each.log)
        if each.recheck is not None:
            add_pair(store, each.recheck, each.record.id)
        return each

    return _resolve(store, environment, believe)


def reject(store: Store, environment: str, *, reason: str, now: int) -> list[StagedRecord]:
    """Make an `ERROR` of all that waits in an environment, a portion in each transaction; give what became of it.

    `reason`, one line, says what was wrong there. Cells that were queued come back with their delay.
    """

    def disbelieve(each: StagedRecord) -> StagedRecord:
        error = to_infrastructure_error(each.record, cause=UNHEALTHY_CAUSE, detail=reason)
        store.add_record(error)
        if each.queued is not None:
            store.requeue(each.queued, now=now)
        return StagedRecord(record=error, log=None, queued=each.queued)

    return _resolve(store, environment, disbelieve)


def add_pair(store: Store, recheck: Recheck, record: str) -> None:
    """Note, within an open transaction, that a record in the ledger is a second look at another one."""
    row = {"first": recheck.first, "second": record, "reason": str(recheck.reason)}
    store.db.table("rechecks").insert(row, ignore=True)


def _resolve(store: Store, environment: str, settle: Callable[[StagedRecord], StagedRecord]) -> list[StagedRecord]:
    settled: list[StagedRecord] = []
    while portion := _next_chunk(store.db, environment):
        with translate_storage_errors(store.path), store.db.atomic():
            for record_id, each in portion:
                settled.append(settle(each))
                store.db.execute("DELETE FROM pending WHERE record = ?", (record_id,))
    return settled


def _next_chunk(db: Database, environment: str) -> list[tuple[str, StagedRecord]]:
    rows = db.query(
        "SELECT record, document, log, source, attempts, first, reason FROM pending"
        " WHERE environment = ? ORDER BY rowid LIMIT ?",
        (environment, CHUNK_RECORDS),
    )
    return [(row["record"], _staged(row)) for row in rows]


def _row(staged: StagedRecord, now: int) -> dict[str, object]:
    queued, second = staged.queued, staged.recheck
    return {
        "record": staged.record.id,
        "environment": staged.record.environment,
        "document": canonical_json(staged.record.to_json()).decode(),
        "log": staged.log,
        "source": queued and queued.source,
        "attempts": queued and queued.attempts,
        "first": second and second.first,
        "reason": second and str(second.reason),
        "staged_at": now,
    }


def _staged(row: Mapping[str, Any]) -> StagedRecord:
    record = Record.from_json(json.loads(row["document"]))
    queued = second = None
    if row["source"] is not None:
        queued = QueuedCell(cell=Cell.of(record), source=row["source"], attempts=row["attempts"])
    if row["first"] is not None:
        second = Recheck(first=row["first"], reason=RecheckReason(row["reason"]))
    return StagedRecord(record=record, log=row["log"], queued=queued, recheck=second)
