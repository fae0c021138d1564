"""What a service's log says of a run: JSON lines for programs, or only warnings; see `ppp.runner.context.Reporter`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TextIO

from ppp.log_lines import MAX_MESSAGE, LogFormat, write_line
from ppp.model.printable import printable
from ppp.model.record import PHASES, Record
from ppp.model.shown import record_shown_as
from ppp.progress import LineReporter, LiveReporter, make_reporter


class Verbosity(StrEnum):
    """How much is written."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


class JsonReporter:
    """One JSON object in each line: `time` (ISO 8601, UTC), `level`, `event`, and what belongs to the event."""

    def __init__(self, stream: TextIO, *, verbosity: Verbosity, now: Callable[[], datetime]) -> None:
        """Write to `stream`; `now` returns the time in UTC."""
        self._stream, self._verbosity, self._now = stream, verbosity, now
        self._total = self._done = 0

    def _write(self, level: str, event: str, **fields: Any) -> None:  # noqa: ANN401 - values of JSON
        if self._verbosity is Verbosity.QUIET and level == "info":
            return
        write_line(self._stream, self._now(), level, event, **fields)

    def note(self, text: str) -> None:
        """Write a remark."""
        self._write("info", "note", message=text[:MAX_MESSAGE])

    def warn(self, text: str) -> None:
        """Write what went wrong without stopping the run."""
        self._write("warning", "warning", message=text[:MAX_MESSAGE])

    def begin(self, total: int) -> None:
        """Write that so many cells are about to be checked."""
        self._total, self._done = total, 0
        self._write("info", "begin", total=total)

    def running(self, jobs: Sequence[str]) -> None:
        """Write nothing: a cell has its line when it is done."""

    def checked(self, record: Record) -> None:
        """Write a cell's result; if verbose, with how long each phase took, in milliseconds."""
        self._done += 1
        more = {"phases": phase_times(record)} if self._verbosity is Verbosity.VERBOSE else {}
        self._write(
            "info",
            "checked",
            done=self._done,
            total=self._total,
            package=record.release.package,
            version=record.release.version,
            environment=record.environment,
            result=record_shown_as(record),
            cause=record.cause,
            detail=record.detail,
            record=record.id,
            **more,
        )

    def end(self) -> None:
        """Write that all cells were checked, or a stop was requested."""
        self._write("info", "end", done=self._done, total=self._total)


class QuietReporter(LineReporter):
    """Plain lines of warnings alone."""

    def note(self, text: str) -> None:
        """Write nothing."""

    def warn(self, text: str) -> None:
        """Write what went wrong."""
        super().note(f"warning: {text}")

    def checked(self, record: Record) -> None:
        """Write nothing."""


class VerboseReporter(LineReporter):
    """Plain lines, each cell with how long its phases took."""

    def checked(self, record: Record) -> None:
        """Write a cell's result, and a line with its phases."""
        super().checked(record)
        times = ", ".join(f"{phase} {took} ms" for phase, took in phase_times(record).items())
        self.note(printable(f"    {times or 'nothing was run'}; record {record.id}"))


def phase_times(record: Record) -> dict[str, int]:
    """Return how long each phase took that was run, in milliseconds, in their order."""
    return {str(phase): record.duration_ms[phase] for phase in PHASES if phase in record.duration_ms}


def log_reporter(
    stream: TextIO, *, log_format: LogFormat, verbosity: Verbosity
) -> LineReporter | LiveReporter | JsonReporter:
    """Return the reporter for a format and a verbosity; without either, the one that suits the stream."""
    if log_format is LogFormat.JSON:
        return JsonReporter(stream, verbosity=verbosity, now=lambda: datetime.now(UTC))
    match verbosity:
        case Verbosity.QUIET:
            return QuietReporter(stream)
        case Verbosity.VERBOSE:
            return VerboseReporter(stream)
    return make_reporter(stream)
