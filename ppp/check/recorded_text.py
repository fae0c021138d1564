"""What is recorded of logs and details: nothing that belongs to one run or machine only, and not too much. Pure."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from ppp.check.causes import one_line

#: How much of the end of a failed phase's log is kept, in characters.
LOG_TAIL_CHARS: Final = 12_000
CUT_NOTICE: Final = "[the beginning of this log was cut]\n"
#: Paths inside a cell: they mean nothing to readers, and differ from cell to cell.
_SANDBOX_PATHS: Final = re.compile(
    r"(file://)?/ppp/(file|work/\w+/lib/python[\d.]+/site-packages)/"
    r"|/tmp/pip-[a-z-]+-\w{8}/(overlay/lib/python[\d.]+/site-packages/|[\w.-]+_[0-9a-f]{32}/)?"
)
#: Where an interpreter and its files happen to be: another image, or another machine, has them elsewhere.
_INTERPRETER_PATHS: Final = re.compile(
    r"(?<![\w.+/-])(?:/[\w.+-]{1,100}){0,8}/lib(?:64)?/python[\d.]{0,9}/(?:(?:site|dist)-packages/|lib-dynload/)?"
    r"|(?<![\w.+/-])(?:/[\w.+-]{1,100}){1,8}/bin/(?=python[\d.]{0,9}\b)"
)
#: Parts of names that differ from run to run: temporary folders, and addresses in memory.
_VARYING_NAMES: Final = re.compile(r"(?<=/tmp/tmp)\w{8}\b|(?<=/tmp/cc)\w{6}(?=\.)|(?<=\b0x)[0-9a-f]{6,}\b")

#: What tools say of time and speed.
_MEASURED: Final = re.compile(r"\b\d+(?:\.\d+)? ?(?:ms|s|secs?|seconds?|[kKMG]i?B(?:/s)?|bytes)\b")


def scrub(text: str, hosts: Collection[str], aliases: Mapping[str, str]) -> str:
    """Remove from a text what belongs to this run or machine only: the index's hosts, and the sandbox's folders.

    `aliases` are the names that take the place of these folders, by path.
    """
    for host in sorted(hosts, key=len, reverse=True):
        text = text.replace(host, "index.example")
    for folder, alias in aliases.items():
        text = text.replace(folder, alias)
    return text.replace("\x00", "")


def recorded_detail(scrubbed: str) -> str | None:
    """Return a record's line of detail, without what would differ if the cell were checked again; None if it is empty.

    It is cut last, so nothing in it is half replaced, and no replacement makes it too long.
    """
    plain = _INTERPRETER_PATHS.sub("", _SANDBOX_PATHS.sub("", scrubbed))
    return one_line(_VARYING_NAMES.sub("…", plain)) or None


def comparable_line(line: str) -> str:
    """Return a line of a log without what differs from run to run: temporary names, addresses, times and speeds."""
    plain = _INTERPRETER_PATHS.sub("", _SANDBOX_PATHS.sub("", line))
    return _MEASURED.sub("…", _VARYING_NAMES.sub("…", plain)).rstrip()


def log_tail(log: str) -> str:
    """Return the end of a log that is recorded, with a notice where its beginning was cut."""
    return log if len(log) <= LOG_TAIL_CHARS else CUT_NOTICE + log[len(CUT_NOTICE) - LOG_TAIL_CHARS :]
