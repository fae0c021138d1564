"""The pool: jobs run in parallel, results come up in one thread, and a stop loses nothing that was finished."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice

import pytest

from ppp.check.cell import Observation
from ppp.model.record import Record, Result
from ppp.runner.pool import WorkerPool

MakeRecord = Callable[..., Record]


class NumberJobs:
    """An executor of numbers, and a loop that takes them from a queue: what was done with each, and its result."""

    def __init__(self, record: MakeRecord) -> None:
        self._record = record
        self.settled: list[int] = []
        self.threads: set[int] = set()
        self.begun: list[int] = []
        self.running = 0
        self.most = 0
        self.closed = threading.Event()
        self.stop = threading.Event()
        self.work: Callable[[int], Observation] = self.sleep
        self.settle: Callable[[int], None] = self.settled.append
        self._lock = threading.Lock()

    def observation(self, *, result: Result = Result.PASS) -> Observation:
        return Observation(record=self._record(result=result), log=None)

    def sleep(self, _number: int) -> Observation:
        time.sleep(0.01)
        return self.observation()

    def execute(self, job: int) -> tuple[int, Observation]:
        with self._lock:
            self.begun.append(job)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return job, self.work(job)
        finally:
            with self._lock:
                self.running -= 1

    def close(self) -> None:
        self.closed.set()

    def run(self, count: int, *, jobs: int = 2, enough: Callable[[], bool] = lambda: False) -> None:
        queue = iter(range(count))
        self.run_from(lambda limit: () if enough() else islice(queue, limit), jobs=jobs)

    def run_from(self, take: Callable[[int], Iterable[int]], *, jobs: int = 2) -> None:
        """Run what `take` gives, as `ppp.runner.rounds` does."""
        with WorkerPool(self, jobs=jobs) as pool:
            while not self.stop.is_set():
                for job in take(pool.free):
                    pool.submit(job)
                if pool.is_idle:
                    return
                for number, _ in pool.collect():
                    self.threads.add(threading.get_ident())
                    self.settle(number)
            for number, observation in pool.stop():
                if observation.record.result is not Result.ERROR:
                    self.settle(number)


@pytest.fixture
def numbers(record: MakeRecord) -> NumberJobs:
    return NumberJobs(record)


def test_all_jobs_are_done_and_their_results_settled_in_one_thread(numbers: NumberJobs) -> None:
    numbers.run(20, jobs=4)
    assert sorted(numbers.settled) == list(range(20))
    assert numbers.threads == {threading.get_ident()}
    assert not numbers.closed.is_set()


@pytest.mark.parametrize("jobs", [1, 3])
def test_no_more_jobs_run_at_a_time_than_allowed(numbers: NumberJobs, jobs: int) -> None:
    numbers.run(12, jobs=jobs)
    assert numbers.most <= jobs
    assert len(numbers.settled) == 12


def test_jobs_begin_in_the_order_of_the_queue(numbers: NumberJobs) -> None:
    # With more than one thread, the one that took an earlier job may begin it later.
    numbers.run(12, jobs=1)
    assert numbers.begun == list(range(12))


def test_an_empty_queue_is_done(numbers: NumberJobs) -> None:
    numbers.run(0)
    assert numbers.settled == []


def test_each_result_is_settled_as_soon_as_it_is_there(numbers: NumberJobs) -> None:
    slow_may_end = threading.Event()

    def work(number: int) -> Observation:
        if number == 0:
            assert slow_may_end.wait(10)
        return numbers.observation()

    def settle(number: int) -> None:
        numbers.settled.append(number)
        if number == 3:
            slow_may_end.set()

    numbers.work, numbers.settle = work, settle
    numbers.run(4)
    assert numbers.settled == [1, 2, 3, 0]


def test_jobs_that_are_added_while_others_run_are_taken(numbers: NumberJobs) -> None:
    queue = [0]

    def settle(number: int) -> None:
        numbers.settled.append(number)
        queue.extend(range(number + 1, min(number + 3, 5)))

    numbers.settle = settle
    numbers.run_from(lambda limit: [queue.pop() for _ in range(min(limit, len(queue)))])
    assert {0, 1, 2, 3, 4} == set(numbers.settled)
    assert sorted(numbers.begun) == sorted(numbers.settled)


def test_when_nothing_more_is_taken_what_runs_is_finished(numbers: NumberJobs) -> None:
    numbers.run(20, jobs=2, enough=lambda: len(numbers.settled) >= 4)
    assert 4 <= len(numbers.settled) <= 6
    assert sorted(numbers.begun) == sorted(numbers.settled)
    assert not numbers.closed.is_set()


def test_when_nothing_is_taken_nothing_is_begun(numbers: NumberJobs) -> None:
    numbers.run(5, enough=lambda: True)
    assert numbers.begun == []


def test_a_stop_ends_what_runs_and_keeps_what_was_finished(numbers: NumberJobs) -> None:
    def work(number: int) -> Observation:
        if number < 2:
            return numbers.observation(result=Result.FAIL)
        numbers.stop.set()
        assert numbers.closed.wait(10)
        # As with a closed runtime: a job that is cut short ends in an ERROR; but the third was just finished.
        return numbers.observation(result=Result.PASS if number == 2 else Result.ERROR)

    numbers.work = work
    numbers.run(50, jobs=2)
    assert numbers.closed.is_set()
    assert set(numbers.settled) <= {0, 1, 2}
    assert {0, 1, 2} <= set(numbers.settled)
    assert len(numbers.begun) <= 4


def test_after_a_stop_nothing_is_begun(numbers: NumberJobs) -> None:
    numbers.stop.set()
    numbers.run(5)
    assert numbers.begun == []
    assert numbers.closed.is_set()


@pytest.mark.parametrize("where", ["take", "work", "settle"])
def test_an_error_ends_what_runs_and_is_raised(numbers: NumberJobs, where: str) -> None:
    def work(number: int) -> Observation:
        if number == 1 and where == "work":
            raise ZeroDivisionError
        if number > 1:
            assert numbers.closed.wait(10)
        return numbers.observation()

    def settle(number: int) -> None:
        if number == 1:
            raise ZeroDivisionError
        numbers.settled.append(number)

    def enough() -> bool:
        return bool(numbers.settled and where == "take" and 1 / 0)

    numbers.work, numbers.settle = work, settle
    with pytest.raises(ZeroDivisionError):
        numbers.run(50, jobs=2, enough=enough)
    assert numbers.closed.is_set()
    assert len(numbers.begun) < 6


def test_a_result_is_the_very_object_that_the_job_returned(record: MakeRecord) -> None:
    given = Observation(record=replace(record(), environment="py39-slim"), log=None)

    class Fixed:
        def execute(self, _job: str) -> Observation:
            return given

        def close(self) -> None: ...

    with WorkerPool(Fixed(), jobs=1) as pool:
        pool.submit("job")
        collected: list[Observation] = []
        while not pool.is_idle:
            collected += pool.collect()
    assert collected == [given]
    assert collected[0] is given
