"""A node that follows its schedule by a simulated clock: `python simulated_node.py DATA CLOCK LOG`.

CLOCK is a file with a double, the time in epoch seconds, which a test moves. Steps take a few milliseconds and write
LOG. APScheduler and the schedule are the real ones; only its clock and its waiting are replaced.
"""

import mmap
import os
import struct
import sys
import threading
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Self

import apscheduler.schedulers.base
import apscheduler.triggers.cron
from apscheduler.schedulers.background import BackgroundScheduler

from ppp.model.schedule import Step
from ppp.progress import LineReporter
from ppp.runner.uptime import ScheduledNode

#: How long a step takes, and how often the simulated clock is looked at, in real seconds.
STEP_S = 0.005
LOOK_S = 0.002


class SimulatedClock:
    """Reads the simulated time."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def __call__(self) -> float:
        (now,) = struct.unpack("d", self._map[:8])
        return float(now)


def main(data: Path, clock: SimulatedClock, log: Path) -> None:
    class SimulatedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(clock(), tz or UTC)

    class SimulatedScheduler(BackgroundScheduler):  # type: ignore[misc]
        def _process_jobs(self) -> float:
            super()._process_jobs()
            return LOOK_S

    apscheduler.schedulers.base.datetime = SimulatedDatetime
    apscheduler.triggers.cron.datetime = SimulatedDatetime

    def write(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())

    def do(step: Step) -> int:
        write(f"begin {step} {clock():.0f}")
        time.sleep(STEP_S)
        write(f"end {step} {clock():.0f}")
        return 0

    ScheduledNode(
        data=data,
        run=do,
        reporter=LineReporter(sys.stderr),
        stop=threading.Event(),
        now=clock,
        scheduler=SimulatedScheduler(timezone=UTC),
    ).follow()


if __name__ == "__main__":
    main(Path(sys.argv[1]), SimulatedClock(Path(sys.argv[2])), Path(sys.argv[3]))
