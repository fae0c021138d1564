"""Parts of packages as text, to be handed from one process to another and kept from one build to the next."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from ppp.model.judge import Judge
from ppp.model.record import Blame, Json, Phase, Result
from ppp.publish.kinds import FindingKind
from ppp.publish.part import Affected, Before, Part

_RESULTS: Mapping[str, Result] = {str(result): result for result in Result}


def encoded(part: Part) -> str:
    """Give a part as JSON, each cell once."""
    cells = list(dict.fromkeys([cell for found in part.found.values() for cell in found] + [*part.broken]))
    place = {cell: number for number, cell in enumerate(cells)}
    return json.dumps(
        [
            part.package,
            part.version,
            " ".join(f"{result}:{count}" for result, count in part.tally),
            part.as_of,
            [_row(cell) for cell in cells],
            {kind: [place[cell] for cell in found] for kind, found in part.found.items()},
            [place[cell] for cell in part.broken],
        ],
        separators=(",", ":"),
    )


def decoded(texts: Iterable[str]) -> list[Part]:
    """Give the parts that were encoded, in their order."""
    # Read as one text: that takes a third of the time that many take.
    return [_part(*row) for row in json.loads(f"[{','.join(texts)}]")]


def _part(  # noqa: PLR0917 - as they are encoded
    package: str,
    version: str,
    tally: str,
    as_of: int,
    rows: list[list[Any]],
    found: dict[str, list[int]],
    broken: list[int],
) -> Part:
    cells = [_cell(package, row) for row in rows]
    return Part(
        package=package,
        version=version,
        tally=_tally(tally),
        as_of=as_of,
        found={FindingKind(kind): tuple(cells[n] for n in places) for kind, places in found.items()} if found else {},
        broken=tuple(cells[n] for n in broken),
    )


@cache
def _tally(text: str) -> tuple[tuple[Result, int], ...]:
    # There are few different ones, and one of each package.
    pairs = (word.split(":") for word in text.split())
    return tuple((_RESULTS[result], int(count)) for result, count in pairs)


def _row(cell: Affected) -> list[Json]:
    return [
        *(cell.version, cell.environment, cell.result, cell.phase, cell.cause, cell.blame, cell.blamed_by, cell.detail),
        *(cell.observed_at, cell.since, cell.standin, cell.record),
        cell.before and [cell.before.version, cell.before.result],
    ]


def _cell(package: str, row: list[Any]) -> Affected:
    version, environment, result, phase, cause, blame, by, detail, observed_at, since, standin, record, before = row
    return Affected(
        package=package,
        version=version,
        environment=environment,
        result=_RESULTS[result],
        phase=phase and Phase(phase),
        cause=cause,
        blame=blame and Blame(blame),
        blamed_by=by and Judge(by),
        detail=detail,
        observed_at=observed_at,
        since=since,
        standin=standin,
        record=record,
        before=before and Before(version=before[0], result=_RESULTS[before[1]]),
    )
