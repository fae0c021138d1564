"""The one line of an output that tells the most about why it failed: never one of progress, decoration or advice."""

import re
from collections.abc import Sequence
from typing import Final

#: How many lines at the end of an output, and characters of each, are looked at.
MAX_LINES: Final = 400
MAX_LINE: Final = 2000
#: How many further lines an exception's text may take, and characters in all.
MAX_MORE: Final = 3
MAX_CHARS: Final = 600
SILENT: Final = "it ended without a word"

#: What a tool prints while it goes on.
_PROGRESS: Final = re.compile(
    r"^(?:running|copying|creating|adding|writing|reading|building|byte-compiling|removing|installing|compiling|linking"
    r"|configuring|checking|Collecting|Downloading|Installing|Preparing|Processing|Looking in|Using|Requirement already"
    r"|Checking|Compiling|Getting|Building|Created|Obtaining|Saved|Stored in|Running|Configuring|Generating"
    r"|-- |\d{1,3}%|\[ *\d{1,6}[/%])(?![\w-]*(?:Error|error)).*"
)
_GOES_ON: Final = ("...", "…", "... done", "... ok", "... yes", "... no")
#: Decoration, the frames of tracebacks, and where else to look.
_NOISE: Final = re.compile(
    r"^(?:[\W_\d]*|(?:File \"|Traceback \(|note: |hint: |warning: |Warning: |WARNING: |DEPRECATION: "
    r"|\[notice\]|A full log|See above|╰─>|During handling of|The above exception|https?://|exit code: ).*"
    r"|.{0,20}lines? of output\]|\[end of output\]"
    # pip's own words for the fact that it failed.
    r"|error: (?:subprocess-exited|metadata-generation|failed-|legacy-install).*|ERROR: Failed to build.*"
    r"|ERROR: Failed building wheel for .*|\N{MULTIPLICATION SIGN} .*)"
)
_EXCEPTION: Final = re.compile(
    r"^(?:[A-Za-z_][\w.]{0,200})?(?:Error|Exception|Unavailable|NotFound\w{0,20}|Exit|Interrupt)(?::.*)?"
)
_COMPILER_ERROR: Final = re.compile(
    r"^(?:\S.{0,300}:(?:\d{1,7}:)*(?:\d{1,7})?: ?(?:fatal )?error: \S.*|CMake Error\b.*)"
)
_ERROR: Final = re.compile(r"^(?:error|fatal|ERROR|Error|FATAL): \S.*")
_WORDS: Final = re.compile(
    r"(?i:\b(?:error|fatal|failed|fails|cannot|can't|could not|couldn't|unable|not found|no such|missing|required"
    r"|requires|unsupported|not supported|deprecated|must|invalid|refus|abort))"
)
_BLOCK: Final = re.compile(r"lines? of output\]$")
_CLOSES: Final = "[end of output]"


def is_progress(line: str) -> bool:
    """Return whether a line only says what a tool is doing, or decorates: it tells nothing about a failure."""
    text = line.strip()
    goes_on = text.endswith(_GOES_ON) or "Warning: " in text
    return not text or goes_on or bool(_PROGRESS.fullmatch(text) or _NOISE.fullmatch(text))


def telling_line(output: str) -> str:
    """Return the line of an output that tells the most: of its last block of a subprocess's output, if that has one."""
    lines = [line[:MAX_LINE] for line in output.splitlines()[-MAX_LINES:]]
    return _most_telling(_last_block(lines)) or _most_telling([line.strip() for line in lines]) or SILENT


def _most_telling(lines: Sequence[str]) -> str | None:
    if (place := _last(_EXCEPTION, lines)) is not None:
        return _with_more(lines, place)
    # The first error of a compiler is the reason for the others, and the last of another tool is what ended it.
    for pattern, first in ((_COMPILER_ERROR, True), (_ERROR, False)):
        found = [line for line in lines if pattern.fullmatch(line) and not is_progress(line)]
        if found:
            return found[0 if first else -1]
    telling = [line for line in lines if not is_progress(line)]
    return next((line for line in telling if _WORDS.search(line)), telling[-1] if telling else None)


def telling_exception(line: str, output: str, end: int) -> str:
    """Return an exception's line with what follows it in an output from `end` on, if the line alone tells nothing."""
    if not line.rstrip().endswith(":"):
        return line
    return _with_more([line, *output[end : end + MAX_CHARS * 2].splitlines()[1:]], 0)


def _last_block(lines: Sequence[str]) -> list[str]:
    """Return the stripped lines of the last block of a subprocess's output that pip shows; all where there is none."""
    closes = max((place for place, line in enumerate(lines) if line.strip() == _CLOSES), default=len(lines))
    opens = max((place for place, line in enumerate(lines[:closes]) if _BLOCK.search(line)), default=-1)
    block = lines[opens + 1 : closes] if opens >= 0 else lines
    return [line.strip() for line in block]


def _last(pattern: re.Pattern[str], lines: Sequence[str]) -> int | None:
    return next((place for place in reversed(range(len(lines))) if pattern.fullmatch(lines[place])), None)


def _with_more(lines: Sequence[str], place: int) -> str:
    line = lines[place]
    if not line.rstrip().endswith(":"):
        return line
    more = [text for text in lines[place + 1 :] if not is_progress(text)][:MAX_MORE]
    return " ".join([line, *(text.strip() for text in more)])[:MAX_CHARS]
