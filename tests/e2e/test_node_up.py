"""A node that follows its schedule is killed at random moments of a simulated week: nothing is left out or repeated."""

import json
import mmap
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import requests
from hostile_http import hostile_server, silence
from program import Program, wait_until
from prometheus_client.parser import text_string_to_metric_families

from ppp.model.errors import ConfigError
from ppp.model.schedule import DAY_S, SCHEDULE, Slot, Step
from ppp.runner.schedule_record import read_record

PROGRAM: Final = Path(__file__).parents[1] / "support" / "simulated_node.py"
#: 2024-04-22, a Monday.
MONDAY: Final = 1_713_744_000
DAYS: Final = 7
KILLS: Final = 20
SLOTS: Final = sorted(
    Slot(at=MONDAY + day * DAY_S + time.offset_s, step=time.step) for day in range(DAYS) for time in SCHEDULE
)


class Week:
    """A simulated clock, and the node that follows it."""

    def __init__(self, folder: Path) -> None:
        self.data, self.log, self._clock = folder / "data", folder / "log", folder / "clock"
        self.data.mkdir()
        self.log.touch()
        self._clock.write_bytes(struct.pack("d", MONDAY - 1.0))
        with self._clock.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        argv = (sys.executable, str(PROGRAM), str(self.data), str(self._clock), str(self.log))
        return subprocess.Popen(argv, stderr=subprocess.DEVNULL)

    def move(self, to: float) -> None:
        self._map[:8] = struct.pack("d", to)

    def kill(self) -> None:
        """Kill the node, and start it again."""
        self.end()
        self._process = self._start()

    def end(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)

    def is_done(self, slot: Slot) -> bool:
        return read_record(self.data).done.get(slot.step, -1) >= slot.at

    def has_done_every_step(self) -> bool:
        return {*read_record(self.data).done} == {*Step}

    def ended(self) -> list[tuple[str, int]]:
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [(step, int(at)) for what, step, at in lines if what == "end"]


@contextmanager
def simulated_week(folder: Path) -> Iterator[Week]:
    week = Week(folder)
    try:
        yield week
    finally:
        week.end()


def test_a_week_with_twenty_kills(tmp_path: Path) -> None:
    dice = random.Random(20)
    killed = dice.sample(range(len(SLOTS)), KILLS)
    with simulated_week(tmp_path) as week:
        # What was due before the first start is done once, at once.
        wait_until(week.has_done_every_step)
        before = len(week.ended())
        for number, slot in enumerate(SLOTS):
            week.move(slot.at)
            if number in killed:
                # Before the step, within it, or after it.
                time.sleep(dice.uniform(0, 0.03))
                week.kill()
            wait_until(partial(week.is_done, slot))
        ended = week.ended()[before:]
    counts = Counter(ended)
    assert sorted(counts) == sorted((slot.step, slot.at) for slot in SLOTS)
    again = {done for done, count in counts.items() if count > 1}
    assert again <= {(SLOTS[number].step, SLOTS[number].at) for number in killed}, "only what was cut off is repeated"
    assert list(dict.fromkeys(ended)) == [(slot.step, slot.at) for slot in SLOTS], "in order"


def children_of(pid: int) -> list[Path]:
    """Return the processes that a process began, as their folders in /proc."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path("/proc", child) for child in found]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_running_step_ends_with_the_node(number: signal.Signals, program: Program) -> None:
    with hostile_server(silence) as url:
        # An index that takes a request and never answers: the step `watch` waits for it.
        program.settings |= {"PPP_INDEX_URL": f"{url}simple/", "PPP_JOURNAL": "index"}
        process = program.start("node", "up")
        wait_until(lambda: any("run" in (one / "cmdline").read_text() for one in children_of(process.pid)))
        (step,) = children_of(process.pid)
        process.send_signal(number)
        assert process.wait(timeout=60) == (0 if number is signal.SIGTERM else -number)
        wait_until(lambda: not step.exists())
    assert "watch" not in read_record(program.data).done, "what was cut off is due again"


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": "other"}', '{"schema": "ppp-schedule-1"}'])
def test_a_damaged_record_is_told(content: str, program: Program) -> None:
    program.data.mkdir(exist_ok=True)
    (program.data / "schedule.json").write_text(content)
    done = program.run("node", "up")
    assert done.code == ConfigError.exit_code
    assert "remove it" in done.err
    assert (program.data / "schedule.json").read_text() == content


def test_health_is_a_file_and_an_address(program: Program) -> None:
    program.run_in_process_ok("publish")
    program.run_ok("node", "step", "write")
    document = json.loads((program.data / "health.json").read_text())
    assert document["steps"]["write"]["status"] == 0
    server = program.start("serve", "--mesh", "--port", "0")
    assert server.stdout
    url = server.stdout.readline().split()[-1]
    text = requests.get(f"{url}metrics", timeout=20).text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    values = {(one.name, *one.labels.values()): one.value for one in samples}
    assert values["ppp_step_ended_time_seconds", "write"] == document["steps"]["write"]["ended_at"]
    assert values["ppp_healthy",] == document["healthy"] == (requests.get(f"{url}healthz", timeout=20).text == "ok\n")
    assert str(program.data) not in text
