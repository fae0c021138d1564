"""Does jobs in parallel, and hands over what came of each in one thread, as soon as it is there."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Final, TypeVar

#: How soon a wish to stop is noticed.
POLL_S: Final = 0.2

Job = TypeVar("Job")
Done = TypeVar("Done")


def drain(
    take: Callable[[int], Iterable[Job]],
    work: Callable[[Job], Done],
    *,
    jobs: int,
    settle: Callable[[Job, Done], None],
    stop: threading.Event,
    close: Callable[[], None],
    keep: Callable[[Done], bool],
) -> None:
    """Do what `take(n)` gives, up to `n` jobs at a time, with `jobs` threads; `take` and `settle` run in this one.

    It ends when nothing runs and `take` gives nothing. Once `stop` is set, `close()` ends what runs: what `keep` calls
    finished by then is settled, what was cut short is not. An error raised by any of them closes likewise, then is
    raised.
    """
    running: dict[Future[Done], Job] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while not stop.is_set():
                if free := jobs - len(running):
                    running |= {pool.submit(work, job): job for job in take(free)}
                if not running:
                    return
                for future in wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED).done:
                    settle(running.pop(future), future.result())
        except BaseException:
            close()
            raise
        close()
        for future in wait(running).done:
            if keep(done := future.result()):
                settle(running[future], done)
