"""Small pieces of HTML that stand on a page a hundred times, made once: templates know this module as `m`.

Each gives markup that is whole and escaped, from the same words always the same.
"""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from markupsafe import Markup, escape

from ppp.check.causes import causes
from ppp.model.judge import Judgement
from ppp.model.record import PHASES, Record, Result
from ppp.publish import text

#: A result is told by word, glyph and pattern (the pattern is the style's); a cell without one was not checked.
GLYPHS: Final = {Result.PASS: "✓", Result.FAIL: "✗", Result.TIMEOUT: "◷", Result.ERROR: "▲", Result.NA: "–"}  # noqa: RUF001 - a dash that is wide on purpose
#: Characters of detail that a cell of a matrix has room for.
CELL_DETAIL: Final = 160
#: How many different ones are remembered of what strangers name.
_REMEMBERED: Final = 4_096


@cache
def word(result: Result) -> Markup:
    """Give a result by glyph and word."""
    return Markup(f'<b aria-hidden="true">{GLYPHS[result]}</b> {result}')  # noqa: S704 - our own words, as below


@lru_cache(_REMEMBERED)
def chip(result: Result, count: int | None = None) -> Markup:
    """Give a result with its pattern, and how many there are."""
    many = "" if count is None else f"{count} "
    return Markup(f'<span class="chip {result.lower()}">{many}{word(result)}</span>')  # noqa: S704


def tally(counts: Iterable[tuple[Result, int]]) -> Markup:
    """Give results with their counts."""
    return Markup(", ").join(chip(result, count) for result, count in counts)


@lru_cache(_REMEMBERED)
def when(epoch_s: int) -> Markup:
    """Give a moment as a person and as a program reads it."""
    return Markup(f'<time datetime="{text.iso(epoch_s)}">{text.moment(epoch_s)}</time>')  # noqa: S704


@cache
def standin() -> Markup:
    """Give the mark of a cell that ran on a stand-in."""
    return Markup(' <span class="standin">stand-in</span>')


@lru_cache(_REMEMBERED)
def cause(name: str) -> Markup:
    """Give a cause by name."""
    return Markup(f'<code class="cause">{escape(name)}</code>')  # noqa: S704 - escaped


@lru_cache(_REMEMBERED)
def why(name: str, root: str) -> Markup:
    """Give a cause by name, leading to its page of help where there is one."""
    if name not in causes():
        return cause(name)
    return Markup(f'<a href="{root}causes/{escape(name)}/index.html">{cause(name)}</a>')  # noqa: S704 - escaped


@lru_cache(_REMEMBERED)
def _plain(result: Result, platform: str) -> Markup:
    return Markup(f'<td class="{result.lower()}" data-e="{escape(platform)}">{word(result)}</td>')  # noqa: S704


def cell(record: Record, judgement: Judgement, platform: str, *, full: bool, root: str) -> Markup:
    """Give a cell of a release's matrix; in full it tells the detail, and leads to why it is so."""
    phase = record.failed_phase
    if (
        phase is None
        and not (record.cause or record.standin or (full and record.detail))
        and not (full and record.result is not Result.PASS)
    ):
        return _plain(record.result, platform)
    told = word(record.result)
    if full and record.result is not Result.PASS:
        told = Markup(f'<a href="#{escape(record.environment)}">{told}</a>')  # noqa: S704 - escaped, as below
    if record.standin:
        told += standin()
    if phase or record.cause:
        at = f"at {phase}" if phase else ""
        because = f" {why(record.cause, root)}" if record.cause else ""
        blame = f' <span class="quiet">{judgement.blame}</span>' if judgement.blame else ""
        told += Markup(f'<span class="because">{at}{because}{blame}</span>')  # noqa: S704
    if full and record.detail:
        told += Markup(f'<span class="detail">{escape(text.line(record.detail, CELL_DETAIL))}</span>')  # noqa: S704
    return Markup(f'<td class="{record.result.lower()}" data-e="{escape(platform)}">{told}</td>')  # noqa: S704


def phases(record: Record) -> Markup:
    """Give a cell for each phase of a record: what it came to, how long it took and what it received."""
    shown = []
    for phase, outcome in zip(PHASES, record.outcomes, strict=True):
        took = record.duration_ms.get(phase)
        received = record.bytes.get(phase)
        more = "" if took is None else _cost(took, received or 0)
        shown.append(f'<td class="phase {outcome.lower()}">{outcome.value}{more}</td>')
    return Markup("".join(shown))  # noqa: S704 - our own words and numbers


def _cost(took_ms: int, received_bytes: int) -> str:
    received = f", {text.size(received_bytes)}" if received_bytes else ""
    return f' <span class="quiet">{text.duration(took_ms)}{received}</span>'
