"""How downloads proceed: bars on a terminal, a line for each file elsewhere; see `DownloadProgress`."""

import sys
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from ppp.project_env.download import DownloadProgress
from ppp.project_env.locked import LockedWheel


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


class BarProgress:
    """A bar for each file that is being downloaded, and one for all of them."""

    def __init__(self, console: Console) -> None:
        """Draw on `console`."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._all = TaskID(0)

    def begin(self, wheels: Sequence[LockedWheel]) -> None:
        """Draw the bar for all of them; its end is known if the lock has all sizes."""
        sizes = [wheel.size for wheel in wheels]
        known = sum(size for size in sizes if size is not None)
        self._all = self._progress.add_task(f"{len(wheels)} files", total=None if None in sizes else known)
        self._progress.start()

    def start(self, wheel: LockedWheel, offset: int) -> None:
        """Draw a bar for a file."""
        if (task := self._tasks.get(wheel.sha256)) is None:
            task = self._tasks[wheel.sha256] = self._progress.add_task(wheel.filename, total=wheel.size)
            self._progress.advance(self._all, offset)
        self._progress.update(task, completed=offset)

    def advance(self, wheel: LockedWheel, count: int) -> None:
        """Draw it longer."""
        self._progress.advance(self._tasks[wheel.sha256], count)
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
