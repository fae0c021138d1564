"""How downloads proceed: bars on a terminal, a line for each file elsewhere; see `DownloadProgress`."""

import sys
from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TaskID, TransferSpeedColumn
from rich.table import Column
from rich.text import Text

from ppp.project_env.download import DownloadProgress
from ppp.project_env.locked import LockedWheel

#: From how many columns on a terminal has room for speeds, and how many a bar has at most.
_WIDE_COLUMNS: Final = 60
_NARROW_BAR: Final = 10
_WIDE_BAR: Final = 40


class LineProgress:
    """A line for each file, once it is complete."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._offsets: dict[str, int] = {}
        self._received: dict[str, int] = {}

    def begin(self, wheels: Sequence[LockedWheel]) -> None:
        """Print nothing yet: most may be in the cache."""

    def start(self, wheel: LockedWheel, offset: int) -> None:
        """Keep where it begins."""
        self._offsets[wheel.sha256], self._received[wheel.sha256] = offset, offset

    def advance(self, wheel: LockedWheel, count: int) -> None:
        """Count."""
        self._received[wheel.sha256] += count

    def finish(self, wheel: LockedWheel) -> None:
        """Print the file's name and size, and where it was resumed."""
        offset, size = self._offsets.get(wheel.sha256, 0), self._received.get(wheel.sha256, wheel.size or 0)
        resumed = f", resumed at {offset:,}" if offset else ""
        print(f"downloaded {wheel.filename} ({size:,} bytes{resumed})", file=self._stream, flush=True)

    def end(self) -> None:
        """Print nothing."""


class _NameColumn(ProgressColumn):
    """What a bar is of, in one line: shortened where the terminal has no room for all of it."""

    def render(self, task: Task) -> Text:
        return Text(task.description, no_wrap=True, overflow="ellipsis")


class BarProgress:
    """A bar for each wheel that is being downloaded, and one for all of them; each has one line."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        narrow = console.width < _WIDE_COLUMNS
        # A column that must not be wrapped is never shortened: only names and bars are.
        speed = () if narrow else (TransferSpeedColumn(table_column=Column(no_wrap=True)),)
        size = DownloadColumn(table_column=Column(no_wrap=True))
        columns = (_NameColumn(), BarColumn(bar_width=_NARROW_BAR if narrow else _WIDE_BAR), size, *speed)
        self._progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._received: dict[str, int] = {}
        self._all: TaskID | None = None

    def begin(self, wheels: Sequence[LockedWheel]) -> None:
        """Draw the bar for all of them, if there are any; its end is known if the lock has all sizes."""
        if not wheels:
            return
        sizes = [wheel.size for wheel in wheels]
        known = sum(size for size in sizes if size is not None)
        files = "file" if len(wheels) == 1 else "files"
        self._all = self._progress.add_task(f"{len(wheels)} {files}", total=None if None in sizes else known)
        self._progress.start()

    def start(self, wheel: LockedWheel, offset: int) -> None:
        """Draw a bar for a wheel; one that begins again counts from there."""
        if wheel.sha256 not in self._tasks:
            self._tasks[wheel.sha256] = self._progress.add_task(f"{wheel.name} {wheel.version}", total=wheel.size)
        self._progress.update(self._tasks[wheel.sha256], completed=offset)
        self._advance_all(offset - self._received.get(wheel.sha256, 0))
        self._received[wheel.sha256] = offset

    def advance(self, wheel: LockedWheel, count: int) -> None:
        """Draw it longer."""
        self._progress.advance(self._tasks[wheel.sha256], count)
        self._advance_all(count)
        self._received[wheel.sha256] += count

    def _advance_all(self, count: int) -> None:
        if self._all is not None:
            self._progress.advance(self._all, count)

    def finish(self, wheel: LockedWheel) -> None:
        """Remove its bar."""
        if (task := self._tasks.pop(wheel.sha256, None)) is not None:
            self._progress.remove_task(task)

    def end(self) -> None:
        """Remove all bars."""
        self._progress.stop()


def make_progress(stream: TextIO = sys.stderr) -> DownloadProgress:
    """Return what suits a stream: bars on a terminal that can redraw, lines elsewhere."""
    console = Console(file=stream)
    return BarProgress(console) if stream.isatty() and not console.is_dumb_terminal else LineProgress(stream)
