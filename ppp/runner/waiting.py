"""What each queued cell waits for: the next run, a later time, or something that only a person can change.

What cannot be checked on this machine stays in the queue, because another environment, matrix or setting may come; but
it is never counted among what running again would check. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from ppp.ledger.queue_groups import QueueGroup
from ppp.model.matrix import Matrix, Platform
from ppp.watch.shares import Elsewhere

#: Why a cell is left to others, and what becomes of it.
_ELSEWHERE: Final = {
    Elsewhere.NODE: (
        "they are in the shares of other nodes (PPP_SHARE_NODES)",
        "they leave the queue when the results of those nodes are merged: `ppp sync`",
    ),
    Elsewhere.SHARD: ("they are in other shards", "run those, or run without --shard"),
}
#: What to do about a cell that is not tried again, by the cause of its last `ERROR`, if it is not to name it again.
_REMEDIES: Final = {
    "file-size": "raise file_mb in a matrix of your own (--matrix)",
    "disk": "free some space",
    "oom": "raise memory_mb in a matrix of your own (--matrix)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingCells:
    """Cells that running again does not check: how many, why, and what to do about it.

    `elsewhere` says who they are left to, where it is not this node that checks them.
    """

    cells: int
    environment: str
    why: str
    remedy: str
    elsewhere: Elsewhere | None = None

    def __str__(self) -> str:
        """Return all of it as a sentence."""
        count = "1 cell" if self.cells == 1 else f"{self.cells} cells"
        verb = "cannot be checked now" if self.elsewhere is None else "are left to others"
        return f"{count} of {self.environment} {verb}: {self.why} ({self.remedy})"

    def to_json(self) -> dict[str, Any]:
        """Return the object that answers in JSON show."""
        return {"environment": self.environment, "cells": self.cells, "why": self.why, "what_to_do": self.remedy}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """How many cells the next run would check, and what the others wait for."""

    due: int
    waiting: tuple[WaitingCells, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the object that answers in JSON show."""
        return {"due": self.due, "waiting": [each.to_json() for each in self.waiting]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Possibilities:
    """What can be checked: the matrix in use, all environments that are shipped, and what is known of this machine.

    `unavailable` says of environments why they cannot be had here now; of `gatewayed` ones, all cells reach the index
    and nothing else.
    """

    matrix: Matrix
    shipped: Collection[str]
    gatewayed: Collection[str]
    unavailable: Mapping[str, str] = field(default_factory=dict)


def explain_queue(groups: Iterable[QueueGroup], possible: Possibilities) -> QueueState:
    """Return how many queued cells are due, and for each reason how many others wait in each environment."""
    due = 0
    waiting: defaultdict[tuple[str, str | None, str, str], int] = defaultdict(int)
    for group in groups:
        reason = _reason(group, possible)
        if reason is None:
            due += group.cells
        else:
            waiting[group.environment, group.elsewhere, *reason] += group.cells
    return QueueState(
        due=due,
        waiting=tuple(
            WaitingCells(
                cells=cells,
                environment=environment,
                why=why,
                remedy=remedy,
                elsewhere=None if elsewhere is None else Elsewhere(elsewhere),
            )
            for (environment, elsewhere, why, remedy), cells in waiting.items()
        ),
    )


def _reason(group: QueueGroup, possible: Possibilities) -> tuple[str, str] | None:
    """Return why a group is not due, and what to do; None if it is. What lasts longest comes first."""
    if group.elsewhere is not None:
        return _ELSEWHERE[Elsewhere(group.elsewhere)]
    return _environment_reason(group.environment, possible) or _cell_reason(group, possible)


def _environment_reason(id_: str, possible: Possibilities) -> tuple[str, str] | None:
    environment = next((e for e in possible.matrix.environments if e.id == id_), None)
    if environment is None and id_ in possible.shipped:
        return "this matrix does not have that environment", f"run with -e {id_}"
    if environment is None:
        return "no shipped matrix has that environment", "run with the matrix that has it (--matrix)"
    why = possible.unavailable.get(id_)
    if why is None:
        return None
    if environment.platform is Platform.HOST:
        return why, f"provide a Python {environment.python} that works here; `ppp doctor {id_}` shows more"
    return why, f"provide the image {environment.image}; `ppp doctor {id_}` shows more"


def _cell_reason(group: QueueGroup, possible: Possibilities) -> tuple[str, str] | None:
    if group.given_up:
        cause = group.cause or "unknown"
        why = f"they ended in an infrastructure error, the last time {cause}, and are not tried again"
        again = f"to try one again, name it: -p {group.example.release}"
        return why, "; ".join(filter(None, (_REMEDIES.get(cause), again)))
    if group.untrusted and group.environment not in possible.gatewayed:
        return "releases of the open feed run only behind the gateway", "run with --network gateway"
    if group.due_at is not None:
        when = f"{datetime.fromtimestamp(group.due_at, UTC):%Y-%m-%d %H:%M} UTC"
        return f"they ended in an infrastructure error and wait until {when}", "run again then"
    return None
