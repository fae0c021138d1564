"""Check queued cells, or cells that were named."""

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from ppp.check.cell import Observation
from ppp.ledger import queries, staging
from ppp.ledger.flakiness import Flakiness, compare_pairs, sample_records
from ppp.ledger.queue import QueueFilter
from ppp.ledger.queue_groups import read_queue
from ppp.ledger.regressions import prior_results
from ppp.ledger.staging import RecheckReason
from ppp.matrix_files import shipped_environments
from ppp.model.matrix import Cell, Matrix
from ppp.model.printable import printable_reason
from ppp.model.record import Network, Result
from ppp.model.release import Release
from ppp.model.trigger import Trigger
from ppp.runner.context import LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.index_files import store_fetched
from ppp.runner.job_sources import ListSource, QueueSource
from ppp.runner.jobs import CellJob, EnvironmentExecutor
from ppp.runner.queue_order import order_queue
from ppp.runner.request import RunRequest
from ppp.runner.rounds import Budget, BudgetLimit, RoundLimits, Rounds
from ppp.runner.sharing import work_share
from ppp.runner.triggers import RecheckQueue, ready_contents
from ppp.runner.waiting import Possibilities, QueueState, explain_queue

#: How much longer a lease lasts than any cell can take.
LEASE_SLACK_S: Final = 600
#: From how many of the newest results an A/A test chooses, where the run itself checked nothing.
AA_NEWEST: Final = 200
#: How much of a file's name is shown, in characters.
MAX_SHOWN_NAME: Final = 100
#: Results of cells in which something was run.
EXECUTED: Final = frozenset({Result.PASS, Result.FAIL, Result.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReport:
    """The limits of a run, which of them it reached, and how many cells it therefore left out.

    `left_out` counts what the run could have checked in its environments; it stays queued.
    """

    minutes: float | None
    cells: int | None
    ended_by: BudgetLimit | None = None
    left_out: int = 0

    def __str__(self) -> str:
        """Return it as a sentence; empty where nothing was left out."""
        if self.ended_by is None or not self.left_out:
            return ""
        limit = self.minutes if self.ended_by is BudgetLimit.MINUTES else self.cells
        count = "1 cell" if self.left_out == 1 else f"{self.left_out} cells"
        return f"the budget (--{self.ended_by} {limit:g}) left out {count}"

    def to_json(self) -> dict[str, object]:
        """Return the object that answers in JSON show."""
        limits: dict[str, object] = {"minutes": self.minutes, "cells": self.cells}
        return {**limits, "ended_by": self.ended_by, "left_out": self.left_out}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReport:
    """How the queue was worked off: cells checked, unhealthy environments and why, flakiness if it was measured.

    `budget` says what the run's limits left out.
    """

    checked: int
    unhealthy: Mapping[str, str]
    budget: BudgetReport
    flakiness: Flakiness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """What was recorded of cells that were checked directly, and which environments were unhealthy and why."""

    observations: tuple[Observation, ...]
    unhealthy: Mapping[str, str]


def check_queue(
    node: LocalNode, ready: ReadyEnvironments, request: RunRequest, *, only: frozenset[Release] | None
) -> QueueReport:
    """Check the queued cells of the environments that are ready, until none is left, time is over or a stop requested.

    `only` limits this to some releases. What the canary finds unreliable becomes an `ERROR`; results without a canary
    behind them wait for the next run; an `ERROR` is queued again, for later. Then `request.aa_cells` cells are checked
    once more. What releases that landed may have broken or fixed is queued before and after, and checked as well.
    """
    now, reporter, queue = node.context.now, node.context.reporter, node.store.queue
    confined = behind_gateway(ready)
    share = work_share(node.context.config, node.key.id, shard=request.shard)
    queue_filter = QueueFilter(
        environments=tuple(ready.prepared), untrusted_environments=confined, releases=only, share=share
    )
    # This process holds the lock of the data folder: any lease left in the queue is of a run that has ended.
    queue.release_leases()
    order_queue(node, request.matrix)
    rechecks = _rechecks(node, ready, request.matrix) if only is None else None
    if rechecks:
        rechecks.queue_all()
    due = queue.due_counts(queue_filter, now=now)
    executor = EnvironmentExecutor.of(ready, node=node.key.id)
    rounds = Rounds(node, executor, ready.prepared, RoundLimits(jobs=request.jobs), on_result=reporter.checked)
    deadline = None if request.minutes is None else time.monotonic() + request.minutes * 60
    budget = Budget(deadline=deadline, cells=request.cells)
    total = sum(due.values())
    reporter.begin((total if request.cells is None else min(total, request.cells)) + request.aa_cells)
    source = QueueSource(
        node=node, queue_filter=queue_filter, run=f"{now}-{os.getpid()}", lease_s=_lease_s(request.matrix, ready)
    )
    try:
        rounds.run(source, expected={*due, *staging.pending_counts(node.store.db)}, budget=budget)
        # A run about named packages checks nothing else: the next one looks at what it found.
        if rechecks and rechecks.queue_dependents():
            again = queue.due_counts(queue_filter, now=node.context.now)
            rounds.run(replace(source), expected=again, budget=budget)
        checked, ended_by = rounds.checked, rounds.ended_by
        flakiness = _measure_flakiness(node, rounds, request)
    finally:
        reporter.end()
        store_fetched(node.context, ready.index)
    queue.release_leases()
    _note_remaining(node, flakiness)
    _note_unread_names(node, ready.index.unread_names)
    left_out = queue.due_counts(replace(queue_filter, environments=rounds.healthy), now=now) if ended_by else {}
    spent = BudgetReport(
        minutes=request.minutes, cells=request.cells, ended_by=ended_by, left_out=sum(left_out.values())
    )
    return QueueReport(checked=checked, unhealthy=rounds.unhealthy, budget=spent, flakiness=flakiness)


def _rechecks(node: LocalNode, ready: ReadyEnvironments, matrix: Matrix) -> RecheckQueue:
    contents = ready_contents(ready)
    if ready.gateway is None:
        return RecheckQueue(node, contents, matrix.queue)
    return RecheckQueue(node, contents, matrix.queue, forget_page=ready.gateway.forget_page)


def check_now(
    node: LocalNode,
    ready: ReadyEnvironments,
    cells: Sequence[Cell],
    *,
    triggers: Mapping[Cell, Trigger] = MappingProxyType({}),
) -> CheckReport:
    """Check some cells at once, whether they are queued or not; return what was recorded of each, in their order.

    `triggers` say why some of them are checked again.
    """
    environments = {cell.environment for cell in cells}
    jobs = [
        CellJob(
            cell=cell,
            prior=prior_results(node.store.db, cell, own=node.key.id),
            was_fetched=queries.was_fetched(node.store.db, cell.release),
            trigger=triggers.get(cell),
        )
        for cell in dict.fromkeys(cells)
    ]
    executor = EnvironmentExecutor.of(ready, node=node.key.id)
    rounds = Rounds(node, executor, environments, RoundLimits(jobs=1), on_result=lambda _: None)
    rounds.run(ListSource(jobs), expected=environments)
    store_fetched(node.context, ready.index)
    # Of a cell that was checked twice, this keeps the second observation.
    recorded = {staged.cell: Observation(record=staged.record, log=staged.log) for staged in rounds.recorded}
    observations = tuple(recorded[cell] for cell in cells if cell in recorded)
    return CheckReport(observations=observations, unhealthy=rounds.unhealthy)


def queue_state(
    node: LocalNode, request: RunRequest, *, gatewayed: Collection[str], unavailable: Mapping[str, str] | None = None
) -> QueueState:
    """Return what is left in the queue: what the next run would check, and what the rest waits for.

    `unavailable` says of environments why they cannot be had; cells of the feed run only in those that are `gatewayed`.
    """
    possible = Possibilities(
        matrix=request.matrix,
        shipped=shipped_environments(),
        gatewayed=gatewayed,
        unavailable=unavailable or {},
    )
    share = work_share(node.context.config, node.key.id, shard=request.shard)
    elsewhere = share.elsewhere if share else None
    groups = read_queue(node.store.db, node=node.key.id, now=node.context.now, elsewhere=elsewhere)
    return explain_queue(groups, possible)


def behind_gateway(ready: ReadyEnvironments) -> tuple[str, ...]:
    """Return the environments that are ready and reach nothing but the index: cells of the open feed may run there."""
    return tuple(id_ for id_, prepared in ready.prepared.items() if prepared.network is Network.GATEWAY)


def _lease_s(matrix: Matrix, ready: ReadyEnvironments) -> int:
    """Return how many seconds a cell can take at most: all phases until their timeouts, twice, and an examination."""
    examination_s = ready.drift_limits.seconds if ready.drift_limits else 0
    return 2 * sum(matrix.timeouts_s.values()) + examination_s + LEASE_SLACK_S


def _measure_flakiness(node: LocalNode, rounds: Rounds, request: RunRequest) -> Flakiness | None:
    """Re-check some cells of this run, or else of the newest results, and compare: an A/A test."""
    if not request.aa_cells:
        return None
    healthy = rounds.healthy
    executed = {staged.cell: staged.record for staged in rounds.recorded if staged.record.result in EXECUTED}
    records = [record for record in executed.values() if record.environment in healthy]
    records = records or queries.newest_own_verdicts(node.store.db, node.key.id, healthy, AA_NEWEST)
    firsts = {record.id: record for record in sample_records(records, request.aa_cells, seed=request.seed)}
    jobs = [
        CellJob(
            cell=cell,
            prior=prior_results(node.store.db, cell, own=node.key.id),
            recheck_of=record,
            was_fetched=record.file is not None,
        )
        for record in firsts.values()
        for cell in (Cell.of(record),)
    ]
    # They were asked for explicitly, so they have no deadline.
    rounds.run(ListSource(jobs), expected={job.cell.environment for job in jobs})
    rechecks = [(s.recheck, s.record) for s in rounds.recorded if s.recheck and s.recheck.reason is RecheckReason.AA]
    return compare_pairs((firsts[recheck.first], record) for recheck, record in rechecks)


def _note_unread_names(node: LocalNode, unread: Mapping[str, Sequence[str]]) -> None:
    """Count the files that were skipped because nobody here can read their names, such as wheels with a variant."""
    if names := [name for package in sorted(unread) for name in unread[package]]:
        shown = printable_reason(names[0], MAX_SHOWN_NAME)
        count = f"1 file was skipped: pip cannot read its name, {shown}"
        counts = f"{len(names)} files were skipped: pip cannot read their names, such as {shown}"
        node.context.reporter.note(count if len(names) == 1 else counts)


def _note_remaining(node: LocalNode, flakiness: Flakiness | None) -> None:
    reporter = node.context.reporter
    if flakiness:
        reporter.note(f"flakiness (A/A test): {flakiness}")
    for environment, count in sorted(staging.pending_counts(node.store.db).items()):
        reporter.note(f"{count} results of {environment} wait for its canary: the next run there publishes them")
