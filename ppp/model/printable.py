"""Text of others in messages: on one line, and without what controls a terminal."""

from collections.abc import Sequence
from typing import Final

MAX_REASON_LENGTH: Final = 400
#: The longest line shown, in characters: longer ones are complete in the JSON.
MAX_LINE: Final = 10_000


def printable_reason(text: str, max_chars: int = MAX_REASON_LENGTH) -> str:
    """Return text as one line of at most `max_chars` printable characters; others become question marks."""
    line = "".join(c if c.isprintable() else "?" for c in text[: max_chars + 1])
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def first_of(texts: Sequence[str], most: int, *, separator: str = ", ") -> str:
    """Return the first `most` texts, joined, and how many more there are: `a, b and 3 more`."""
    joiner = " " if separator == ", " else separator
    more = f"{joiner}and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def printable(text: str) -> str:
    """Return text with each control character replaced, so that a terminal acts on none; line breaks stay."""
    return "".join(
        c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text.replace("\r\n", "\n")
    )


def printable_line(text: str) -> str:
    """Return text as one printable line of at most `MAX_LINE` characters; line breaks are replaced."""
    shown = printable(text[: MAX_LINE + 1]).replace("\n", "\N{REPLACEMENT CHARACTER}")
    return shown if len(shown) <= MAX_LINE else f"{shown[: MAX_LINE - 1]}…"
