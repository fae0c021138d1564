"""What a person sees of results: lines, tables and reports.

Text from packages and peers is shown without markup and without control characters, and a line of it stays one line.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.table import Table
from rich.text import Text

from ppp.ledger.node_verdicts import CellVerdicts
from ppp.model.blame import AssignedBlame, assign_blame
from ppp.model.printable import printable_line
from ppp.model.record import PHASES, Blame, ModuleFailure, Outcome, Record, Result
from ppp.model.release import Release
from ppp.model.shown import GLYPHS, Shown, nothing_to_import, record_shown_as
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.remarks import remarks, share_remarks
from ppp.publish.packages.summary import FAILED

STYLES: Final = {
    Shown.PASS: "green",
    Shown.INSTALLED: "cyan",
    Shown.FAIL: "bold red",
    Shown.TIMEOUT: "yellow",
    Shown.ERROR: "magenta",
    Shown.NA: "dim",
}
#: Characters that may need an escape in JSON text.
_NOT_PLAIN: Final = re.compile(r"[^\n -~]")
#: Results that are explained below a table; the worst first.
_SEVERITY: Final = {Result.FAIL: 1, Result.TIMEOUT: 2, Result.ERROR: 3, Result.NA: 4}

#: The widest cell of a table of results, `◇ installed`, and the space before it, in characters.
_CELL_WIDTH: Final = 13


def format_json(data: object, *, ascii_only: bool = False) -> str:
    """Return data as indented JSON in which every character that is not printable, or not ASCII, is escaped."""
    return _NOT_PLAIN.sub(_escape, json.dumps(data, indent=2, ensure_ascii=ascii_only))


def _escape(found: re.Match[str]) -> str:
    if found[0].isprintable():
        return found[0]
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def result_line(record: Record) -> str:
    """Return a cell's result as a line."""
    shown, reason = record_shown_as(record), nothing_to_import(record)
    why = f" {record.cause}" if record.cause else ""
    detail = f": {record.detail}" if record.detail and record.cause else ""
    if reason is not None:
        why, detail = " nothing to import", f": {reason}" if reason else ""
    return printable_line(f"{GLYPHS[shown]} {shown:7} {record.release} in {record.environment}{why}{detail}")


def results_tables(
    rows: Sequence[tuple[Release, Mapping[str, Record]]],
    environments: Sequence[str],
    unavailable: Mapping[str, str],
    *,
    width: int,
) -> list[Table]:
    """Return releases by environments, a glyph and a word in each cell, in as many tables as `width` columns need.

    `width` is in characters. Each table has all releases and some of the environments, at least one.
    """
    longest = max((len(str(release)) for release, _ in rows), default=0)
    room = width - min(longest, width // 3) - _CELL_WIDTH // 2
    size = max(1, room // _CELL_WIDTH)
    starts = range(0, max(1, len(environments)), size)
    return [_results_table(rows, environments[start : start + size], unavailable) for start in starts]


def _results_table(
    rows: Sequence[tuple[Release, Mapping[str, Record]]], environments: Sequence[str], unavailable: Mapping[str, str]
) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("release", overflow="fold")
    for environment in environments:
        table.add_column(environment.replace("-", "\n"), no_wrap=True)
    for release, records in rows:
        cells = [_cell(records.get(e), unavailable=e in unavailable) for e in environments]
        table.add_row(Text(str(release)), *cells)
    return table


def _cell(record: Record | None, *, unavailable: bool) -> Text:
    if record is None:
        return Text("unavailable" if unavailable else "·", style="dim")
    shown = record_shown_as(record)
    return Text(f"{GLYPHS[shown]} {shown}", style=STYLES[shown])


def explanations(rows: Sequence[tuple[Release, Mapping[str, Record]]], environments: Sequence[str]) -> list[str]:
    """Return a line for each way in which a release did not pass, and for what its results leave unsaid.

    The last line names stand-ins for real images.
    """
    shown = [records[e] for _, records in rows for e in environments if e in records]
    blames = {id(r): judged.blame for _, records in rows for r, judged in _judged(records)}
    groups: dict[tuple[Result, Release, str | None, str | None, Blame | None], list[str]] = {}
    for record in sorted(shown, key=lambda record: _SEVERITY.get(record.result, 0)):
        if record.result in _SEVERITY:
            key = (record.result, record.release, record.cause, record.detail, blames[id(record)])
            groups.setdefault(key, []).append(record.environment)
    lines = [
        printable_line(
            f"{GLYPHS[result]} {result:7} {release} {cause}: {detail} [{', '.join(where)}]"
            f"{f' blame: {blame}' if blame and result in FAILED else ''}"
        )
        for (result, release, cause, detail, blame), where in groups.items()
    ]
    lines += [line for _, records in rows for line in _unsaid([records[e] for e in environments if e in records])]
    standins = [e for e in environments if any(record.environment == e and record.standin for record in shown)]
    if standins:
        lines.append(f"stand-ins, not the real images: {', '.join(standins)}")
    return lines


def _judged(records: Mapping[str, Record]) -> Iterator[tuple[Record, AssignedBlame]]:
    # As on pages: where a log leaves it open, the other cells of the release decide.
    judged = assign_blame(records.values())
    return ((record, judged[environment]) for environment, record in records.items())


def _unsaid(cells: Sequence[Record]) -> Iterator[str]:
    # The same words as on a package's page.
    for shared in share_remarks(remarks(cells)):
        title, words = FINDING_TEXTS[shared.remark.kind][0], shared.remark.words
        glyph = GLYPHS[Shown.INSTALLED] if shared.remark.kind is FindingKind.NOTHING_TO_IMPORT else "·"
        places = ", ".join(shared.environments)
        yield printable_line(f"{glyph} {title}: {cells[0].release} {words} [{places}]")


def disagreements(cells: Iterable[CellVerdicts], *, own: str | None, quarantined: Collection[str]) -> list[str]:
    """Return a line for each cell on which other nodes have another verdict, which says who found what, and when."""
    return [
        printable_line(
            f"nodes disagree on {cell.shown.release} in {cell.shown.environment}:"
            f" {cell.agreeing} of {len(cell.by_node)} found {cell.shown.result} ("
            + "; ".join(_node_verdict(record, own, quarantined) for record in cell.by_node)
            + ")"
        )
        for cell in cells
        if cell.agreeing < len(cell.by_node)
    ]


def _node_verdict(record: Record, own: str | None, quarantined: Collection[str]) -> str:
    who = "this node" if record.node == own else f"node {record.node[:16]}"
    held = ", which is quarantined" if record.node in quarantined else ""
    return (
        f"{who}{held}: {record.result}{f' {record.cause}' if record.cause else ''} at {format_time(record.observed_at)}"
    )


def format_time(epoch_s: int) -> str:
    """Return a time in epoch seconds for a person to read, in UTC."""
    return f"{datetime.fromtimestamp(epoch_s, UTC):%Y-%m-%d %H:%M} UTC"


def cell_report(record: Record, log: str | None, *, is_stored: bool = True) -> str:
    """Return what happened in each phase of a cell, with the log of the phase that did not pass.

    `is_stored` says whether the ledger has the record.
    """
    lines = [result_line(record), ""]
    for phase in PHASES:
        outcome = record.outcome(phase)
        took = record.duration_ms.get(phase)
        lines.append(f"  {phase.label:25} {outcome:8}" + (f"{took / 1000:7.2f} s" if took is not None else ""))
    lines.append("")
    if record.file:
        lines.append(f"  file      {record.file.filename} ({record.file.size} bytes, sha256 {record.file.sha256})")
    lines += [f"  {line}" for line in _module_lines(record)]
    if record.installed:
        lines.append(f"  installed {', '.join(f'{i.name} {i.version}' for i in record.installed)}")
    lines += [f"  {line}" for line in _remark_lines(record)]
    where = f"{record.image_digest or 'this machine'}{' (a stand-in, not the real image)' if record.standin else ''}"
    lines.append(f"  where     Python {record.python} on {record.arch}, {where}, pip {record.pip_version}")
    lines.append(f"  network   {record.network}")
    lines.append(f"  record    {record.id if is_stored else 'none, as no index has released this file'}")
    if record.blame:
        lines.append(f"  blame     {record.blame}")
    if record.preinstalled is not None:
        brought = ", ".join(f"{one.name} {one.version}" for one in record.preinstalled) or "nothing"
        lines.append(f"  brought   {brought}, by the environment")
    if log:
        lines += [
            "",
            f"  the log of `{record.failed_phase.label if record.failed_phase else 'the check'}` ends with:",
            "",
            *(f"  | {text}" for text in log.splitlines()),
        ]
    return "\n".join(map(printable_line, lines))


def _module_lines(record: Record) -> Iterator[str]:
    # What was imported, what was not, and why.
    if record.imports:
        primary = f" ({record.primary_module} decides)" if record.primary_module and len(record.imports) > 1 else ""
        yield f"imports   {', '.join(record.imports)}{primary}"
    elif (reason := nothing_to_import(record)) is not None:
        yield f"imports   nothing{f': {reason}' if reason else ''}"
    yield from map(_failure_line, record.import_failures)
    if tried := record.submodules:
        more = f", {tried.left_out} more were not tried" if tried.left_out else ""
        load = tried.tried - sum(failure.outcome is not Outcome.SKIP for failure in tried.failed)
        yield f"deeper    {load} of {tried.tried} submodules load{more}"
        yield from map(_failure_line, tried.failed)
    if points := record.entry_points:
        yield f"commands  {points.tried - len(points.broken)} of {points.tried} have their module and function"
        for point in points.broken:
            yield f"          {point.name} = {point.value}: {point.detail}"


def _failure_line(failure: ModuleFailure) -> str:
    outcome = "not tried" if failure.outcome is Outcome.SKIP else str(failure.outcome)
    why = ": ".join(word for word in (failure.cause, failure.detail) if word)
    return f"          {outcome} {failure.module}{why and f' {why}'}"


def _remark_lines(record: Record) -> Iterator[str]:
    # What the result leaves unsaid.
    if record.relies_on:
        yield f"relies on {', '.join(record.relies_on)}: the environment brings it, and nothing declares it"
    if mismatch := record.record_mismatch:
        yield (
            f"RECORD    differs from the wheel: {mismatch.missing} missing, {mismatch.unlisted} not listed,"
            f" {mismatch.different} different, such as {', '.join(mismatch.examples)}"
        )
    if record.shared_files and (words := record.shared_files.words):
        yield f"conflict  {words}"
    if record.yanked is not None:
        yield f"yanked    {record.yanked or 'the index gives no reason'}"
    if record.project_status:
        yield f"project   {record.project_status}, says the index"
    if listed := record.on_index:
        yield f"index     listed {listed.versions} versions then, of which the newest is {listed.newest}"
    if drift := record.drift:
        yield f"drift     {drift.words} ({format_time(drift.as_of)}: {drift.result_then}; {drift.runs} runs)"
    if trigger := record.triggered_by:
        yield f"again     because of {trigger.words}"
