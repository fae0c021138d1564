"""How a run proceeds: a live table on a terminal, plain lines elsewhere; see `ppp.runner.context.Reporter`."""

import errno
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ppp.console import STYLES, result_line
from ppp.model.printable import printable, printable_line
from ppp.model.record import Record
from ppp.model.shown import GLYPHS, Shown, record_shown_as

#: How many results, and how many running jobs, the live table shows.
LAST_LINES: Final = 8
#: Before so many cells are done, nothing can be said about the rest.
MIN_DONE: Final = 3
_MINUTE_S: Final = 60


@contextmanager
def _unless_hung_up() -> Iterator[None]:
    """Ignore that a terminal was closed: what a run has done is still stored and published."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


class LineReporter:
    """Plain lines, for logs and pipes; see `ppp.runner.context.Reporter`."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._total = 0
        self._done = 0

    def note(self, text: str) -> None:
        """Print a line."""
        with _unless_hung_up():
            print(printable(text), file=self._stream, flush=True)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self.note(f"warning: {text}")

    def begin(self, total: int) -> None:
        """Print how many cells there are."""
        self._total, self._done = total, 0
        self.note(f"checking {total} cells")

    def running(self, jobs: Sequence[str]) -> None:
        """Print nothing: a cell has its line when it is done."""

    def checked(self, record: Record) -> None:
        """Print a cell's result."""
        self._done += 1
        self.note(f"[{self._done}/{self._total}] {result_line(record)}")

    def end(self) -> None:
        """Print nothing: the last line was the last cell."""


class LiveReporter:
    """A table that is redrawn in place, with notes and warnings above it; see `ppp.runner.context.Reporter`.

    It has the newest results, what is running and for how long, and about how long the rest will take.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Draw on `console`; `clock` is in seconds."""
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._total = 0
        self._started = 0.0
        self._counts: Counter[Shown] = Counter()
        self._last: list[Record] = []
        #: What is running, and since when. Replaced and never changed: another thread draws it.
        self._running: dict[str, float] = {}

    def note(self, text: str) -> None:
        """Print a line above the table."""
        with _unless_hung_up():
            self._console.print(Text(printable(text)))

    def warn(self, text: str) -> None:
        """Print a warning."""
        with _unless_hung_up():
            self._console.print(Text(f"warning: {printable(text)}", style="yellow"))

    def begin(self, total: int) -> None:
        """Start drawing."""
        self._total, self._started = total, self._clock()
        self._live = Live(
            get_renderable=self._table, console=self._console, transient=True, refresh_per_second=4, auto_refresh=True
        )
        self._live.start()

    def running(self, jobs: Sequence[str]) -> None:
        """Draw what is running; each job's age counts from when it was given first."""
        now = self._clock()
        self._running = {job: self._running.get(job, now) for job in jobs}

    def checked(self, record: Record) -> None:
        """Draw the table with one more cell."""
        self._counts[record_shown_as(record)] += 1
        self._last = [*self._last[-LAST_LINES + 1 :], record]

    def end(self) -> None:
        """Remove the table."""
        if self._live:
            self._live.stop()

    def _table(self) -> Table:
        now = self._clock()
        done = self._counts.total()
        words = "  ".join(f"{GLYPHS[s]} {self._counts[s]} {s}" for s in Shown if self._counts[s])
        rest = remaining_s(done=done, total=self._total, elapsed_s=now - self._started)
        title = "  ".join(
            filter(None, [f"{done} of {self._total} cells", words, f"about {age(rest)} left" if rest else ""])
        )
        table = Table(title=title, box=None, show_header=False, title_justify="left")
        for record in self._last:
            table.add_row(Text(result_line(record), style=STYLES[record_shown_as(record)]))
        running = list(self._running.items())
        for job, since in running[:LAST_LINES]:
            table.add_row(Text(printable_line(f"… {age(now - since):>7} {job}"), style="dim"))
        if len(running) > LAST_LINES:
            table.add_row(Text(f"… and {len(running) - LAST_LINES} more are running", style="dim"))
        return table


def remaining_s(*, done: int, total: int, elapsed_s: float) -> float | None:
    """Return about how many seconds the rest of `total` cells takes at the pace so far; None if that cannot be said."""
    if done < MIN_DONE or done >= total:
        return None
    return elapsed_s / done * (total - done)


def age(seconds: float) -> str:
    """Return a duration in seconds or minutes: `12 s`, `3 min`."""
    return f"{seconds:.0f} s" if seconds < 2 * _MINUTE_S else f"{seconds / _MINUTE_S:.0f} min"


def make_reporter(stream: TextIO = sys.stderr) -> LineReporter | LiveReporter:
    """Return the reporter that suits a stream: live on a terminal that can redraw, lines elsewhere."""
    console = Console(file=stream)
    # Not rich's is_terminal: FORCE_COLOR makes that true of a log file too.
    return LiveReporter(console) if stream.isatty() and not console.is_dumb_terminal else LineReporter(stream)
