"""Which steps of the daily schedule are due."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.model.schedule import DAY_S, SCHEDULE, Slot, Step, due_slots, minutes_to_next, newest_slot

MIDNIGHT: Final = 1_713_744_000
HOUR: Final = 3600


def at(hour: float, day: int = 0) -> int:
    return MIDNIGHT + day * DAY_S + int(hour * HOUR)


def test_the_schedule_of_the_project() -> None:
    assert [f"{one.step} {one}" for one in SCHEDULE] == [
        "watch 00:00",
        "watch 06:00",
        "watch 12:00",
        "watch 18:00",
        "write 20:00",
        "render 22:30",
        "publish 23:15",
    ]


@pytest.mark.parametrize(
    ("hour", "newest"),
    [
        (0, {"watch": 0, "write": -4, "render": -1.5, "publish": -0.75}),
        (5.99, {"watch": 0, "write": -4, "render": -1.5, "publish": -0.75}),
        (6, {"watch": 6, "write": -4, "render": -1.5, "publish": -0.75}),
        (22.5, {"watch": 18, "write": 20, "render": 22.5, "publish": -0.75}),
        (23.99, {"watch": 18, "write": 20, "render": 22.5, "publish": 23.25}),
    ],
)
def test_the_newest_slot_of_each_step(hour: float, newest: dict[str, float]) -> None:
    assert {str(step): newest_slot(step, at(hour)) for step in Step} == {
        step: Slot(at=at(slot), step=Step(step)) for step, slot in newest.items()
    }


def test_a_step_without_slots_is_never_due() -> None:
    assert newest_slot(Step.WRITE, at(1), [one for one in SCHEDULE if one.step is not Step.WRITE]) is None


def test_what_was_missed_is_due_once_and_in_order() -> None:
    done = {Step.WATCH: at(0), Step.WRITE: at(20, -1), Step.RENDER: at(22.5, -1), Step.PUBLISH: at(23.25, -1)}
    assert due_slots(at(5), done) == []
    assert [slot.step for slot in due_slots(at(13), done)] == [Step.WATCH], "06:00 is covered by 12:00"
    assert [slot.step for slot in due_slots(at(23), done)] == [Step.WATCH, Step.WRITE, Step.RENDER]
    assert [slot.step for slot in due_slots(at(12, 3), done)] == [Step.WRITE, Step.RENDER, Step.PUBLISH, Step.WATCH]


def test_a_clock_that_was_set_back_repeats_nothing() -> None:
    assert due_slots(at(7), dict.fromkeys(Step, at(23.5))) == []


@given(st.integers(MIDNIGHT, MIDNIGHT + 30 * DAY_S))
def test_after_everything_that_is_due_was_done_nothing_is(now: int) -> None:
    due = due_slots(now, {})
    assert {slot.step for slot in due} == {*Step}
    assert all(now - DAY_S < slot.at <= now for slot in due)
    assert due_slots(now, {slot.step: slot.at for slot in due}) == []


@pytest.mark.parametrize(("hour", "minutes"), [(0, 360), (18, 120), (18.5, 90), (23.25, 45), (22.5, 45), (20, 150)])
def test_how_long_a_step_may_take(hour: float, minutes: int) -> None:
    assert minutes_to_next(at(hour)) == minutes
