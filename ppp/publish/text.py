"""Make untrusted text safe to show on a page, in a feed and on a terminal: nothing in it acts, and it is bounded."""

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

#: Escape sequences for a terminal, such as colours and titles: dropped, as they carry no information.
_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-Za-z])")
#: Control, format (bidi marks, joiners), surrogate, private and unassigned characters, line and paragraph separators.
_ACTIVE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
#: Words of visible ASCII with single spaces between them: most texts, which need no work.
_PLAIN: Final = re.compile(r"[!-~]+(?: [!-~]+)*")
#: Text that is the same in HTML, with one byte for each character.
_NEEDS_NO_ESCAPE: Final = re.compile(r"[ !#-%(-;=?-~]*")
#: There are few days, and each is shown in many places.
_day_name: Final = lru_cache(4096)(format_day)


def escape_invisible(text: str, *, keep: str = "") -> str:
    r"""Replace each character that could act or hide by its escape (`\x1b`, `\u202e`), except those in `keep`."""
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
    """Return a text as one visible line of at most `limit` characters, with an ellipsis where it was cut."""
    if len(text) <= limit and _PLAIN.fullmatch(text):
        return text
    # Cut first, so that a huge text costs no more than a long one; escaping only makes it longer.
    shown = escape_invisible(" ".join(text[: 4 * limit].split()))
    # Where an escape sequence was dropped, the spaces around it are now adjacent.
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit and len(text) <= 4 * limit else f"{shown[: limit - 1]}…"


def log_tail(log: str, *, lines: int, limit: int) -> str:
    """Return a log's last lines, visible, at most `limit` characters; of a line that was redrawn, its last state."""
    kept = log[-4 * limit :].rstrip().split("\n")[-lines:]
    redrawn = (escape_invisible(one.rstrip("\r").rpartition("\r")[2], keep="\t") for one in kept)
    return "\n".join(redrawn)[-limit:]


def between_tags(words: str) -> Markup:
    """Return a text as HTML for between two tags, where quotes are no markup: a log has hundreds of them."""
    return Markup(words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))  # noqa: S704 - as it says


def with_code_spans(words: str) -> Markup:
    """Return our own prose as HTML, escaped, with text in backticks as code."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped before


def duration(ms: int) -> str:
    """Return milliseconds in readable form: `80 ms`, `1.2 s`, `2 min 5 s`."""
    if ms < 1000:  # noqa: PLR2004 - a second
        return f"{ms} ms"
    if ms < 60_000:  # noqa: PLR2004 - a minute
        return f"{ms / 1000:.1f} s"
    return f"{ms // 60_000} min {ms % 60_000 // 1000} s"


def size(count: int) -> str:
    """Return a number of bytes in readable form: `812 B`, `1.2 kB`, `43.0 MB`."""
    if count < 1000:  # noqa: PLR2004 - a kilobyte
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"  # noqa: PLR2004 - a megabyte


def grouped(count: int) -> str:
    """Return a number with its digits in groups of three: `6,012`."""
    return f"{count:,}"


def short_count(count: int) -> str:
    """Return a count in short, rounded down: `999`, `12K`, `340M`, `1.2B`, `10B`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 1000)):
        if count >= size:
            tenths = 10 * count // size
            return f"{tenths // 10}.{tenths % 10}{unit}" if tenths < 100 and tenths % 10 else f"{tenths // 10}{unit}"  # noqa: PLR2004 - one digit
    return str(count)


def period(period: str) -> str:
    """Return a period of downloads in words: `in 2026-10`, or `from 2026-10-02 to 2026-11-01`."""
    first, _, last = period.partition("/")
    return f"from {first} to {last}" if last else f"in {first}"


def moment(epoch_s: int) -> str:
    """Return epoch seconds as `2026-11-20 12:00 UTC`."""
    return f"{day(epoch_s)} {epoch_s // 3600 % 24:02}:{epoch_s // 60 % 60:02} UTC"


def iso(epoch_s: int) -> str:
    """Return epoch seconds as `2026-11-20T12:00:00Z`, the format of `<time datetime>`."""
    return f"{day(epoch_s)}T{epoch_s // 3600 % 24:02}:{epoch_s // 60 % 60:02}:{epoch_s % 60:02}Z"


def day(epoch_s: int) -> str:
    """Return the UTC day of epoch seconds as `2026-11-20`."""
    return _day_name(epoch_s // DAY_S)


def rfc2822(epoch_s: int) -> str:
    """Return epoch seconds in the format of RSS dates (RFC 2822)."""
    return format_datetime(datetime.fromtimestamp(epoch_s, UTC), usegmt=True)


def html_size(text: str) -> int:
    """Return how many bytes a text takes on a page, as HTML in UTF-8."""
    return len(text) if _NEEDS_NO_ESCAPE.fullmatch(text) else len(escape(text).encode())


def fit_budget(items: Iterable[T], budget: int, cost: Callable[[T], int]) -> list[T]:
    """Return the first items whose costs (bytes) together stay within the budget."""
    kept: list[T] = []
    for item in items:
        budget -= cost(item)
        if budget < 0:
            break
        kept.append(item)
    return kept
