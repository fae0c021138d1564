"""The daily schedule of a node, in UTC: when it watches and checks, writes, renders and publishes. Pure.

Each step has its slots; a slot is due from its time on until the step was done for it or for a later slot.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DAY_S: Final = 86_400


class Step(StrEnum):
    """What a node does on a schedule, in the order in which steps of the same time run."""

    WATCH = "watch"
    WRITE = "write"
    RENDER = "render"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyTime:
    """A step and the time of day at which it is due, in UTC."""

    step: Step
    hour: int
    minute: int = 0

    @property
    def offset_s(self) -> int:
        """Return how many seconds after midnight it is."""
        return self.hour * 3600 + self.minute * 60

    def __str__(self) -> str:
        """Return the time of day, as `22:30`."""
        return f"{self.hour:02}:{self.minute:02}"


SCHEDULE: Final = (
    *(DailyTime(step=Step.WATCH, hour=hour) for hour in (0, 6, 12, 18)),
    DailyTime(step=Step.WRITE, hour=20),
    DailyTime(step=Step.RENDER, hour=22, minute=30),
    DailyTime(step=Step.PUBLISH, hour=23, minute=15),
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Slot:
    """A step that is due at a time, in epoch seconds."""

    at: int
    step: Step


def newest_slot(step: Step, now: int, schedule: Iterable[DailyTime] = SCHEDULE) -> Slot | None:
    """Return the newest slot of a step that is not after `now`; None if it has none in the schedule."""
    midnight = now - now % DAY_S
    offsets = [one.offset_s for one in schedule if one.step is step]
    times = [midnight + day + offset for day in (-DAY_S, 0) for offset in offsets]
    past = [at for at in times if at <= now]
    return Slot(at=max(past), step=step) if past else None


def due_slots(now: int, done: Mapping[Step, int], schedule: Iterable[DailyTime] = SCHEDULE) -> list[Slot]:
    """Return the slots that are due, in order of time: of each step the newest one, unless it was done for it.

    `done` has, by step, the time of the slot that it was last done for. Slots that were missed for an older time are
    not repeated: doing a step once brings it up to date.
    """
    schedule = tuple(schedule)
    newest = [slot for step in Step if (slot := newest_slot(step, now, schedule))]
    return sorted(slot for slot in newest if done.get(slot.step, -1) < slot.at)


def minutes_to_next(now: int, schedule: Iterable[DailyTime] = SCHEDULE) -> int:
    """Return how many whole minutes there are until the next slot of any step: what a step may take at most."""
    midnight = now - now % DAY_S
    times = [midnight + day + one.offset_s for day in (0, DAY_S) for one in schedule]
    return (min(at for at in times if at > now) - now) // 60
