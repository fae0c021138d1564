"""Check queued cells, or cells that were named."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ppp.check.cell import Observation
from ppp.ledger import queries, staging
from ppp.ledger.flakiness import Flakiness, compare_pairs, sample_records
from ppp.ledger.regressions import prior_results
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.staging import RecheckReason
from ppp.ledger.store import QueueFilter
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Network, Result
from ppp.model.release import Release
from ppp.runner.context import LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest
from ppp.runner.rounds import Hands, RoundLimits, Rounds, Task, TaskList, TaskQueue

#: What a lease lasts longer than any cell can take.
LEASE_SLACK_S: Final = 600
#: Among how many of the newest verdicts second looks are chosen where a run settled nothing itself.
AA_NEWEST: Final = 200
#: Results for which something was run.
EXECUTED: Final = frozenset({Result.PASS, Result.FAIL, Result.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """What working through the queue came to: cells checked, environments that proved unhealthy and why, our noise."""

    checked: int
    unhealthy: Mapping[str, str]
    noise: Flakiness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was recorded of cells that were checked at once, and which environments proved unhealthy and why."""

    observations: tuple[Observation, ...]
    unhealthy: Mapping[str, str]


def check_queue(
    node: LocalNode, ready: ReadyEnvironments, request: RunRequest, *, only: frozenset[Release] | None
) -> QueueReport:
    """Check what is queued for the environments that stand ready, until it is done, time is over or a stop is wished.

    `only` leaves the rest of the queue alone. What an environment's canary does not stand behind is an `ERROR` of ours,
    or waits for the next run's; an `ERROR` is queued again, for later. `order.aa` cells are looked at once more.
    """
    now, reporter = node.context.now, node.context.reporter
    reach = QueueFilter(
        environments=tuple(ready.prepared), untrusted_environments=_behind_gateway(ready), releases=only
    )
    # The data folder's lock is ours: whatever another run had in hand, it is over.
    node.store.release_leases()
    due = node.store.due_counts(reach, now=now)
    _note_untrusted(node, reach, due)
    rounds = Rounds(node, _hands(node, ready), ready.prepared, RoundLimits(jobs=request.jobs), told=reporter.checked)
    deadline = None if request.minutes is None else time.monotonic() + request.minutes * 60
    reporter.begin(sum(due.values()) + request.aa_cells)
    try:
        rounds.work(
            TaskQueue(node=node, reach=reach, run=f"{now}-{os.getpid()}", lease_s=_lease_s(request.matrix)),
            expected={*due, *staging.pending_counts(node.store.db)},
            enough=lambda: deadline is not None and time.monotonic() > deadline,
        )
        checked = rounds.settled
        noise = _check_again(node, rounds, request)
    finally:
        reporter.end()
    node.store.release_leases()
    _note_remaining(node, noise)
    return QueueReport(checked=checked, unhealthy=rounds.unhealthy, noise=noise)


def check_now(node: LocalNode, ready: ReadyEnvironments, cells: Sequence[Cell]) -> CheckReport:
    """Check some cells at once, queued or not; what was recorded of each stands in their order."""
    environments = {cell.environment for cell in cells}
    tasks = [Task(cell=cell, known=prior_results(node.store.db, cell)) for cell in dict.fromkeys(cells)]
    rounds = Rounds(node, _hands(node, ready), environments, RoundLimits(jobs=1), told=lambda _: None)
    rounds.work(TaskList(tasks), expected=environments, enough=lambda: False)
    # Of a cell that was looked at twice, what the second look came to.
    kept = {staged.cell: Observation(record=staged.record, log=staged.log) for staged in rounds.kept}
    return CheckReport(observations=tuple(kept[cell] for cell in cells if cell in kept), unhealthy=rounds.unhealthy)


def _hands(node: LocalNode, shop: ReadyEnvironments) -> Hands:
    checkers = shop.checkers(node.key.id)
    return Hands(
        check=lambda cell: checkers[cell.environment].check(cell, shop.prepared[cell.environment]),
        canary=lambda environment: shop.canary(shop.prepared[environment]),
        close=shop.close,
    )


def _behind_gateway(shop: ReadyEnvironments) -> tuple[str, ...]:
    return tuple(id_ for id_, prepared in shop.prepared.items() if prepared.network is Network.GATEWAY)


def _lease_s(matrix: Matrix) -> int:
    """Give how long a cell can be in hand at most: each phase to its timeout, and all of them twice."""
    return 2 * sum(matrix.timeouts_s.values()) + LEASE_SLACK_S


def _note_untrusted(node: LocalNode, reach: QueueFilter, due: Mapping[str, int]) -> None:
    asked = node.store.due_counts(replace(reach, untrusted_environments=None), now=node.context.now)
    if strange := sum(asked.values()) - sum(due.values()):
        node.context.reporter.note(
            f"{strange} cells of the open feed stay queued: what strangers uploaded runs only behind the gateway"
        )


def _check_again(node: LocalNode, rounds: Rounds, order: RunRequest) -> Flakiness | None:
    """Check some of what this run settled, or else of the newest verdicts, a second time; give how that compares."""
    if not order.aa_cells:
        return None
    healthy = rounds.healthy
    settled = {staged.cell: staged.record for staged in rounds.kept if staged.record.result in EXECUTED}
    records = [record for record in settled.values() if record.environment in healthy]
    records = records or queries.newest_own_verdicts(node.store.db, node.key.id, healthy, AA_NEWEST)
    firsts = {record.id: record for record in sample_records(records, order.aa_cells, seed=order.seed)}
    tasks = [
        Task(cell=cell, known=prior_results(node.store.db, cell), first=record)
        for record in firsts.values()
        for cell in (Cell.of(record),)
    ]
    # Whoever asks for them gets them, were the minutes over.
    rounds.work(TaskList(tasks), expected={task.cell.environment for task in tasks}, enough=lambda: False)
    seconds = [staged for staged in rounds.kept if staged.recheck and staged.recheck.reason is RecheckReason.AA]
    return compare_pairs((firsts[staged.recheck.first], staged.record) for staged in seconds if staged.recheck)


def _note_remaining(node: LocalNode, noise: Flakiness | None) -> None:
    reporter = node.context.reporter
    if noise:
        reporter.note(f"our own noise: {noise}")
    for environment, count in sorted(staging.pending_counts(node.store.db).items()):
        reporter.note(f"{count} results of {environment} wait for its canary: the next run there publishes them")
    if given_up := queries.given_up(node.store.db):
        reporter.note(
            f"{len(given_up)} cells came to an error of ours {MAX_ATTEMPTS} times and are left to you, such as"
            f" {given_up[0]}: to name a package tries it anew"
        )
