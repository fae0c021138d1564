"""What a reader should know of a release's cells beyond their results: a finding for each, and a line that says what.

Every line may hold text of a package or an index: it is one visible line, at most `REMARK_LIMIT` characters long.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from ppp.model.installed_files import RecordMismatch
from ppp.model.partial_imports import partial_imports
from ppp.model.record import BrokenEntryPoint, Record, Result
from ppp.model.shown import nothing_to_import
from ppp.publish import text
from ppp.publish.packages.finding_kinds import FindingKind

REMARK_LIMIT: Final = 200
#: The cause of an `NA`: the index no longer offers the release.
WITHDRAWN: Final = "withdrawn"


class Remark(NamedTuple):
    """What is remarkable in a cell; `words` are one visible line."""

    kind: FindingKind
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRemark:
    """A remark, and the environments in which it is true."""

    remark: Remark
    environments: tuple[str, ...]


def remarks(cells: Sequence[Record]) -> dict[str, tuple[Remark, ...]]:
    """Return, by environment, the remarks on the current cells of one release, those without any left out."""
    found = ((cell.environment, tuple(_remarks(cell, cells))) for cell in cells)
    return {environment: made for environment, made in found if made}


def share_remarks(by_environment: Mapping[str, Sequence[Remark]]) -> list[SharedRemark]:
    """Return each remark once, in the order of `FindingKind`, with the environments that have it."""
    places: dict[Remark, list[str]] = {}
    for environment, made in by_environment.items():
        for remark in made:
            places.setdefault(remark, []).append(environment)
    order = [*FindingKind]
    return [
        SharedRemark(remark=remark, environments=tuple(places[remark]))
        for remark in sorted(places, key=lambda remark: order.index(remark.kind))
    ]


def _remarks(cell: Record, cells: Sequence[Record]) -> Iterator[Remark]:
    for kind, words in _raw_remarks(cell, cells):
        yield Remark(kind, text.single_line(words, REMARK_LIMIT))


def _raw_remarks(cell: Record, cells: Sequence[Record]) -> Iterator[tuple[FindingKind, str]]:
    if found := partial_imports(cell, cells):
        first = found[0]
        why = first.failure.detail or first.failure.cause or "it does not load"
        subject = f"{_more(len(found), 'module')}{first.failure.module}"
        verb = "loads" if len(found) == 1 else "load"
        yield FindingKind.IMPORTS_IN_PART, f"{subject} {verb} elsewhere ({first.loads_in}), but not here: {why}"
    if cell.relies_on and cell.result is Result.PASS:
        yield FindingKind.RELIES_ON_IMAGE, ", ".join(_with_versions(cell))
    if (reason := nothing_to_import(cell)) is not None:
        yield FindingKind.NOTHING_TO_IMPORT, reason or "no reason is recorded"
    if cell.entry_points and cell.entry_points.broken:
        yield FindingKind.BROKEN_ENTRY_POINT, _entry_points_words(cell.entry_points.broken)
    if cell.record_mismatch:
        yield FindingKind.RECORD_MISMATCH, _mismatch_words(cell.record_mismatch)
    if cell.shared_files and (words := cell.shared_files.words):
        yield FindingKind.FILE_CONFLICT, words
    if cell.yanked is not None:
        yield FindingKind.YANKED, cell.yanked.strip() or "the index gives no reason"
    if cell.cause == WITHDRAWN:
        yield FindingKind.WITHDRAWN, cell.detail or "the index no longer offers it"
    if cell.project_status:
        yield FindingKind.PROJECT_STATUS, f"the index calls the project {cell.project_status}"


def _more(count: int, noun: str) -> str:
    return f"{count} {noun}s, such as " if count > 1 else ""


def _with_versions(cell: Record) -> Iterator[str]:
    versions = {one.name: one.version for one in cell.preinstalled or ()}
    return (f"{name} {versions[name]}" if name in versions else name for name in cell.relies_on)


def _entry_points_words(broken: Sequence[BrokenEntryPoint]) -> str:
    first = broken[0]
    return f"{_more(len(broken), 'command')}{first.name} = {first.value}: {first.detail}"


def _mismatch_words(mismatch: RecordMismatch) -> str:
    counts = (
        (mismatch.missing, "listed, but missing"),
        (mismatch.unlisted, "not listed"),
        (mismatch.different, "with another hash or size"),
    )
    said = "; ".join(f"files {what}: {count}" for count, what in counts if count)
    return f"{said}; such as {', '.join(mismatch.examples)}"
