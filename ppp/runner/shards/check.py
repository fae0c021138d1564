"""Make a plan of a node's queue; check one shard of a plan, in a ledger of its own and without the node's key."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ppp.ledger import queries, staging
from ppp.ledger.queue import QueueFilter
from ppp.model.queue_policy import TRUSTED_SOURCES
from ppp.model.record import Network
from ppp.runner.context import LocalNode, OpenLedger
from ppp.runner.environments import NO_NODE, ReadyEnvironments
from ppp.runner.job_sources import ListSource, queued_job
from ppp.runner.jobs import CellJob, EnvironmentExecutor
from ppp.runner.queue_order import order_queue
from ppp.runner.request import RunRequest
from ppp.runner.rounds import Budget, RoundLimits, Rounds
from ppp.runner.shards.plan import PlannedCell, ShardId, ShardPlan
from ppp.runner.sharing import work_share
from ppp.runner.triggers import RecheckQueue, recorded_contents

#: The run that has the cells while a plan is made.
PLANNING: Final = "plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardWork:
    """Which shard of each environment is checked, how many jobs at a time, for how many minutes; None is no limit."""

    number: int
    jobs: int
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardReport:
    """How many cells a shard was given, how many have a result that counts, and which environments were unhealthy."""

    given: int
    finished: int
    unhealthy: Mapping[str, str]


def plan_queue(node: LocalNode, request: RunRequest, *, shards: int, cells: int) -> ShardPlan:
    """Order a node's queue, queue what is to be checked again as a run does, and return a plan of what comes next.

    What a run would look at in environments that are ready, this reads from the records of the shards before.
    """
    order_queue(node, request.matrix)
    contents = recorded_contents(node, request.environments)
    RecheckQueue(node, contents, request.matrix.queue).queue_all()
    return make_plan(node, [e.id for e in request.environments], shards=shards, cells=cells)


def make_plan(node: LocalNode, environments: Collection[str], *, shards: int, cells: int) -> ShardPlan:
    """Return a plan of what comes next in a node's queue, of so many cells at most. The queue stays as it is.

    What is in the shares of other nodes is not planned.
    """
    store, now = node.store, node.context.now
    store.queue.release_leases()
    queue_filter = QueueFilter(environments=environments, share=work_share(node.context.config, node.key.id))
    taken = store.queue.lease(queue_filter, run=PLANNING, limit=cells, until=now, now=now)
    store.queue.release_leases(run=PLANNING)
    planned = (
        PlannedCell(
            queued=queued,
            prior=job.prior,
            was_fetched=job.was_fetched,
            files_may_come=job.files_may_come,
            withdrawn=job.withdrawn,
        )
        for queued in taken
        for job in (queued_job(node, queued),)
    )
    return ShardPlan(created_at=now, shards=shards, cells=tuple(planned)).limited()


def check_shard(ledger: OpenLedger, ready: ReadyEnvironments, plan: ShardPlan, work: ShardWork) -> ShardReport:
    """Check what a plan gave to a shard in the environments that are ready, in its order.

    What is observed is stored as records of no node. What was finished before is not checked again; an `ERROR` is left
    to the next plan. Releases that nobody asked for are checked only in environments behind the gateway; the others
    stay queued at the node.
    """
    shards = {ShardId(environment=id_, number=work.number, count=plan.shards) for id_ in ready.prepared}
    mine = {cell for shard, cells in plan.by_shard().items() if shard in shards for cell in cells}
    given = [planned for planned in plan.cells if planned.cell in mine]
    finished = queries.cells_with_verdict(ledger.store.db, NO_NODE)
    todo = [planned for planned in _allowed(given, ready) if planned.cell not in finished]
    jobs = [_job(one) for one in todo]
    reporter = ledger.context.reporter
    reporter.begin(len(jobs))
    executor = EnvironmentExecutor.of(ready, node=NO_NODE)
    rounds = Rounds(ledger, executor, ready.prepared, RoundLimits(jobs=work.jobs), on_result=reporter.checked)
    deadline = None if work.minutes is None else time.monotonic() + work.minutes * 60
    expected = {*staging.pending_counts(ledger.store.db), *(job.cell.environment for job in jobs)}
    try:
        rounds.run(ListSource(jobs), expected=expected & ready.prepared.keys(), budget=Budget(deadline=deadline))
    finally:
        reporter.end()
    done = mine & queries.cells_with_verdict(ledger.store.db, NO_NODE)
    return ShardReport(given=len(given), finished=len(done), unhealthy=rounds.unhealthy)


def _job(planned: PlannedCell) -> CellJob:
    return CellJob(
        cell=planned.cell,
        queued=planned.queued,
        prior=planned.prior,
        was_fetched=planned.was_fetched,
        files_may_come=planned.files_may_come,
        withdrawn=planned.withdrawn,
    )


def _allowed(given: Iterable[PlannedCell], ready: ReadyEnvironments) -> Iterator[PlannedCell]:
    """Yield the cells that may run here: of the open feed, only those that reach nothing but the index."""
    for planned in given:
        prepared = ready.prepared.get(planned.cell.environment)
        is_trusted = planned.queued.source in TRUSTED_SOURCES
        if prepared and (is_trusted or prepared.network is Network.GATEWAY):
            yield planned
