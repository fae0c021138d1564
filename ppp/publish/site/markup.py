"""Small pieces of HTML that occur hundreds of times on a page, cached. Templates use this module under the name `m`.

Each function returns complete, escaped markup that depends on its arguments only.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import repeat
from typing import Final

from markupsafe import Markup, escape

from ppp.check.cause_rules import cause_help
from ppp.ledger.published import Verdict
from ppp.model.record import PHASES, Outcome, Record, Result
from ppp.model.shown import Shown, nothing_to_import, record_shown_as
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.history import CurrentRecord, CurrentRecordRow, Unchecked
from ppp.publish.packages.remarks import Remark
from ppp.publish.site.standins import Standins

#: Shown in place of a missing value.
EMPTY: Final = "–"  # noqa: RUF001 - a dash that is wide on purpose
#: The most characters of a detail in a cell of the matrix.
CELL_DETAIL_LIMIT: Final = 160
#: The remarks that a cell of the matrix names; the list above it has the words of all.
_NAMED_REMARKS: Final = (FindingKind.IMPORTS_IN_PART, FindingKind.RELIES_ON_IMAGE)
#: A cell of an earlier release that was not checked.
_NOT_CHECKED: Final = '<td class="none">·</td>'
#: The size of the caches whose keys come from records.
_CACHE_SIZE: Final = 4_096


@lru_cache(_CACHE_SIZE)
def escaped(words: str) -> str:
    """Return text escaped for HTML, cached: for environments, versions and other values that recur on many pages."""
    return str(escape(words))


@lru_cache(_CACHE_SIZE)
def column_heads(names: tuple[str, ...]) -> Markup:
    """Return column headings."""
    return Markup("".join(f'<th scope="col">{escaped(name)}</th>' for name in names))  # noqa: S704 - escaped


def spans(names: Iterable[str]) -> Markup:
    """Return names, each in a span that is not broken across lines."""
    return Markup("".join(f"<span>{escaped(name)}</span> " for name in names))  # noqa: S704 - escaped


@cache
def result_word(result: Shown | Result) -> Markup:
    """Return what a cell is shown as; the style sheet adds its glyph, which saves bytes on pages with many results."""
    return Markup(f"<b>{result}</b>")  # noqa: S704 - our own text, as below


@lru_cache(_CACHE_SIZE)
def result_chip(result: Shown | Result, count: int | None = None) -> Markup:
    """Return a result with its pattern and, if given, a count."""
    many = "" if count is None else f"{count:,} "
    return Markup(f'<span class="chip {result.lower()}">{many}{result_word(result)}</span>')  # noqa: S704


def result_counts(counts: Iterable[tuple[Shown | Result, int]]) -> Markup:
    """Return results with their counts, separated by commas."""
    return Markup(", ".join(result_chip(result, count) for result, count in counts))  # noqa: S704 - markup, all of it


def counted_results(results: Mapping[str, Result]) -> Markup:
    """Return how often each result occurs among the results of a release, in the order of the results."""
    found = [*results.values()]
    return result_counts((result, found.count(result)) for result in Result if result in found)


@lru_cache(_CACHE_SIZE)
def time_tag(epoch_s: int) -> Markup:
    """Return a time in UTC, readable for people, with its machine-readable form as an attribute."""
    return Markup(f'<time datetime="{text.iso(epoch_s)}">{text.moment(epoch_s)}</time>')  # noqa: S704


@lru_cache(_CACHE_SIZE)
def short_time_tag(epoch_s: int) -> Markup:
    """Return a time in UTC in a short form that is both readable and machine-readable (`2026-11-20 12:00Z`)."""
    return Markup(f"<time>{text.moment(epoch_s).removesuffix(' UTC')}Z</time>")  # noqa: S704 - a number


@cache
def standin_mark() -> Markup:
    """Return the mark of a cell that ran on a stand-in image."""
    return Markup(' <span class="standin">stand-in</span>')


def standin_note(standins: Standins) -> Markup:
    """Return the paragraph that says which cells of a page ran on stand-in images."""
    places = ", ".join(f"<code>{escaped(environment)}</code>" for environment in standins.environments)
    marked = ", of some only the marked cells" if standins.mixed else ""
    words = f"{places}{marked}: ran on substitutes for the official images"
    return Markup(f'<p class="note"><b class="standin">stand-in</b> {words}.</p>')  # noqa: S704 - escaped


@lru_cache(_CACHE_SIZE)
def environment_codes(environments: str) -> Markup:
    """Return ids of environments that commas separate, each in an element that is not broken across lines."""
    return Markup(", ".join(f"<code>{escaped(one)}</code>" for one in environments.split(", ")))  # noqa: S704 - escaped


@lru_cache(_CACHE_SIZE)
def cause_code(name: str) -> Markup:
    """Return the name of a cause."""
    return Markup(f'<code class="cause">{escape(name)}</code>')  # noqa: S704 - escaped


@lru_cache(_CACHE_SIZE)
def cause_link(name: str, root: str) -> Markup:
    """Return the name of a cause, linked to its help page if there is one."""
    if name not in cause_help():
        return cause_code(name)
    return Markup(f'<a href="{root}causes/{escape(name)}/index.html">{cause_code(name)}</a>')  # noqa: S704 - escaped


@lru_cache(_CACHE_SIZE)
def _plain_cell(result: Result, platform: str) -> str:
    return f'<td class="{result.lower()}" data-e="{escape(platform)}">{result_word(result)}</td>'


@dataclass(frozen=True, slots=True, kw_only=True)
class CellNotes:
    """What the cells of a matrix say beside their results.

    `remarks` on them and what they say of `earlier` releases are by environment; `standins` are those of the page.
    """

    remarks: Mapping[str, Sequence[Remark]]
    earlier: Mapping[str, str]
    standins: Standins | None


def matrix_rows(
    platforms: Sequence[str], rows: Iterable[tuple[str, CurrentRecordRow]], notes: CellNotes, root: str
) -> Markup:
    """Return the rows of a release's matrix: one per Python version, with a cell for each platform."""
    shared = repeat(notes), repeat(root)
    lines = (
        f'<tr><th scope="row">{escaped(python)}</th>{"".join(map(_matrix_cell, cells, platforms, *shared))}</tr>'
        for python, cells in rows
    )
    return Markup("\n".join(lines))  # noqa: S704 - escaped


def _matrix_cell(current: CurrentRecord | Unchecked, platform: str, notes: CellNotes, root: str) -> str:
    # A cell that did not pass links to the section that explains it.
    if isinstance(current, Unchecked):
        return f'<td class="none">· {current}</td>'
    record = current.record
    phase, shown, remarked = record.failed_phase, record_shown_as(record), notes.remarks.get(record.environment, ())
    is_marked = record.standin and notes.standins is not None and notes.standins.marks([record.environment])
    if shown is Shown.PASS and phase is None and not (record.cause or is_marked or record.detail or remarked):
        return _plain_cell(record.result, platform)
    content = str(result_word(shown))
    if record.result is not Result.PASS:
        content = f'<a href="#{escaped(record.environment)}">{content}</a>'
    if is_marked:
        content = f"{content}{standin_mark()}"
    if phase or record.cause:
        during = f"during {phase.label}" if phase else ""
        because = f" {cause_link(record.cause, root)}" if record.cause else ""
        blame = f' <span class="quiet">{current.judgement.blame}</span>' if current.judgement.blame else ""
        words = notes.earlier.get(record.environment)
        said = f" <span>{escaped(words)}</span>" if words else ""
        content += f'<span class="because">{during}{because}{blame}{said}</span>'
    content += _passing_notes(record, remarked) if record.result is Result.PASS else ""
    return f'<td class="{shown.lower()}" data-e="{escaped(platform)}">{content}</td>'


def _passing_notes(record: Record, remarked: Sequence[Remark]) -> str:
    # What a cell that passed says besides: why nothing was imported, its record's detail, the remarks worth a word.
    named = [FINDING_TEXTS[remark.kind][0] for remark in remarked if remark.kind in _NAMED_REMARKS]
    notes = "".join(f'<a class="because" href="#remarks">{escaped(title)}</a>' for title in named)
    reason = nothing_to_import(record)
    detail = record.detail if reason is None else f"nothing to import{reason and ': '}{reason}"
    shown = escaped(text.single_line(detail, CELL_DETAIL_LIMIT)) if detail else ""
    return notes + (shown and f' <span class="detail">{shown}</span>')


def release_row(version: str, verdicts: Iterable[Verdict | None], standins: Standins | None, root: str) -> Markup:
    """Return a row for an earlier release: a result for each environment, with the cause unless it is `PASS`."""
    marked = standins.mixed if standins else frozenset()
    name = escape(version)
    cells = "".join(
        _NOT_CHECKED
        if v is None
        else _release_cell(v.shown, v.cause, is_marked=v.standin and v.environment in marked, root=root)
        for v in verdicts
    )
    return Markup(f'<tr id="v{name}"><th scope="row">{name}</th>{cells}</tr>')  # noqa: S704 - escaped


def release_run_row(newest: str, oldest: str, releases: int, results: Iterable[Shown | None]) -> Markup:
    """Return a row for releases that follow one another and have the same results: the versions and their number."""
    through = f" to {escape(oldest)} <small>{releases} releases</small>" if releases > 1 else ""
    cells = "".join(
        _NOT_CHECKED if one is None else _release_cell(one, None, is_marked=False, root="") for one in results
    )
    name = escape(newest)
    return Markup(f'<tr id="v{name}"><th scope="row">{name}{through}</th>{cells}</tr>')  # noqa: S704 - escaped


@lru_cache(_CACHE_SIZE)
def _release_cell(shown: Shown, cause_: str | None, *, is_marked: bool, root: str) -> str:
    mark = standin_mark() if is_marked else ""
    because = f" {cause_link(cause_, root)}" if cause_ else ""
    return f'<td class="{shown.lower()}">{shown}{mark}{because}</td>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The table of timings: what all its rows have in common is not in each of them.

    `arch` is that of all cells, "" where they differ; `has_nodes` says whether any was observed more than once.
    """

    rows: Markup
    arch: str
    has_nodes: bool


def timings(cells: Sequence[CurrentRecord]) -> Timings:
    """Return the table of timings, with a row for each cell: phases, Python, time of observation, agreeing nodes."""
    arches = {current.record.arch for current in cells}
    arch = arches.pop() if len(arches) == 1 else ""
    has_nodes = any(current.agreement.records > 1 for current in cells)
    rows = "\n".join(_timing_row(current, has_arch=not arch, has_nodes=has_nodes) for current in cells)
    return Timings(rows=Markup(rows), arch=arch, has_nodes=has_nodes)  # noqa: S704 - escaped


def _timing_row(current: CurrentRecord, *, has_arch: bool, has_nodes: bool) -> str:
    record, agreement = current.record, current.agreement
    records = f" <small>{agreement.records} records</small>" if agreement.records > 1 else ""
    arch = f" <small>{escaped(record.arch)}</small>" if has_arch else ""
    cells = (
        _phase_cells(record),
        f"<td>{escaped(record.python or EMPTY)}{arch}</td>",
        f"<td>{short_time_tag(record.observed_at)}</td>",
        f"<td>{agreement.agreeing} of {agreement.nodes}{records}</td>" if has_nodes else "",
    )
    return f'<tr><th scope="row">{escaped(record.environment)}</th>{"".join(cells)}</tr>'


def _phase_cells(record: Record) -> str:
    # The duration and download size of each phase, with its outcome unless it passed.
    took, received = record.duration_ms, record.bytes
    shown = ""
    for phase, outcome in zip(PHASES, record.outcomes, strict=True):
        cost = _phase_cost(took[phase], received.get(phase)) if phase in took else ""
        if outcome is Outcome.PASS:
            shown += f"<td>{cost or outcome.value}</td>"
        else:
            shown += f'<td class="{outcome.lower()}">{outcome.value}{cost and f" {cost}"}</td>'
    return shown


def _phase_cost(took_ms: int, received_bytes: int | None) -> str:
    return f"{text.duration(took_ms)}, {text.size(received_bytes)}" if received_bytes else text.duration(took_ms)
