"""A line of a log for programs: one JSON object; and the format of this process's log.

This imports next to nothing, as every start of `ppp` needs it for the error that may end the command.
"""

import json
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TextIO

from ppp.model.errors import PPPError

#: The longest message of a line, in characters.
MAX_MESSAGE: Final = 10_000


class LogFormat(StrEnum):
    """How what happens is written to standard error."""

    TEXT = "text"
    JSON = "json"


#: The format of this process's log, also when its command has ended with an error.
chosen_log_format: ContextVar[LogFormat] = ContextVar("log_format", default=LogFormat.TEXT)


def write_line(stream: TextIO, now: datetime, level: str, event: str, **fields: Any) -> None:  # noqa: ANN401 - JSON
    """Write a line: `time` (ISO 8601, UTC), `level`, `event`, and what belongs to the event."""
    time = now.isoformat(timespec="milliseconds")
    # Every character that could end a line, or that a terminal acts on, is escaped.
    print(json.dumps({"time": time, "level": level, "event": event, **fields}), file=stream, flush=True)


def write_error(stream: TextIO, error: PPPError) -> None:
    """Write the error that ends a command as a JSON object: its message, what to do next, its exit status."""
    words = {"message": error.message[:MAX_MESSAGE], "hint": error.hint[:MAX_MESSAGE]}
    now = datetime.now(UTC)
    write_line(stream, now, "error", "error", **words, kind=type(error).__name__, exit_code=error.exit_code)
