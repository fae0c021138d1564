"""100,000 events are followed in bounded memory, each release once; a fault is a clear line and moves no cursor."""

import json
import re
import subprocess
import threading
from pathlib import Path
from typing import Final

import pytest
from cell_environments import SLIM, matrix_toml, tiny_matrix
from program import Program
from warehouse import AT, Warehouse, fault, served

EVENTS: Final = 100_000
PEAK_KIB: Final = 150_000_000 // 1024
POLL_S: Final = 6 * 3_600


def run_with_peak(program: Program, *arguments: str) -> int:
    """Run a command to its end; return the most memory that it held, in KiB."""
    process, peak, ended = program.start(*arguments), [0], threading.Event()
    watcher = threading.Thread(target=_watch_peak, args=(process, peak, ended))
    watcher.start()
    out, err = process.communicate(timeout=300)
    ended.set()
    watcher.join()
    assert process.returncode == 0, out + err
    return peak[0]


def _watch_peak(process: "subprocess.Popen[str]", peak: list[int], ended: threading.Event) -> None:
    # Not `getrusage`: a child begins with the peak of the process that started it.
    while not ended.wait(0.02):
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text("utf-8"))
        except OSError:
            return
        peak[0] = max(peak[0], int(found[1]) if found else 0)


@pytest.fixture
def following(program: Program) -> Program:
    program.matrix.write_text(matrix_toml(tiny_matrix(SLIM)))
    return program


def test_100_000_events_in_bounded_memory_and_none_lost(following: Program) -> None:
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT - 60)
    with served(warehouse):
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "changelog"}
        following.run_in_process_ok("watch")
        warehouse.generate(EVENTS)
        peak = run_with_peak(following, "watch")
    assert following.query("SELECT serial FROM journal_cursors") == [(warehouse.serial,)]
    named = set(following.query("SELECT package, version FROM journal_releases"))
    assert set(warehouse.releases[1:]) <= named <= set(warehouse.releases)
    assert 0 < peak < PEAK_KIB
    coverage = json.loads(following.run_in_process_ok("coverage", "--json"))
    assert set(re.findall(r'"lost": (\d+)', json.dumps(coverage))) == {"0"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((200, {}, b"<!DOCTYPE html><html><body>Sorry</body></html>"), "PPP_JOURNAL_URL"),
        ((200, {}, b'<?xml version="1.0"?><methodResponse><params>'), "PPP_JOURNAL_URL"),
        ((500, {}, b""), "status 500"),
        ((429, {"Retry-After": "99999"}, b""), "asked too often"),
        (fault("RuntimeError: broken"), "RuntimeError: broken"),
    ],
)
def test_a_fault_is_a_clear_line_and_leaves_the_cursor(
    following: Program, answer: tuple[int, dict[str, str], bytes], words: str
) -> None:
    warehouse = Warehouse()
    warehouse.release("old", "1.0", at=AT)
    with served(warehouse):
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "changelog"}
        following.run_in_process_ok("watch")
        before = following.query("SELECT serial FROM journal_cursors")
        warehouse.release("six", "1.17.0", at=AT + 60)
        warehouse.answers.extend([answer] * 3)
        done = following.run_in_process("watch")
        assert words in done.out + done.err
        assert "Traceback" not in done.err
        assert following.query("SELECT serial FROM journal_cursors") == before
        warehouse.answers.clear()
        following.run_in_process_ok("watch")
    assert following.query("SELECT serial FROM journal_cursors") == [(warehouse.serial,)]
    assert following.query("SELECT package FROM journal_releases WHERE package = 'six'") == [("six",)]


def test_the_gaps_of_a_feed_hold_exactly_what_it_missed(following: Program) -> None:
    model = Warehouse()
    model.generate(20_000)
    with served(Warehouse()) as warehouse:
        following.settings |= {**warehouse.settings, "PPP_JOURNAL": "feed"}
        for until in range(AT + POLL_S, model.events[-1][2], POLL_S):
            warehouse.events = [event for event in model.events if event[2] <= until]
            following.run_in_process_ok("watch")
    seen = set(following.query("SELECT package, version FROM journal_releases"))
    gaps = following.query("SELECT start_at, end_at, estimate FROM journal_gaps")
    began = min(at for name, version, at, _, _ in warehouse.events if (name, version) in seen)
    named = [event for event in warehouse.events if event[3] == "new release" and event[2] >= began]
    missed = {(name, version) for name, version, *_ in named} - seen
    inside = {(name, version) for name, version, at, *_ in named if any(start < at < end for start, end, _ in gaps)}
    assert len(gaps) > 5
    assert inside == missed
    assert sum(estimate for *_, estimate in gaps) == pytest.approx(len(missed), rel=0.2)
