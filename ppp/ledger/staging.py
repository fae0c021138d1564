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

from ppp.ledger.store import Queued, Store
from ppp.model.matrix import Cell
from ppp.model.record import Record, canonical, spoilt
from ppp.storage_errors import sqlite_errors

#: The cause of what an unhealthy environment observed.
UNHEALTHY: Final = "unhealthy-environment"
#: How many observations one transaction moves.
PORTION: Final = 100


class Look(StrEnum):
    """Why a node looked at a cell a second time: to confirm a regression, or to know its own noise."""

    CONFIRMATION = "confirmation"
    AA = "aa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """What makes an observation a second look: the id of the record that it looks at again, and why."""

    first: str
    look: Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """An observation that waits for a canary: its log, its cell as it was queued, and whether it is a second look."""

    record: Record
    log: str | None
    queued: Queued | None = None
    second: Second | None = None

    @property
    def cell(self) -> Cell:
        """The cell that was observed."""
        return Cell.of(self.record)


def stage(store: Store, staged: Iterable[Staged], *, now: int) -> None:
    """Keep observations until the canary agrees, and take their cells off the queue, in one transaction."""
    with sqlite_errors(store.path), store.db.atomic():
        for each in staged:
            store.db.table("pending").insert(_row(each, now), replace=True)
            if each.queued is not None:
                store.take_out(each.queued)


def waiting(db: Database) -> dict[str, int]:
    """Give how many observations wait for a canary, by environment."""
    return dict(db.execute("SELECT environment, count(*) FROM pending GROUP BY environment").fetchall())


def promote(store: Store, environment: str) -> list[Staged]:
    """Make records of all that waits in an environment, a portion in each transaction; give it, in its order."""

    def believe(each: Staged) -> Staged:
        store.add_record(each.record, each.log)
        if each.second is not None:
            note_pair(store, each.second, each.record.id)
        return each

    return _settle(store, environment, believe)


def overturn(store: Store, environment: str, *, reason: str, now: int) -> list[Staged]:
    """Make an `ERROR` of all that waits in an environment, a portion in each transaction; give what became of it.

    `reason`, one line, says what was wrong there. Cells that were queued come back with their delay.
    """

    def disbelieve(each: Staged) -> Staged:
        error = spoilt(each.record, cause=UNHEALTHY, detail=reason)
        store.add_record(error)
        if each.queued is not None:
            store.put_back(each.queued, now=now)
        return Staged(record=error, log=None, queued=each.queued)

    return _settle(store, environment, disbelieve)


def note_pair(store: Store, second: Second, record: str) -> None:
    """Note, within an open transaction, that a record in the ledger is a second look at another one."""
    store.db.table("pairs").insert({"first": second.first, "second": record, "look": str(second.look)}, ignore=True)


def _settle(store: Store, environment: str, settle: Callable[[Staged], Staged]) -> list[Staged]:
    settled: list[Staged] = []
    while portion := _portion(store.db, environment):
        with sqlite_errors(store.path), store.db.atomic():
            for record_id, each in portion:
                settled.append(settle(each))
                store.db.execute("DELETE FROM pending WHERE record = ?", (record_id,))
    return settled


def _portion(db: Database, environment: str) -> list[tuple[str, Staged]]:
    rows = db.query(
        "SELECT record, document, log, source, attempts, first, look FROM pending"
        " WHERE environment = ? ORDER BY rowid LIMIT ?",
        (environment, PORTION),
    )
    return [(row["record"], _staged(row)) for row in rows]


def _row(staged: Staged, now: int) -> dict[str, object]:
    queued, second = staged.queued, staged.second
    return {
        "record": staged.record.id,
        "environment": staged.record.environment,
        "document": canonical(staged.record.to_json()).decode(),
        "log": staged.log,
        "source": queued and queued.source,
        "attempts": queued and queued.attempts,
        "first": second and second.first,
        "look": second and str(second.look),
        "staged_at": now,
    }


def _staged(row: Mapping[str, Any]) -> Staged:
    record = Record.from_json(json.loads(row["document"]))
    queued = second = None
    if row["source"] is not None:
        queued = Queued(cell=Cell.of(record), source=row["source"], attempts=row["attempts"])
    if row["first"] is not None:
        second = Second(first=row["first"], look=Look(row["look"]))
    return Staged(record=record, log=row["log"], queued=queued, second=second)
