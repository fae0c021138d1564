"""Checks cells in parallel, and hands each observation over in one thread, as soon as it is there."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Final, TypeVar

from ppp.check.cell import Observation
from ppp.model.record import Result

#: How soon a wish to stop is noticed.
POLL_S: Final = 0.2

Job = TypeVar("Job")


def drain(
    queue: Iterable[Job],
    work: Callable[[Job], Observation],
    *,
    jobs: int,
    settle: Callable[[Job, Observation], None],
    enough: Callable[[], bool],
    stop: threading.Event,
    close: Callable[[], None],
) -> None:
    """Work through `queue` with `jobs` threads, calling `settle` in this one.

    Once `enough()` nothing new is begun. Once `stop` is set, `close()` ends what runs: what had come to a verdict by
    then is settled, what was cut short is not. An error raised by `settle` or `work` closes likewise, then is raised.
    """
    waiting = iter(queue)
    running: dict[Future[Observation], Job] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while not stop.is_set():
                if not enough():
                    running |= {pool.submit(work, job): job for job in islice(waiting, jobs - len(running))}
                if not running:
                    return
                for future in wait(running, timeout=POLL_S, return_when=FIRST_COMPLETED).done:
                    settle(running.pop(future), future.result())
        except BaseException:
            close()
            raise
        close()
        for future in wait(running).done:
            observation = future.result()
            if observation.record.result is not Result.ERROR:
                settle(running[future], observation)
