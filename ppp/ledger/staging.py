"""Staged observations: they wait in the table `pending` until the next canary shows that the environment is healthy.

When promoted, observations become records unchanged; when rejected, each becomes an `ERROR` and its cell is queued
again. Both can be interrupted at any moment and resumed: nothing is lost, and nothing counts twice. Pending
observations are never published.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.queue import QueuedCell
from ppp.ledger.store import Store
from ppp.model.canonical import canonical_json
from ppp.model.matrix import Cell
from ppp.model.record import Record, to_infrastructure_error
from ppp.model.trigger import Trigger
from ppp.record_rules import require_valid, valid_or_error
from ppp.storage_errors import translate_storage_errors

#: The cause of rejected observations.
UNHEALTHY_CAUSE: Final = "unhealthy-environment"
#: How many observations one transaction moves.
CHUNK_RECORDS: Final = 100


class RecheckReason(StrEnum):
    """Why a node checked a cell again: to confirm a regression, or to measure flakiness (A/A test)."""

    CONFIRMATION = "confirmation"
    AA = "aa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """What marks an observation as a re-check: the id of the first record, and the reason."""

    first: str
    reason: RecheckReason


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedRecord:
    """An observation that waits for a canary, with its log, its queued cell, and its re-check if it is one."""

    record: Record
    log: str | None
    queued: QueuedCell | None = None
    recheck: Recheck | None = None

    @property
    def cell(self) -> Cell:
        """The cell that was observed."""
        return Cell.of(self.record)


def stage(store: Store, staged: Iterable[StagedRecord], *, now: int) -> None:
    """Store observations as pending and remove their cells from the queue, in one transaction.

    Raise `InvalidRecordError`, and store none of them, if a record is invalid.
    """
    observations = list(staged)
    for each in observations:
        require_valid(each.record)
    with translate_storage_errors(store.path), store.db.atomic():
        for each in observations:
            store.db.table("pending").insert(_row(each, now), replace=True)
            if each.queued is not None:
                store.queue.remove_leased(each.queued)


def pending_counts(db: Database) -> dict[str, int]:
    """Return the number of pending observations by environment."""
    return dict(db.execute("SELECT environment, count(*) FROM pending GROUP BY environment").fetchall())


def promote(store: Store, environment: str) -> list[StagedRecord]:
    """Turn all pending observations of an environment into records, in chunks of one transaction; return them.

    One that an earlier version of PPP staged although it is invalid becomes an `ERROR`, so that it blocks no other.
    """

    def promote_one(staged: StagedRecord) -> StagedRecord:
        record = valid_or_error(staged.record)
        if record is not staged.record:
            store.add_record(record)
            return StagedRecord(record=record, log=None, queued=staged.queued)
        store.add_record(record, staged.log)
        if staged.recheck is not None:
            add_pair(store, staged.recheck, record.id)
        return staged

    return _resolve(store, environment, promote_one)


def reject(store: Store, environment: str, *, reason: str, now: int) -> list[StagedRecord]:
    """Turn all pending observations of an environment into `ERROR` records, in chunks of one transaction; return them.

    `reason` is one line that says what was wrong. Cells that came from the queue are queued again with a delay.
    """

    def reject_one(staged: StagedRecord) -> StagedRecord:
        error = valid_or_error(to_infrastructure_error(staged.record, cause=UNHEALTHY_CAUSE, detail=reason))
        store.add_record(error)
        if staged.queued is not None:
            store.queue.requeue(staged.queued, now=now)
        return StagedRecord(record=error, log=None, queued=staged.queued)

    return _resolve(store, environment, reject_one)


def add_pair(store: Store, recheck: Recheck, record: str) -> None:
    """Store, within an open transaction, that a record is a re-check of another one."""
    row = {"first": recheck.first, "second": record, "reason": str(recheck.reason)}
    store.db.table("rechecks").insert(row, ignore=True)


def _resolve(store: Store, environment: str, settle: Callable[[StagedRecord], StagedRecord]) -> list[StagedRecord]:
    settled: list[StagedRecord] = []
    while chunk := _next_chunk(store.db, environment):
        with translate_storage_errors(store.path), store.db.atomic():
            for record_id, staged in chunk:
                settled.append(settle(staged))
                store.db.execute("DELETE FROM pending WHERE record = ?", (record_id,))
    return settled


def _next_chunk(db: Database, environment: str) -> list[tuple[str, StagedRecord]]:
    rows = db.query(
        "SELECT record, document, log, source, attempts, triggered_by, first, reason FROM pending"
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
        "triggered_by": queued and queued.triggered_by and canonical_json(queued.triggered_by.to_json()).decode(),
        "first": second and second.first,
        "reason": second and str(second.reason),
        "staged_at": now,
    }


def _staged(row: Mapping[str, Any]) -> StagedRecord:
    record = Record.from_json(json.loads(row["document"]))
    queued = second = None
    if row["source"] is not None:
        queued = QueuedCell(
            cell=Cell.of(record),
            source=row["source"],
            attempts=row["attempts"],
            triggered_by=row["triggered_by"] and Trigger.from_json(json.loads(row["triggered_by"])),
        )
    if row["first"] is not None:
        second = Recheck(first=row["first"], reason=RecheckReason(row["reason"]))
    return StagedRecord(record=record, log=row["log"], queued=queued, recheck=second)
