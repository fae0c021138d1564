"""How a run proceeds: lines for logs, and a table for a terminal, with what is running and about how long it takes."""

import errno
import io
import re
from collections.abc import Callable

import pytest
from printed_tables import printed, screen

from ppp.model.record import Record
from ppp.progress import LineReporter, LiveReporter, age, make_reporter, remaining_s

ALPINE = "py312-alpine"
FAILED = {"result": "FAIL", "cause": "import-error", "detail": "import example_lib: ValueError: no"}
Builder = Callable[..., Record]


def test_lines_are_numbered(record: Builder) -> None:
    out = io.StringIO()
    lines = LineReporter(out)
    lines.begin(2)
    lines.checked(record())
    lines.checked(record(environment=ALPINE, **FAILED))
    lines.end()
    lines.warn("the feed is gone")
    assert out.getvalue().splitlines() == [
        "checking 2 cells",
        "[1/2] ✓ PASS    example-lib==2.1.0 in py312-slim",
        "[2/2] ✗ FAIL    example-lib==2.1.0 in py312-alpine import-error: import example_lib: ValueError: no",
        "warning: the feed is gone",
    ]


def test_a_terminal_shows_a_table_that_is_removed_at_the_end(record: Builder) -> None:
    out = io.StringIO()
    live = LiveReporter(screen(out, terminal=True))
    live.begin(12)
    for number in range(10):
        live.checked(record(package=f"project-{number}"))
    table = live._table()
    live.end()
    assert str(table.title).startswith("10 of 12 cells  ✓ 10 PASS")
    assert table.row_count == 8, "only the newest are shown"
    assert "project-9" in printed(table)
    assert "project-1" not in printed(table)
    assert out.getvalue().rstrip().endswith("\x1b[2K"), "what was drawn is erased"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_reporter_suits_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(make_reporter(Terminal()), LiveReporter)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert isinstance(make_reporter(io.StringIO()), LineReporter), "a log file is not a terminal, even with FORCE_COLOR"
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_reporter(Terminal()), LineReporter), "this one cannot redraw"


def test_a_reporter_that_ends_before_it_begins_prints_nothing() -> None:
    out = io.StringIO()
    LiveReporter(screen(out)).end()
    assert out.getvalue() == ""


def test_the_table_shows_what_is_running_and_for_how_long(record: Builder) -> None:
    now = [100.0]
    live = LiveReporter(screen(io.StringIO(), terminal=True), clock=lambda: now[0])
    live.begin(8)
    live.running(["canary of py312-slim"])
    now[0] = 130
    live.running(["six==1.17.0 in py312-slim", "canary of py312-slim"])
    now[0] = 175
    shown = printed(live._table())
    assert re.findall(r"… +(\d+ \w+) (\S+)", shown) == [("45 s", "six==1.17.0"), ("75 s", "canary")]
    live.running([])
    for number in range(4):
        live.checked(record(package=f"project-{number}"))
    live.running([f"cell {number}" for number in range(11)])
    now[0] = 300
    table = live._table()
    live.end()
    assert str(table.title) == "4 of 8 cells  ✓ 4 PASS  about 3 min left"
    assert printed(table).splitlines()[-1].strip() == "… and 3 more are running"


@pytest.mark.parametrize(
    ("done", "total", "elapsed_s", "left"),
    [(0, 10, 60, None), (2, 10, 60, None), (3, 9, 60, 120), (9, 10, 90, 10), (10, 10, 90, None), (12, 10, 90, None)],
)
def test_what_is_left_follows_from_the_pace(done: int, total: int, elapsed_s: float, left: float | None) -> None:
    assert remaining_s(done=done, total=total, elapsed_s=elapsed_s) == left


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (119.4, "119 s"), (120, "2 min"), (7_200, "120 min")])
def test_an_age_is_short(seconds: float, text: str) -> None:
    assert age(seconds) == text


class ClosedTerminal(io.StringIO):
    """What standard error is after its terminal was closed; with another number, after something else."""

    number = errno.EIO

    def write(self, _: str) -> int:
        raise OSError(self.number, "?")


def test_a_terminal_that_was_closed_does_not_end_a_run() -> None:
    reporter = LineReporter(ClosedTerminal())
    reporter.note("one")
    reporter.warn("two")
    full = ClosedTerminal()
    full.number = errno.ENOSPC
    with pytest.raises(OSError, match="28"):
        LineReporter(full).note("three")
