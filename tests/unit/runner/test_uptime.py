"""Following the schedule: what is repeated after a failure, what a stop leaves due, and the record of it."""

import json
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from ppp.model.errors import ConfigError
from ppp.model.schedule import DAY_S, Slot, Step, due_slots
from ppp.progress import LineReporter
from ppp.runner.schedule_record import FILE, ScheduleRecord, read_record, write_record
from ppp.runner.uptime import MAX_ATTEMPTS, RETRY_S, CommandRunner, ScheduledNode

NOON: Final = 1_713_744_000 + DAY_S // 2


class Steps:
    """Does steps with the statuses that are given for them, 0 by default, and writes down what it did."""

    def __init__(self, statuses: dict[Step, list[int]] | None = None) -> None:
        self.statuses, self.did = statuses or {}, []  # type: tuple[dict[Step, list[int]], list[Step]]

    def __call__(self, step: Step) -> int:
        self.did.append(step)
        left = self.statuses.get(step)
        return left.pop(0) if left else 0


def scheduled(data: Path, steps: Steps, clock: list[int]) -> ScheduledNode:
    return ScheduledNode(
        data=data, run=steps, reporter=LineReporter(sys.stderr), stop=threading.Event(), now=lambda: clock[0]
    )


def test_the_first_start_does_each_step_once(tmp_path: Path) -> None:
    steps = Steps()
    scheduled(tmp_path, steps, [NOON]).do_due()
    assert steps.did == [Step.WRITE, Step.RENDER, Step.PUBLISH, Step.WATCH]
    health = json.loads((tmp_path / "health.json").read_text())
    assert {step: one["state"] for step, one in health["steps"].items()} == dict.fromkeys(Step, "ok")
    scheduled(tmp_path, steps, [NOON + 60]).do_due()
    assert len(steps.did) == len(Step)


def test_a_step_that_fails_is_tried_again_later_and_not_for_ever(tmp_path: Path) -> None:
    steps, clock = Steps({Step.WATCH: [1] * 10}), [NOON]
    node = scheduled(tmp_path, steps, clock)
    tried = []
    for _ in range(5):
        node.do_due()
        tried.append(steps.did.count(Step.WATCH))
        clock[0] += RETRY_S
    assert tried == [1, 2, 3, 3, 3]
    assert MAX_ATTEMPTS == 3
    assert read_record(tmp_path).last[Step.WATCH].attempts == 3
    clock[0] = NOON + 6 * 3600
    node.do_due()
    assert steps.did.count(Step.WATCH) == 4, "at its next slot"


def test_the_other_steps_do_not_wait_for_one_that_fails(tmp_path: Path) -> None:
    steps = Steps({Step.WRITE: [1]})
    scheduled(tmp_path, steps, [NOON]).do_due()
    assert steps.did == [Step.WRITE, Step.RENDER, Step.PUBLISH, Step.WATCH]
    assert Step.WRITE not in read_record(tmp_path).done


def test_a_retry_is_not_repeated_too_early(tmp_path: Path) -> None:
    steps, clock = Steps({Step.WATCH: [1]}), [NOON]
    node = scheduled(tmp_path, steps, clock)
    node.do_due()
    clock[0] += RETRY_S - 1
    node.do_due()
    assert steps.did.count(Step.WATCH) == 1
    clock[0] += 1
    node.do_due()
    assert steps.did.count(Step.WATCH) == 2
    assert due_slots(clock[0], read_record(tmp_path).done) == []


def test_a_step_that_a_stop_ended_is_due_again(tmp_path: Path) -> None:
    steps = Steps()
    node = scheduled(tmp_path, steps, [NOON])

    def stopped(step: Step) -> int:
        steps.did.append(step)
        node.stop.set()
        return 130

    node.run = stopped
    node.do_due()
    assert steps.did == [Step.WRITE]
    assert read_record(tmp_path) == ScheduleRecord()


def test_a_record_that_was_written_is_read(tmp_path: Path) -> None:
    record = ScheduleRecord().with_outcome(Slot(at=NOON, step=Step.WATCH), 4, now=NOON + 5, max_attempts=1)
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"1", b'{"schema": "ppp-schedule-1", "done": {"x": 1}}'])
def test_a_damaged_record_is_an_error_that_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="remove it"):
        read_record(tmp_path)


@pytest.mark.parametrize(("statuses", "status"), [((0, 0), 0), ((27, 0), 0), ((0, 7), 7), ((3, 0), 3), ((27, 7), 7)])
def test_the_status_of_a_step_is_that_of_its_first_command_that_failed(
    statuses: tuple[int, int], status: int, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    program = (sys.executable, "-c", f"import sys; open({str(log)!r}, 'a').write('x'); sys.exit(int(sys.argv[2]))")
    run = CommandRunner(
        commands={Step.WATCH: (("peer", str(statuses[0])), ("run", str(statuses[1])))},
        accepted={"peer": frozenset({27})},
        stop=threading.Event(),
        environ={},
        program=program,
        now=lambda: NOON,
    )
    assert run(Step.WATCH) == status
    assert len(log.read_text()) == (1 if status == statuses[0] != 0 else 2), "what follows a failure is left out"


def test_a_command_is_told_how_long_it_may_take(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = CommandRunner(
        commands={Step.WATCH: (("run", "{minutes}"),)},
        accepted={},
        stop=threading.Event(),
        environ={},
        program=(sys.executable, "-c", f"import sys; open({str(log)!r}, 'w').write(sys.argv[2])"),
        now=lambda: NOON,
    )
    assert run(Step.WATCH) == 0
    assert log.read_text() == "350", "until 18:00, and ten minutes less"
