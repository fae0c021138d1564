"""Carry out jobs in parallel threads: a job goes down once, and its result comes up once, in the caller's thread."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Final, Generic, Protocol, Self, TypeVar

#: How long `WorkerPool.collect` waits at most, in seconds, and so how soon a request to stop is noticed.
POLL_S: Final = 0.2

Job = TypeVar("Job")
JobT_contra = TypeVar("JobT_contra", contravariant=True)
Result = TypeVar("Result")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Executor(Protocol[JobT_contra, ResultT_co]):
    """What does the work of a job. `execute` is called from several threads at once."""

    def execute(self, job: JobT_contra, /) -> ResultT_co:
        """Carry out a job and return its result."""

    def close(self) -> None:
        """End everything that is running, so that each `execute` returns soon, whatever it has reached."""


class WorkerPool(Generic[Job, Result]):
    """Threads that carry out up to `jobs` jobs at a time. Use it as a context manager, from one thread.

    Where its block raises an error, running jobs are ended before the error is passed on.
    """

    def __init__(self, executor: Executor[Job, Result], *, jobs: int) -> None:
        """Prepare `jobs` threads for an executor; each starts with its first job."""
        self._executor = executor
        self._jobs = jobs
        self._running: set[Future[Result]] = set()
        self._threads = ThreadPoolExecutor(jobs)

    def __enter__(self) -> Self:
        """Return the pool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for running jobs; end them first if an error is being raised."""
        # Otherwise the error would be shown only after every running cell has reached its timeout.
        if kind is not None:
            self._executor.close()
        self._threads.shutdown()

    @property
    def free(self) -> int:
        """How many more jobs can be submitted now."""
        return self._jobs - len(self._running)

    @property
    def is_idle(self) -> bool:
        """Whether no job is running and every result has been collected."""
        return not self._running

    def submit(self, job: Job) -> None:
        """Begin a job."""
        self._running.add(self._threads.submit(self._executor.execute, job))

    def collect(self) -> Iterator[Result]:
        """Wait up to `POLL_S` for results, and yield those that are there; raise what a job raised."""
        # The caller stores results between two waits, so all writes come from one thread.
        for done in wait(self._running, timeout=POLL_S, return_when=FIRST_COMPLETED).done:
            self._running.remove(done)
            yield done.result()

    def stop(self) -> Iterator[Result]:
        """End everything that is running, and yield the remaining results, also of jobs that were cut short."""
        self._executor.close()
        for done in wait(self._running).done:
            self._running.remove(done)
            yield done.result()
