"""`/p/<package>/log/<sha256>.txt`: the whole log of each failure of a newest release, as a text file of its own.

Its name is the sha256 of its bytes, so that a copy of it proves itself. What could act on a terminal is escaped.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from ppp.model.canonical import sha256_hex
from ppp.publish import text

#: The most bytes of a log that are published; a longer one loses its beginning, since failures are told at the end.
MAX_LOG_BYTES: Final = 64_000
#: The most bytes of logs of one package. Most have a log or two of 5 kB.
LOGS_BUDGET: Final = 200_000


class LogFile(NamedTuple):
    """A published log: its name within the package's folder, and its content."""

    name: str
    content: bytes


def log_files(logs: Mapping[str, str]) -> dict[str, LogFile]:
    """Return the files of a package's logs, by the sha256 of each as the ledger has it: as many as fit the budget."""
    found: dict[str, LogFile] = {}
    room = LOGS_BUDGET
    for digest, log in logs.items():
        file = _log_file(log)
        room -= len(file.content)
        if room < 0:
            break
        found[digest] = file
    return found


def _log_file(log: str) -> LogFile:
    lines = log.replace("\r\n", "\n").replace("\r", "\n")
    content = text.escape_invisible(lines, keep="\n\t").encode()
    if len(content) > MAX_LOG_BYTES:
        left_out = len(content) - MAX_LOG_BYTES
        tail = content[left_out:].decode("utf-8", "ignore")
        content = f"[the first {left_out} bytes are left out]\n{tail}".encode()
    return LogFile(f"log/{sha256_hex(content)}.txt", content)
