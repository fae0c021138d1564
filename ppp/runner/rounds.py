"""Check cells in rounds: an environment's canary, then cells, then the canary again.

The results of a round wait in the ledger (`ppp.ledger.staging`) until the canary after them finds the environment
healthy. If it does not, each of them becomes an `ERROR` of ours, and nothing more is begun in that environment.
"""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, assert_never

from ppp.check.causes import one_line
from ppp.check.cell import Observation
from ppp.ledger import staging
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.staging import Recheck, RecheckReason, StagedRecord
from ppp.model.record import Record, Result, to_infrastructure_error
from ppp.runner.context import OpenLedger
from ppp.runner.job_sources import JobSource
from ppp.runner.jobs import CanaryJob, CanaryJobResult, CellJob, CellJobResult, Job, JobResult
from ppp.runner.pool import Executor, WorkerPool

#: A round ends, and its environment's canary runs again, after so many cells or so many seconds at the latest.
ROUND_CELLS: Final = 200
ROUND_S: Final = 20 * 60


#: Causes of an `ERROR` that no later attempt changes: only a person can, by another matrix.
LASTING_ERRORS: Final = frozenset({"file-size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLimits:
    """How many jobs run at a time, and how long a round is, in cells and in seconds of a clock."""

    jobs: int
    cells: int = ROUND_CELLS
    seconds: float = ROUND_S
    clock: Callable[[], float] = time.monotonic


class BudgetLimit(StrEnum):
    """What ended a run before its queue was empty: an option of `ppp run`."""

    MINUTES = "minutes"
    CELLS = "cells"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long, on the clock of the limits, and how many cells may be begun; None means no limit."""

    deadline: float | None = None
    cells: int | None = None

    def limit_reached(self, *, begun: int, now: float) -> BudgetLimit | None:
        """Return which limit is reached once so many cells were begun, or None: then another may be begun."""
        if self.cells is not None and begun >= self.cells:
            return BudgetLimit.CELLS
        return BudgetLimit.MINUTES if self.deadline is not None and now > self.deadline else None


NO_BUDGET: Final = Budget()


class _Health(StrEnum):
    UNKNOWN = "unknown"
    #: Its canary is running, and nothing else.
    BEING_TESTED = "being-tested"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(slots=True, kw_only=True)
class EnvironmentState:
    """An environment during a run: its health, jobs running there, and its round: cells staged since it began."""

    health: _Health = _Health.UNKNOWN
    running: int = 0
    staged: int = 0
    round_began: float = 0.0

    def is_round_full(self, limits: RoundLimits) -> bool:
        """Return whether the canary has to run before more cells are begun."""
        begun = self.running + self.staged
        return begun >= limits.cells or (begun > 0 and limits.clock() - self.round_began >= limits.seconds)


class Rounds:
    """The rounds of one run.

    `checked` counts cells that were checked, `recorded` lists what the ledger took of them in its order, `unhealthy`
    says for each unhealthy environment what is wrong there, and `ended_by` which limit the last run reached, if one.
    """

    def __init__(
        self,
        ledger: OpenLedger,
        executor: Executor[Job, JobResult],
        environments: Collection[str],
        limits: RoundLimits,
        *,
        on_result: Callable[[Record], None],
    ) -> None:
        """Begin with environments whose health is unknown; `on_result` is called with each cell's result at once."""
        self._ledger = ledger
        self._executor = executor
        self._limits = limits
        self._on_result = on_result
        self._running: list[Job] = []
        self._states = {environment: EnvironmentState() for environment in environments}
        self.checked = 0
        self.recorded: list[StagedRecord] = []
        self.unhealthy: dict[str, str] = {}
        self.ended_by: BudgetLimit | None = None
        self._begun = 0

    @property
    def healthy(self) -> list[str]:
        """The environments whose canaries have found nothing wrong so far."""
        return [environment for environment in self._states if environment not in self.unhealthy]

    def run(self, source: JobSource, *, expected: Collection[str], budget: Budget = NO_BUDGET) -> None:
        """Carry out the jobs of a source, until it has no more, the budget is used up or a stop is requested.

        `expected` are the environments that the source may have jobs for; only their canaries run. The budget's cells
        are those of all runs of these rounds. After a stop, results without a canary behind them stay pending.
        """
        self.ended_by = None
        with WorkerPool(self._executor, jobs=self._limits.jobs) as pool:
            while not self._ledger.context.stop.is_set():
                for job in self._next_jobs(source, expected, pool.free, budget):
                    pool.submit(job)
                    self._show_running([*self._running, job])
                if pool.is_idle:
                    return
                for result in pool.collect():
                    self._show_running([job for job in self._running if job is not result.job])
                    self._settle(result)
            for result in pool.stop():
                # What was cut short is not settled: its cell is still queued, its canary runs again.
                if result.is_conclusive:
                    self._settle(result)

    def _show_running(self, jobs: list[Job]) -> None:
        self._running = jobs
        self._ledger.context.reporter.running([str(job) for job in jobs])

    # ---------------------------------------------------------------- what to do next

    def _next_jobs(self, source: JobSource, expected: Collection[str], limit: int, budget: Budget) -> list[Job]:
        jobs: list[Job] = []
        self.ended_by = budget.limit_reached(begun=self._begun, now=self._limits.clock())
        is_over = self.ended_by is not None
        if not is_over:
            jobs += self._canary_jobs(limit, lambda id_, state: state.health is _Health.UNKNOWN and id_ in expected)
        jobs += self._canary_jobs(limit - len(jobs), lambda _, state: self._is_due(state))
        open_environments = [id_ for id_, state in self._states.items() if self._is_open(state)]
        if open_environments and not is_over and limit > len(jobs):
            left = limit - len(jobs) if budget.cells is None else min(limit - len(jobs), budget.cells - self._begun)
            cell_jobs = source.take(open_environments, left)
            self._begun += len(cell_jobs)
            for job in cell_jobs:
                self._states[job.cell.environment].running += 1
            jobs += cell_jobs
        # Nothing more can be begun: where nothing runs, the round is over.
        jobs += self._canary_jobs(limit - len(jobs), lambda _, state: self._is_open(state) and state.staged > 0)
        return jobs

    def _is_due(self, state: EnvironmentState) -> bool:
        return state.health is _Health.HEALTHY and state.is_round_full(self._limits)

    def _is_open(self, state: EnvironmentState) -> bool:
        return state.health is _Health.HEALTHY and not state.is_round_full(self._limits)

    def _canary_jobs(self, limit: int, is_time: Callable[[str, EnvironmentState], bool]) -> Iterator[CanaryJob]:
        for environment, state in self._states.items():
            if limit > 0 and state.running == 0 and is_time(environment, state):
                limit -= 1
                state.health = _Health.BEING_TESTED
                yield CanaryJob(environment=environment)

    # ---------------------------------------------------------------- results

    def _settle(self, result: JobResult) -> None:
        match result:
            case CellJobResult():
                self._settle_cell(result.job, result.observations)
            case CanaryJobResult():
                self._settle_canary(result.job.environment, result.faults)
            case _:
                assert_never(result)

    def _settle_cell(self, job: CellJob, observations: tuple[Observation, ...]) -> None:
        *earlier, last = observations
        state = self._states[job.cell.environment]
        state.running -= 1
        self.checked += 1
        if last.record.result is Result.ERROR:
            self._record_error(job, earlier, last)
        else:
            state.staged += 1
            staging.stage(self._ledger.store, _staged(job, observations), now=self._ledger.context.now)
        self._on_result(last.record)
        if earlier and earlier[0].record.result is not last.record.result:
            self._ledger.context.reporter.note(
                f"{job.cell}: {earlier[0].record.result} at first, {last.record.result} when checked again"
            )

    def _record_error(self, job: CellJob, earlier: list[Observation], last: Observation) -> None:
        store = self._ledger.store
        for observation in earlier:
            # A regression that was not confirmed is not published: the next attempt starts over.
            detail = one_line(f"a regression that could not be confirmed: {last.record.detail}")
            cause = last.record.cause or "sandbox"
            store.add_record(to_infrastructure_error(observation.record, cause=cause, detail=detail))
        queued = job.queued
        if queued and last.record.cause in LASTING_ERRORS:
            queued = replace(queued, attempts=MAX_ATTEMPTS - 1)
        store.add_record(last.record, last.log, retry=queued, now=self._ledger.context.now)
        self.recorded.append(StagedRecord(record=last.record, log=last.log))

    def _settle_canary(self, environment: str, faults: tuple[str, ...]) -> None:
        if not faults:
            self.recorded += staging.promote(self._ledger.store, environment)
            self._states[environment] = EnvironmentState(health=_Health.HEALTHY, round_began=self._limits.clock())
            return
        reason = one_line(f"the canary says: {'; '.join(faults)}")
        rejected = staging.reject(self._ledger.store, environment, reason=reason, now=self._ledger.context.now)
        self._states[environment].health = _Health.UNHEALTHY
        self.recorded += rejected
        self.unhealthy[environment] = reason
        lost = f"; {len(rejected)} results there are rejected" if rejected else ""
        self._ledger.context.reporter.warn(f"{environment} is unhealthy: {reason}{lost}")


def _staged(job: CellJob, observations: tuple[Observation, ...]) -> Iterator[StagedRecord]:
    recheck = None
    if job.recheck_of is not None:
        recheck = Recheck(first=job.recheck_of.id, reason=RecheckReason.AA)
    for observation in observations:
        yield StagedRecord(record=observation.record, log=observation.log, queued=job.queued, recheck=recheck)
        recheck = Recheck(first=observation.record.id, reason=RecheckReason.CONFIRMATION)
