"""The jobs of a run: check a cell, or run an environment's canary.

A new regression is checked a second time within the same job, so that both observations come up as one result.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self, TypeAlias, assert_never

from ppp.check.cell import Checker, Observation
from ppp.check.cell_facts import Expectations
from ppp.ledger.queue import QueuedCell
from ppp.ledger.regressions import PriorResults, is_new_regression
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.model.matrix import Cell
from ppp.model.queue_policy import TRUSTED_SOURCES
from ppp.model.record import Record, Result
from ppp.model.trigger import Trigger
from ppp.runner.drift import DriftExaminer
from ppp.runner.environments import ReadyEnvironments


@dataclass(frozen=True, slots=True, kw_only=True)
class CellJob:
    """A cell to check, with its entry in the queue and the earlier results that a regression is judged by.

    `recheck_of` is the record that an A/A test compares the result with; `was_fetched` says whether a file of the
    release was fetched before, in any environment. `files_may_come` and `withdrawn` are what the journal knows; see
    `Expectations`. `trigger` is why a cell is checked again that is not queued.
    """

    cell: Cell
    queued: QueuedCell | None = None
    prior: PriorResults = field(default_factory=PriorResults)
    recheck_of: Record | None = None
    was_fetched: bool = False
    files_may_come: bool = False
    withdrawn: str = ""
    trigger: Trigger | None = None

    def __str__(self) -> str:
        """Return what a person sees of it."""
        return f"{self.cell.release} in {self.cell.environment}"

    @property
    def triggered_by(self) -> Trigger | None:
        """What made this node check the cell again, if anything did."""
        return self.queued.triggered_by if self.queued else self.trigger

    @property
    def absence_is_final(self) -> bool:
        """Whether the index must have listed the release by now, so that one that it does not list is withdrawn.

        It has listed one whose file was fetched before. One that was only announced may be missing from pages that lag
        behind; before the last attempt, more than an hour after the first, no page lags any more.
        """
        return self.was_fetched or self._is_last_attempt

    @property
    def expected(self) -> Expectations:
        """What is known of the release before its page is read."""
        # A cell that no journal queued was asked for by a person: of a yanked release, only a pin does that.
        is_asked = self.queued is None or self.queued.source in TRUSTED_SOURCES
        return Expectations(
            absence_is_final=self.absence_is_final,
            takes_yanked=is_asked,
            files_may_come=self.files_may_come,
            withdrawn=self.withdrawn,
            page_may_lag=not (is_asked or self._is_last_attempt),
        )

    @property
    def _is_last_attempt(self) -> bool:
        return self.queued is not None and self.queued.attempts + 1 >= MAX_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryJob:
    """An environment whose canary is to be run."""

    environment: str

    def __str__(self) -> str:
        """Return what a person sees of it."""
        return f"canary of {self.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellJobResult:
    """What was observed of a cell: once, or twice where the first observation was a new regression."""

    job: CellJob
    observations: tuple[Observation, ...]

    @property
    def is_conclusive(self) -> bool:
        """Whether the cell was checked to its end; an `ERROR` may come of a job that was cut short."""
        return self.observations[-1].record.result is not Result.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryJobResult:
    """What the canary found wrong with its environment, a sentence each; nothing where it is healthy."""

    job: CanaryJob
    faults: tuple[str, ...]

    @property
    def is_conclusive(self) -> bool:
        """Whether the canary ran to its end; a fault may come of a job that was cut short."""
        return not self.faults


Job: TypeAlias = CellJob | CanaryJob
JobResult: TypeAlias = CellJobResult | CanaryJobResult


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentExecutor:
    """Carries out jobs in environments that are ready; see `ppp.runner.pool.Executor`."""

    ready: ReadyEnvironments
    checkers: Mapping[str, Checker]
    examiner: DriftExaminer

    @classmethod
    def of(cls, ready: ReadyEnvironments, *, node: str) -> Self:
        """Return an executor whose records carry the id of a node."""
        return cls(ready=ready, checkers=ready.checkers(node), examiner=DriftExaminer(ready=ready))

    def execute(self, job: Job) -> JobResult:
        """Check a cell or run a canary."""
        match job:
            case CellJob():
                result = check_cell(job, partial(self._check, expected=job.expected))
                if not result.is_conclusive:
                    # On a full disk every other cell would end in an error too.
                    self.ready.check_room()
                return self._examined(result)
            case CanaryJob():
                faults = self.ready.canary(self.ready.prepared[job.environment])
                return CanaryJobResult(job=job, faults=tuple(faults))
            case _:
                assert_never(job)

    def _examined(self, result: CellJobResult) -> CellJobResult:
        *earlier, last = result.observations
        if result.job.recheck_of is not None:
            # An A/A test compares what was observed, not what it shows.
            return result
        return replace(result, observations=(*earlier, self.examiner.examine(last)))

    def close(self) -> None:
        """End every sandbox."""
        self.ready.close()

    def _check(self, cell: Cell, *, expected: Expectations) -> Observation:
        prepared = self.ready.prepared[cell.environment]
        return self.checkers[cell.environment].check(cell, prepared, expected=expected)


def check_cell(job: CellJob, check: Callable[[Cell], Observation]) -> CellJobResult:
    """Check the cell of a job with `check`, and once more if the result is a new regression."""
    check = _with_trigger(check, job.triggered_by)
    first = check(job.cell)
    if job.recheck_of is not None:
        first = _observed_after(first, job.recheck_of)
    # Accusing a release takes two observations: one may be a hiccup of the network or of this machine.
    if not is_new_regression(first.record.result, job.prior):
        return CellJobResult(job=job, observations=(first,))
    second = _observed_after(check(job.cell), first.record)
    return CellJobResult(job=job, observations=(first, second))


def _with_trigger(check: Callable[[Cell], Observation], trigger: Trigger | None) -> Callable[[Cell], Observation]:
    """Return a function that checks a cell and says in the record why it did so again."""

    def check_again(cell: Cell) -> Observation:
        observation = check(cell)
        return replace(observation, record=replace(observation.record, triggered_by=trigger))

    return check_again


def _observed_after(observation: Observation, earlier: Record) -> Observation:
    """Return an observation that is at least a second later than an earlier one of the same cell.

    Times are whole seconds: two observations within one second could not be put in order.
    """
    at = max(observation.record.observed_at, earlier.observed_at + 1)
    return replace(observation, record=replace(observation.record, observed_at=at))
