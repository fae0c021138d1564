"""Follow the daily schedule in one process, where no service manager does: `ppp node up`.

APScheduler wakes this process at the times of the schedule. What is then done follows from the record of what was done
before (`schedule_record`): each due step once, in order, never two at a time, each in a process of its own.
"""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger

from ppp.model.schedule import SCHEDULE, Slot, Step, due_slots, minutes_to_next, newest_slot
from ppp.runner.bound_child import command_of
from ppp.runner.context import Reporter
from ppp.runner.health import update_health
from ppp.runner.schedule_record import ScheduleRecord, read_record, write_record

#: A step that fails is tried again so much later, and after so many attempts only at its next slot.
RETRY_S: Final = 300
MAX_ATTEMPTS: Final = 3
#: How long before the next slot a step begins nothing more, in minutes.
MARGIN_MINUTES: Final = 10
#: How often a requested stop is looked for, in seconds.
POLL_S: Final = 0.5
#: How long a step that was asked to end may take, in seconds, before it is killed.
GRACE_S: Final = 60.0


class StepRunner(Protocol):
    """Does a step."""

    def __call__(self, step: Step, /) -> int:
        """Do a step and return its exit status, 0 for success."""
        ...


@dataclass(slots=True, kw_only=True)
class ScheduledNode:
    """A node that follows the schedule until `stop` is set.

    `now` returns the time in epoch seconds. `retry_s` and `max_attempts` are what becomes of a step that fails.
    """

    data: Path
    run: StepRunner
    reporter: Reporter
    stop: threading.Event
    now: Callable[[], float]
    retry_s: int = RETRY_S
    max_attempts: int = MAX_ATTEMPTS
    scheduler: BackgroundScheduler = field(default_factory=lambda: BackgroundScheduler(timezone=UTC))
    _wake: threading.Event = field(default_factory=threading.Event, init=False)

    def follow(self) -> None:
        """Do what is due, now and at each time of the schedule; return when a stop is requested."""
        for number, time in enumerate(SCHEDULE):
            trigger = CronTrigger(hour=time.hour, minute=time.minute, timezone=UTC)
            # However late this process wakes up, it wakes up once: what is due is decided from the record.
            self.scheduler.add_job(
                self._wake.set, trigger, id=f"{time.step}-{number}", coalesce=True, misfire_grace_time=None
            )
        self.scheduler.start()
        try:
            while not self.stop.is_set():
                self._wake.clear()
                self.do_due()
                while not self.stop.is_set() and not self._wake.wait(POLL_S):
                    pass
        finally:
            self.scheduler.shutdown(wait=False)

    def do_due(self) -> None:
        """Do each step that is due, the oldest first, until none is left or one has to wait for another attempt."""
        waiting: set[Step] = set()
        while not self.stop.is_set():
            record, now = read_record(self.data), int(self.now())
            due = [slot for slot in due_slots(now, record.done) if slot.step not in waiting]
            if not due:
                return
            if self._wait_for_retry(due[0], record, now):
                waiting.add(due[0].step)
                continue
            self._do(due[0], record)

    def _wait_for_retry(self, slot: Slot, record: ScheduleRecord, now: int) -> bool:
        """Return whether a slot's next attempt is later; the scheduler wakes this process then."""
        last = record.last.get(slot.step)
        if last is None or last.slot != slot.at or last.status == 0:
            return False
        at = last.ended_at + self.retry_s
        # A clock that was set back must not make it wait for longer.
        if now >= at or last.ended_at > now:
            return False
        when = datetime.fromtimestamp(at, UTC) + timedelta(seconds=1)
        self.scheduler.add_job(
            self._wake.set, DateTrigger(when), id=f"retry-{slot.step}", replace_existing=True, misfire_grace_time=None
        )
        return True

    def _do(self, slot: Slot, record: ScheduleRecord) -> None:
        due_at = datetime.fromtimestamp(slot.at, UTC)
        self.reporter.note(f"{slot.step}: due since {due_at:%Y-%m-%d %H:%M} UTC")
        status = self.run(slot.step)
        if self.stop.is_set() and status != 0:
            # It was cut off: it is due again at the next start.
            return
        done = record.with_outcome(slot, status, now=int(self.now()), max_attempts=self.max_attempts)
        write_record(self.data, done)
        update_health(self.data, self.reporter, now=int(self.now()))
        if status != 0:
            attempts = done.last[slot.step].attempts
            then = "tried again later" if attempts < self.max_attempts else "left until its next time"
            self.reporter.warn(f"{slot.step} ended with {status} (attempt {attempts}): {then}")


def record_step(data: Path, step: Step, status: int, reporter: Reporter, *, now: int) -> None:
    """Record a step that was done outside `ScheduledNode`, by a timer or by a person, for its newest slot.

    `now` is in epoch seconds.
    """
    if slot := newest_slot(step, now):
        data.mkdir(parents=True, exist_ok=True)
        write_record(data, read_record(data).with_outcome(slot, status, now=now, max_attempts=MAX_ATTEMPTS))
        update_health(data, reporter, now=now)


@dataclass(slots=True, kw_only=True)
class CommandRunner:
    """Does each step by commands of PPP, one after the other, in processes that end with this one.

    `{minutes}` in a command becomes the minutes until the next slot, without `MARGIN_MINUTES` to finish in. `accepted`
    has exit statuses that are no failure, by the command's first word.
    """

    commands: Mapping[Step, Sequence[Sequence[str]]]
    accepted: Mapping[str, frozenset[int]]
    stop: threading.Event
    environ: Mapping[str, str]
    program: Sequence[str]
    now: Callable[[], float]

    def __call__(self, step: Step, /) -> int:
        """Run the commands of a step; return the first status that is a failure, else 0."""
        for command in self.commands[step]:
            minutes = max(MARGIN_MINUTES, minutes_to_next(int(self.now())) - MARGIN_MINUTES)
            status = self._run([word.format(minutes=minutes) for word in command])
            if status != 0 and status not in self.accepted.get(command[0], frozenset()):
                return status
        return 0

    def _run(self, command: Sequence[str]) -> int:
        argv = command_of(os.getpid(), [*self.program, *command])
        with subprocess.Popen(argv, env={**self.environ}) as process:
            asked = False
            while True:
                try:
                    return process.wait(timeout=GRACE_S if asked else POLL_S)
                except subprocess.TimeoutExpired:
                    if asked:
                        process.kill()
                    elif self.stop.is_set():
                        process.terminate()
                        asked = True
