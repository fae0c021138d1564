"""Text that strangers wrote, made fit for a page, a feed and a terminal: none of it acts, none is unbounded."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from typing import Final, TypeVar

from markupsafe import Markup, escape

from ppp.ledger.digests import DAY_S, format_day

T = TypeVar("T")

#: Colours and titles that programs send to a terminal: dropped, as they say nothing.
_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z])")
#: Control, format (bidi marks, joiners), surrogate, private and unassigned characters, line and paragraph separators.
_ACTIVE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Words of visible ASCII with single spaces between them: most of what is told.
_PLAIN: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
#: What is written in HTML as it is, a byte a letter.
_NEEDS_NO_ESCAPE: Final = re.compile(r"[ !#-%(-;=?-~]*")
#: There are few, and each stands in many places.
_day_name: Final = lru_cache(4096)(format_day)


def escape_invisible(text: str, *, keep: str = "") -> str:
    r"""Show each character that could act or hide as its escape (`\x1b`, `\u202e`), but for those in `keep`."""
    text = _TERMINAL.sub("", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in keep or unicodedata.category(c) not in _ACTIVE else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:  # noqa: PLR2004 - the widest that two digits hold
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the widest that four hold


def single_line(text: str, limit: int) -> str:
    """Give one visible line of at most `limit` characters; what was cut shows as an ellipsis."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    # Cut before it is looked at, so that a huge text costs no more than a long one; escapes only lengthen.
    shown = escape_invisible(" ".join(text[: 4 * limit].split()))
    # Where a terminal's sequence was taken out, the spaces round it meet.
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit and len(text) <= 4 * limit else f"{shown[: limit - 1]}…"


def log_tail(log: str, *, lines: int, limit: int) -> str:
    """Give a log's last lines, at most `limit` characters of them, visible; a redrawn line as it last stood."""
    kept = log[-4 * limit :].rstrip().split("\n")[-lines:]
    redrawn = (escape_invisible(one.rstrip("\r").rpartition("\r")[2], keep="\t") for one in kept)
    return "\n".join(redrawn)[-limit:]


def with_code_spans(words: str) -> Markup:
    """Give our own prose as HTML, with what stands in backticks as code; nothing in it acts."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped before


def duration(ms: int) -> str:
    """Give milliseconds as a person reads them: `80 ms`, `1.2 s`, `2 min 5 s`."""
    if ms < 1000:  # noqa: PLR2004 - a second
        return f"{ms} ms"
    if ms < 60_000:  # noqa: PLR2004 - a minute
        return f"{ms / 1000:.1f} s"
    return f"{ms // 60_000} min {ms % 60_000 // 1000} s"


def size(count: int) -> str:
    """Give bytes as a person reads them: `812 B`, `1.2 kB`, `43.0 MB`."""
    if count < 1000:  # noqa: PLR2004 - a kilobyte
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"  # noqa: PLR2004 - a megabyte


def moment(epoch_s: int) -> str:
    """Give epoch seconds as `2026-11-20 12:00 UTC`."""
    return f"{day(epoch_s)} {epoch_s // 3600 % 24:02}:{epoch_s // 60 % 60:02} UTC"


def iso(epoch_s: int) -> str:
    """Give epoch seconds as `2026-11-20T12:00:00Z`, as `<time datetime>` takes it."""
    return f"{day(epoch_s)}T{epoch_s // 3600 % 24:02}:{epoch_s // 60 % 60:02}:{epoch_s % 60:02}Z"


def day(epoch_s: int) -> str:
    """Give the UTC day of epoch seconds as `2026-11-20`."""
    return _day_name(epoch_s // DAY_S)


def rfc2822(epoch_s: int) -> str:
    """Give epoch seconds as RSS dates them."""
    return format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)


def html_size(text: str) -> int:
    """Count the bytes that a text takes on a page, written as HTML in UTF-8."""
    return len(text) if _NEEDS_NO_ESCAPE.fullmatch(text) else len(escape(text).encode())


def fit_budget(items: Iterable[T], budget: int, cost: Callable[[T], int]) -> list[T]:
    """Give the first items whose costs (bytes) stay within the budget together."""
    kept: list[T] = []
    for item in items:
        budget -= cost(item)
        if budget < 0:
            break
        kept.append(item)
    return kept
