"""How a node is, from the record of its schedule and from its ledger."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.model.schedule import DAY_S, Slot, Step, newest_slot
from ppp.progress import LineReporter
from ppp.runner.health import FILE, LATE_S, StepState, format_metrics, judge_steps, read_health, update_health
from ppp.runner.schedule_record import FILE as SCHEDULE_FILE
from ppp.runner.schedule_record import ScheduleRecord, read_record, write_record
from ppp.runner.uptime import MAX_ATTEMPTS, record_step

#: 2024-04-22, at noon.
NOON: Final = 1_713_744_000 + DAY_S // 2


def after(step: Step, *statuses: int, at: int = NOON) -> ScheduleRecord:
    record, slot = ScheduleRecord(), newest_slot(step, at)
    assert slot
    for status in statuses:
        record = record.with_outcome(slot, status, now=at, max_attempts=MAX_ATTEMPTS)
    return record


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        ((), StepState.NEVER),
        ((0,), StepState.OK),
        ((1, 0), StepState.OK),
        ((1,), StepState.FAILED),
        ((1, 1, 1), StepState.FAILED),
    ],
)
def test_a_step_is_as_its_last_attempt(step: Step, statuses: tuple[int, ...], state: StepState) -> None:
    assert judge_steps(after(step, *statuses), now=NOON)[step].state is state


@pytest.mark.parametrize("step", Step)
def test_a_step_is_late_some_time_after_the_next_slot(step: Step) -> None:
    record = after(step, 0)
    last = record.last[step].slot
    following = next(
        now for now in range(NOON, NOON + 2 * DAY_S, 60) if newest_slot(step, now) != Slot(at=last, step=step)
    )
    due = newest_slot(step, following)
    assert due
    assert judge_steps(record, now=due.at + LATE_S - 1)[step].state is StepState.OK
    assert judge_steps(record, now=due.at + LATE_S)[step].state is StepState.LATE


def test_a_new_node_is_healthy_and_has_no_ledger(tmp_path: Path) -> None:
    found = read_health(tmp_path / "none", now=NOON)
    assert (found.problems, found.ledger, found.free > 0) == ((), None, True)
    assert {one["state"] for one in found.to_json()["steps"].values()} == {"never"}
    assert not (tmp_path / "none").exists()


def test_metrics_say_the_same_as_the_health(tmp_path: Path, record: Callable[..., Record]) -> None:
    with Store.open(tmp_path) as store:
        store.add_record(record(observed_at=NOON - 5))
    write_record(tmp_path, after(Step.WATCH, 36))
    found = read_health(tmp_path, now=NOON)
    assert found.problems == ("watch failed with exit status 36",)
    text = format_metrics(found).decode()
    samples = {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
    assert samples[("ppp_step_exit_status", "watch")] == 36
    assert samples[("ppp_step_ended_time_seconds", "watch")] == NOON
    assert samples[("ppp_newest_record_time_seconds",)] == NOON - 5
    assert (samples[("ppp_healthy",)], samples[("ppp_queued_cells",)]) == (0, 0)
    assert ("ppp_step_exit_status", "render") not in samples


def assert_file_is_the_health(data: Path, *, now: int) -> None:
    document = json.loads((data / FILE).read_text())
    expected = read_health(data, now=now).to_json()
    # Another program may have written to the same disk in the meantime.
    assert document.pop("free_bytes") > 0
    assert document == {name: value for name, value in expected.items() if name != "free_bytes"}
    assert str(data) not in (data / FILE).read_text()


def test_the_file_is_what_the_command_prints(tmp_path: Path, record: Callable[..., Record]) -> None:
    with Store.open(tmp_path) as store:
        store.add_record(record(observed_at=NOON - 5))
    write_record(tmp_path, after(Step.WATCH, 36))
    (tmp_path / FILE).write_text("what was there before")
    update_health(tmp_path, LineReporter(sys.stderr), now=NOON)
    assert_file_is_the_health(tmp_path, now=NOON)


@pytest.mark.parametrize("damaged", [SCHEDULE_FILE, "ppp.db"])
def test_what_cannot_be_read_is_reported_and_no_error(tmp_path: Path, damaged: str) -> None:
    (tmp_path / damaged).write_text("{")
    told = io.StringIO()
    update_health(tmp_path, LineReporter(told), now=NOON)
    assert f"{FILE} is not up to date" in told.getvalue()
    assert not (tmp_path / FILE).exists()


def test_what_a_timer_did_is_recorded_for_the_newest_slot(tmp_path: Path) -> None:
    for step in Step:
        record_step(tmp_path / "data", step, 0, LineReporter(sys.stderr), now=NOON)
    done = read_record(tmp_path / "data").done
    assert done == {step: slot.at for step in Step if (slot := newest_slot(step, NOON))}
    assert_file_is_the_health(tmp_path / "data", now=NOON)
    record_step(tmp_path / "data", Step.WATCH, 1, LineReporter(sys.stderr), now=NOON + DAY_S)
    assert_file_is_the_health(tmp_path / "data", now=NOON + DAY_S)
    assert read_record(tmp_path / "data").done == done, "a failure is not done"
