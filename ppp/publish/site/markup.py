"""Small pieces of HTML that stand on a page a hundred times, made once: templates know this module as `m`.

Each gives markup that is whole and escaped, from the same words always the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import repeat
from typing import Final

from markupsafe import Markup, escape

from ppp.check.causes import cause_help
from ppp.ledger.published import Verdict
from ppp.model.record import PHASES, Outcome, Record, Result
from ppp.publish import text
from ppp.publish.packages.history import CurrentRecord, CurrentRecordRow

#: Where there is nothing to tell.
NONE: Final = "–"  # noqa: RUF001 - a dash that is wide on purpose
#: Characters of detail that a cell of a matrix has room for.
CELL_DETAIL: Final = 160
#: How many different ones are remembered of what strangers name.
_REMEMBERED: Final = 4_096


@lru_cache(_REMEMBERED)
def safe(words: str) -> str:
    """Give words as HTML: environments, versions and the like, which are few and stand on every page."""
    return str(escape(words))


@lru_cache(_REMEMBERED)
def heads(names: tuple[str, ...]) -> Markup:
    """Give the heads of columns."""
    return Markup("".join(f'<th scope="col">{safe(name)}</th>' for name in names))  # noqa: S704 - escaped


def spans(names: Iterable[str]) -> Markup:
    """Give names, each of which a line holds whole."""
    return Markup("".join(f"<span>{safe(name)}</span> " for name in names))  # noqa: S704 - escaped


@cache
def word(result: Result) -> Markup:
    """Give a result's word; the style puts its glyph before it, as it stands on pages a hundred times."""
    return Markup(f"<b>{result}</b>")  # noqa: S704 - our own words, as below


@lru_cache(_REMEMBERED)
def chip(result: Result, count: int | None = None) -> Markup:
    """Give a result with its pattern, and how many there are."""
    many = "" if count is None else f"{count} "
    return Markup(f'<span class="chip {result.lower()}">{many}{word(result)}</span>')  # noqa: S704


def tally(counts: Iterable[tuple[Result, int]]) -> Markup:
    """Give results with their counts."""
    return Markup(", ".join(chip(result, count) for result, count in counts))  # noqa: S704 - markup, all of it


@lru_cache(_REMEMBERED)
def when(epoch_s: int) -> Markup:
    """Give a moment as a person and as a program reads it."""
    return Markup(f'<time datetime="{text.iso(epoch_s)}">{text.moment(epoch_s)}</time>')  # noqa: S704


@lru_cache(_REMEMBERED)
def briefly(epoch_s: int) -> Markup:
    """Give a moment in UTC as a person and as a program read it at once."""
    return Markup(f"<time>{text.moment(epoch_s).removesuffix(' UTC')}Z</time>")  # noqa: S704 - a number


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
    if name not in cause_help():
        return cause(name)
    return Markup(f'<a href="{root}causes/{escape(name)}/index.html">{cause(name)}</a>')  # noqa: S704 - escaped


@lru_cache(_REMEMBERED)
def _plain(result: Result, platform: str) -> str:
    return f'<td class="{result.lower()}" data-e="{escape(platform)}">{word(result)}</td>'


def matrix(platforms: Sequence[str], rows: Iterable[tuple[str, CurrentRecordRow]], root: str) -> Markup:
    """Give the rows of a release's matrix: a Python each, with a cell for each platform."""
    lines = (
        f'<tr><th scope="row">{safe(python)}</th>{"".join(map(_cell, cells, platforms, repeat(root)))}</tr>'
        for python, cells in rows
    )
    return Markup("\n".join(lines))  # noqa: S704 - escaped


def _cell(o: CurrentRecord | None, platform: str, root: str) -> str:
    # It leads to why it is so, where the detail of what did not pass is told.
    if o is None:
        return '<td class="none">· not checked</td>'
    record = o.record
    phase = record.failed_phase
    if record.result is Result.PASS and phase is None and not (record.cause or record.standin or record.detail):
        return _plain(record.result, platform)
    told = str(word(record.result))
    if record.result is not Result.PASS:
        told = f'<a href="#{safe(record.environment)}">{told}</a>'
    if record.standin:
        told = f"{told}{standin()}"
    if phase or record.cause:
        at = f"at {phase}" if phase else ""
        because = f" {why(record.cause, root)}" if record.cause else ""
        blame = f' <span class="quiet">{o.judgement.blame}</span>' if o.judgement.blame else ""
        told += f'<span class="because">{at}{because}{blame}</span>'
    if record.detail and record.result is Result.PASS:
        told += f' <span class="detail">{safe(text.single_line(record.detail, CELL_DETAIL))}</span>'
    return f'<td class="{record.result.lower()}" data-e="{safe(platform)}">{told}</td>'


def release(version: str, verdicts: Iterable[Verdict | None], root: str) -> Markup:
    """Give a line of the releases before: a word for each environment, and why if it is not `PASS`."""
    name = escape(version)
    told = "".join(
        '<td class="none">·</td>' if v is None else _brief(v.result, v.cause, v.standin, root) for v in verdicts
    )
    return Markup(f'<tr id="v{name}"><th scope="row">{name}</th>{told}</tr>')  # noqa: S704 - escaped


@lru_cache(_REMEMBERED)
def _brief(result: Result, cause_: str | None, is_standin: bool, root: str) -> str:  # noqa: FBT001 - a mark that is there or not
    mark = standin() if is_standin else ""
    because = f" {why(cause_, root)}" if cause_ else ""
    return f'<td class="{result.lower()}">{result}{mark}{because}</td>'


def timings(cells: Iterable[CurrentRecord], worked: Mapping[str, str | None]) -> Markup:
    """Give a row for each cell: its phases, which version last passed there, on what, when, and who agrees."""
    return Markup("\n".join(_timing(o, worked[o.record.environment]) for o in cells))  # noqa: S704 - escaped


def _timing(o: CurrentRecord, worked: str | None) -> str:
    record, agreement = o.record, o.agreement
    records = f" <small>{agreement.records} records</small>" if agreement.records > 1 else ""
    told = (
        _phases(record),
        f"<td>{safe(worked or NONE)}</td>",
        f"<td>{safe(record.python or NONE)} <small>{safe(record.arch)}</small></td>",
        f"<td>{briefly(record.observed_at)}</td>",
        f"<td>{agreement.agreeing} of {agreement.nodes}{records}</td>",
    )
    return f'<tr><th scope="row">{safe(record.environment)}</th>{"".join(told)}</tr>'


def _phases(record: Record) -> str:
    # How long each took and what it received; in a word, what it came to if it did not pass.
    took, received = record.duration_ms, record.bytes
    shown = ""
    for phase, outcome in zip(PHASES, record.outcomes, strict=True):
        cost = _cost(took[phase], received.get(phase)) if phase in took else ""
        if outcome is Outcome.PASS:
            shown += f"<td>{cost or outcome.value}</td>"
        else:
            shown += f'<td class="{outcome.lower()}">{outcome.value}{cost and f" {cost}"}</td>'
    return shown


def _cost(took_ms: int, received_bytes: int | None) -> str:
    return f"{text.duration(took_ms)}, {text.size(received_bytes)}" if received_bytes else text.duration(took_ms)
