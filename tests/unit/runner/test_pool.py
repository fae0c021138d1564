"""Working through a queue: side by side, settled in one thread, and stopped without losing what was finished."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from ppp.check.cell import Observation
from ppp.model.record import Record, Result
from ppp.runner.pool import drain

MakeRecord = Callable[..., Record]


class NumberQueue:
    """A queue of numbers: what is done with each, and what came of it."""

    def __init__(self, record: MakeRecord) -> None:
        self._record = record
        self.settled: list[int] = []
        self.threads: set[int] = set()
        self.begun: list[int] = []
        self.running = 0
        self.most = 0
        self.closed = threading.Event()
        self.stop = threading.Event()
        self._lock = threading.Lock()

    def observation(self, *, result: Result = Result.PASS) -> Observation:
        return Observation(record=self._record(result=result), log=None)

    def work(self, number: int) -> Observation:
        with self._lock:
            self.begun.append(number)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return self.task(number)
        finally:
            with self._lock:
                self.running -= 1

    def task(self, _number: int) -> Observation:
        time.sleep(0.01)
        return self.observation()

    def settle(self, number: int, _observation: Observation) -> None:
        self.threads.add(threading.get_ident())
        self.settled.append(number)

    def drain(self, count: int, *, jobs: int = 2, enough: Callable[[], bool] = lambda: False) -> None:
        queue = iter(range(count))
        drain(
            lambda n: () if enough() else islice(queue, n),
            self.work,
            jobs=jobs,
            settle=self.settle,
            stop=self.stop,
            close=self.closed.set,
            keep=lambda observation: observation.record.result is not Result.ERROR,
        )


@pytest.fixture
def yard(record: MakeRecord) -> NumberQueue:
    return NumberQueue(record)


def test_all_of_a_queue_is_worked_and_settled_in_one_thread(yard: NumberQueue) -> None:
    yard.drain(20, jobs=4)
    assert sorted(yard.settled) == list(range(20))
    assert yard.threads == {threading.get_ident()}
    assert not yard.closed.is_set()


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_run_at_a_time_than_are_allowed(yard: NumberQueue, jobs: int) -> None:
    yard.drain(12, jobs=jobs)
    assert yard.most <= jobs
    assert len(yard.settled) == 12


def test_cells_are_begun_in_the_order_of_the_queue(yard: NumberQueue) -> None:
    # With more than one, whoever took an earlier cell may begin it later.
    yard.drain(12, jobs=1)
    assert yard.begun == list(range(12))


def test_an_empty_queue_is_done(yard: NumberQueue) -> None:
    yard.drain(0)
    assert yard.settled == []


def test_each_is_settled_as_soon_as_it_is_there(yard: NumberQueue) -> None:
    slow_may_end = threading.Event()

    def task(number: int) -> Observation:
        if number == 0:
            assert slow_may_end.wait(10)
        return yard.observation()

    def settle(number: int, _observation: Observation) -> None:
        yard.settled.append(number)
        if number == 3:
            slow_may_end.set()

    yard.task = task  # type: ignore[method-assign, assignment]
    yard.settle = settle  # type: ignore[method-assign]
    yard.drain(4)
    assert yard.settled == [1, 2, 3, 0]


def test_what_comes_up_while_something_runs_is_taken(yard: NumberQueue) -> None:
    queue = [0]

    def settle(number: int, _observation: Observation) -> None:
        yard.settled.append(number)
        queue.extend(range(number + 1, min(number + 3, 5)))

    yard.settle = settle  # type: ignore[method-assign]
    drain(
        lambda n: [queue.pop() for _ in range(min(n, len(queue)))],
        yard.work,
        jobs=2,
        settle=yard.settle,
        stop=yard.stop,
        close=yard.closed.set,
        keep=lambda _: True,
    )
    assert {0, 1, 2, 3, 4} == set(yard.settled)
    assert sorted(yard.begun) == sorted(yard.settled)


def test_enough_begins_nothing_new_and_finishes_what_runs(yard: NumberQueue) -> None:
    yard.drain(20, jobs=2, enough=lambda: len(yard.settled) >= 4)
    assert 4 <= len(yard.settled) <= 6
    assert sorted(yard.begun) == sorted(yard.settled)
    assert not yard.closed.is_set()


def test_enough_from_the_start_begins_nothing(yard: NumberQueue) -> None:
    yard.drain(5, enough=lambda: True)
    assert yard.begun == []


def test_a_stop_ends_what_runs_and_keeps_what_came_to_a_verdict(yard: NumberQueue) -> None:
    def task(number: int) -> Observation:
        if number < 2:
            return yard.observation(result=Result.FAIL)
        yard.stop.set()
        assert yard.closed.wait(10)
        # As a closed runtime has it: cut short, which is ours; but the third had come to its verdict just then.
        return yard.observation(result=Result.PASS if number == 2 else Result.ERROR)

    yard.task = task  # type: ignore[method-assign, assignment]
    yard.drain(50, jobs=2)
    assert yard.closed.is_set()
    assert set(yard.settled) <= {0, 1, 2}
    assert {0, 1, 2} <= set(yard.settled)
    assert len(yard.begun) <= 4


def test_a_stop_from_the_start_begins_nothing(yard: NumberQueue) -> None:
    yard.stop.set()
    yard.drain(5)
    assert yard.begun == []
    assert yard.closed.is_set()


@pytest.mark.parametrize("where", ["take", "work", "settle"])
def test_an_error_ends_what_runs_and_is_raised(yard: NumberQueue, where: str) -> None:
    def task(number: int) -> Observation:
        if number == 1 and where == "work":
            raise ZeroDivisionError
        if number > 1:
            assert yard.closed.wait(10)
        return yard.observation()

    def settle(number: int, _observation: Observation) -> None:
        if number == 1:
            raise ZeroDivisionError
        yard.settled.append(number)

    def enough() -> bool:
        return bool(yard.settled and where == "take" and 1 / 0)

    yard.task = task  # type: ignore[method-assign, assignment]
    yard.settle = settle  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        yard.drain(50, jobs=2, enough=enough)
    assert yard.closed.is_set()
    assert len(yard.begun) < 6


def test_what_is_settled_is_what_the_work_gave(record: MakeRecord) -> None:
    given = Observation(record=replace(record(), environment="py39-slim"), log=None)
    got: list[Observation] = []
    queue = iter(["job"])
    drain(
        lambda n: islice(queue, n),
        lambda _: given,
        jobs=1,
        settle=lambda _, observation: got.append(observation),
        stop=threading.Event(),
        close=lambda: None,
        keep=lambda _: True,
    )
    assert got == [given]
    assert got[0] is given
