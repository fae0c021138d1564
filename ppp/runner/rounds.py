"""Works through cells in rounds: an environment's canary, cells, the canary again; only then is a round believed.

What a round observes waits in the ledger until the canary behind it agrees; where it does not, each observation becomes
an `ERROR` of ours, and nothing more is begun there. A fresh regression is looked at twice before it is told.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol, TypeAlias, assert_never

from ppp.check.causes import one_line
from ppp.check.cell import Observation
from ppp.ledger import staging
from ppp.ledger.regressions import PriorResults, is_new_regression, prior_results
from ppp.ledger.staging import Recheck, RecheckReason, StagedRecord
from ppp.ledger.store import QueuedCell, QueueFilter
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result, to_infrastructure_error
from ppp.runner import pool
from ppp.runner.context import LocalNode

#: An environment's canary is heard again after so many cells, or so many seconds, at the latest.
ROUND_CELLS: Final = 200
ROUND_S: Final = 20 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A cell to check, as it was queued, and what was known of it; `first` makes it a second look, by chance."""

    cell: Cell
    queued: QueuedCell | None = None
    known: PriorResults = field(default_factory=PriorResults)
    first: Record | None = None


class TaskSource(Protocol):
    """Where tasks come from."""

    def take(self, environments: Collection[str], n: int) -> list[Task]:
        """Give up to `n` tasks in some environments; none where there is nothing to do there now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What does the work: checks a cell; hears an environment's canary, which says what is wrong; ends all of it."""

    check: Callable[[Cell], Observation]
    canary: Callable[[str], Sequence[str]]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLimits:
    """How many jobs run at a time, and how long a round is, in cells and in seconds of a clock."""

    jobs: int
    cells: int = ROUND_CELLS
    seconds: float = ROUND_S
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryJob:
    """A canary check of one environment."""

    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    observations: tuple[Observation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    faults: tuple[str, ...]


_Job: TypeAlias = Task | CanaryJob
_Done: TypeAlias = _Seen | _Heard


class _State(StrEnum):
    NEW = "new"
    SINGING = "singing"
    OPEN = "open"
    ILL = "ill"


@dataclass(slots=True, kw_only=True)
class EnvironmentState:
    """An environment as this run has come to know it: `seen` cells were settled since its canary, `since` then."""

    state: _State = _State.NEW
    running: int = 0
    seen: int = 0
    since: float = 0.0

    def is_due(self, pace: RoundLimits) -> bool:
        """Say whether its canary has to be heard before more is begun."""
        began = self.running + self.seen
        return began >= pace.cells or (began > 0 and pace.clock() - self.since >= pace.seconds)


class Rounds:
    """One run's rounds: `settled` counts tasks, `kept` is what the ledger took of them, `unhealthy` why it did not."""

    def __init__(
        self,
        node: LocalNode,
        hands: Hands,
        environments: Collection[str],
        pace: RoundLimits,
        *,
        told: Callable[[Record], None],
    ) -> None:
        """Begin with environments whose canaries are still to be heard; `told` hears each cell's result at once."""
        self._node = node
        self._hands = hands
        self._pace = pace
        self._told = told
        self._wards = {environment: EnvironmentState() for environment in environments}
        self.settled = 0
        self.kept: list[StagedRecord] = []
        self.unhealthy: dict[str, str] = {}

    @property
    def healthy(self) -> list[str]:
        """Give the environments whose canaries have found nothing wrong yet."""
        return [environment for environment in self._wards if environment not in self.unhealthy]

    def work(self, supply: TaskSource, *, expected: Collection[str], enough: Callable[[], bool]) -> None:
        """Do what is supplied, until nothing is left, nothing more shall be begun, or a stop is wished.

        `expected` are the environments that it may be for. After a stop, what no canary stands behind stays pending.
        """
        pool.drain(
            lambda n: self._take(supply, expected, n, enough=enough()),
            self._do,
            jobs=self._pace.jobs,
            settle=self._settle,
            stop=self._node.context.stop,
            close=self._hands.close,
            keep=_is_finished,
        )

    def _take(self, supply: TaskSource, expected: Collection[str], n: int, *, enough: bool) -> list[_Job]:
        jobs: list[_Job] = []
        jobs += self._songs(n, lambda id_, ward: ward.state is _State.NEW and id_ in expected and not enough)
        jobs += self._songs(n - len(jobs), lambda _, ward: ward.state is _State.OPEN and ward.is_due(self._pace))
        able = [id_ for id_, ward in self._wards.items() if ward.state is _State.OPEN and not ward.is_due(self._pace)]
        if able and not enough and n > len(jobs):
            tasks = supply.take(able, n - len(jobs))
            for task in tasks:
                self._wards[task.cell.environment].running += 1
            jobs += tasks
        # There is nothing more to begin: where nothing runs, a round is over.
        jobs += self._songs(n - len(jobs), lambda _, ward: ward.state is _State.OPEN and ward.seen > 0)
        return jobs

    def _songs(self, n: int, is_time: Callable[[str, EnvironmentState], bool]) -> Iterator[CanaryJob]:
        for environment, ward in self._wards.items():
            if n > 0 and ward.running == 0 and is_time(environment, ward):
                n -= 1
                ward.state = _State.SINGING
                yield CanaryJob(environment=environment)

    def _do(self, job: _Job) -> _Done:
        match job:
            case Task():
                return _Seen(observations=self._look(job))
            case CanaryJob():
                return _Heard(faults=tuple(self._hands.canary(job.environment)))
            case _:
                assert_never(job)

    def _look(self, task: Task) -> tuple[Observation, ...]:
        first = self._hands.check(task.cell)
        if task.first is not None:
            first = _after(first, task.first)
        if not is_new_regression(first.record.result, task.known):
            return (first,)
        return first, _after(self._hands.check(task.cell), first.record)

    def _settle(self, job: _Job, done: _Done) -> None:
        match job, done:
            case Task(), _Seen():
                self._settle_task(job, done.observations)
            case CanaryJob(), _Heard():
                self._settle_song(job.environment, done.faults)
            case _:
                raise TypeError(f"{done} does not come of {job}")

    def _settle_task(self, task: Task, seen: tuple[Observation, ...]) -> None:
        store, ward = self._node.store, self._wards[task.cell.environment]
        *earlier, last = seen
        ward.running -= 1
        self.settled += 1
        if last.record.result is Result.ERROR:
            for observation in earlier:
                # Not confirmed, so not told: whoever tries the cell again begins anew.
                detail = one_line(f"a regression that could not be confirmed: {last.record.detail}")
                store.add_record(
                    to_infrastructure_error(observation.record, cause=last.record.cause or "sandbox", detail=detail)
                )
            store.add_record(last.record, last.log, retry=task.queued, now=self._node.context.now)
            self.kept.append(StagedRecord(record=last.record, log=last.log))
        else:
            ward.seen += 1
            staging.stage(store, _staged(task, seen), now=self._node.context.now)
        self._told(last.record)
        if earlier and earlier[0].record.result is not last.record.result:
            self._node.context.reporter.note(
                f"{task.cell}: {earlier[0].record.result} at first, {last.record.result} when looked at again"
            )

    def _settle_song(self, environment: str, faults: tuple[str, ...]) -> None:
        store, ward = self._node.store, self._wards[environment]
        if not faults:
            self.kept += staging.promote(store, environment)
            self._wards[environment] = EnvironmentState(state=_State.OPEN, since=self._pace.clock())
            return
        reason = one_line(f"the canary says: {'; '.join(faults)}")
        overturned = staging.reject(store, environment, reason=reason, now=self._node.context.now)
        ward.state = _State.ILL
        self.kept += overturned
        self.unhealthy[environment] = reason
        lost = f"; {len(overturned)} results there are overturned" if overturned else ""
        self._node.context.reporter.warn(f"{environment} is unhealthy: {reason}{lost}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueue:
    """Takes cells from the queue by lease, a few at a time. Leases end by themselves after `lease_s` seconds."""

    node: LocalNode
    reach: QueueFilter
    run: str
    lease_s: int

    def take(self, environments: Collection[str], n: int) -> list[Task]:
        """See `Supply`."""
        store, now = self.node.store, self.node.context.now
        reach = replace(self.reach, environments=environments)
        leased = store.lease(reach, run=self.run, limit=n, until=now + self.lease_s, now=now)
        return [Task(cell=queued.cell, queued=queued, known=prior_results(store.db, queued.cell)) for queued in leased]


class TaskList:
    """Takes given tasks, in their order."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        """Hold what is to be taken."""
        self._tasks = list(tasks)

    def take(self, environments: Collection[str], n: int) -> list[Task]:
        """See `Supply`."""
        taken: list[Task] = []
        left: list[Task] = []
        for task in self._tasks:
            (taken if task.cell.environment in environments and len(taken) < n else left).append(task)
        self._tasks = left
        return taken


def _is_finished(done: _Done) -> bool:
    match done:
        case _Seen():
            return done.observations[-1].record.result is not Result.ERROR
        case _Heard():
            return not done.faults
        case _:
            assert_never(done)


def _after(observation: Observation, earlier: Record) -> Observation:
    """Give an observation that stands behind an earlier one of its cell, were both made within one second."""
    at = max(observation.record.observed_at, earlier.observed_at + 1)
    return replace(observation, record=replace(observation.record, observed_at=at))


def _staged(task: Task, seen: Sequence[Observation]) -> Iterator[StagedRecord]:
    second = None if task.first is None else Recheck(first=task.first.id, reason=RecheckReason.AA)
    for observation in seen:
        yield StagedRecord(record=observation.record, log=observation.log, queued=task.queued, recheck=second)
        second = Recheck(first=observation.record.id, reason=RecheckReason.CONFIRMATION)
