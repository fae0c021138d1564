"""What a day's episode may say: each fact with the SQL that gave it, and that gives it again.

Facts hold counts, validated names and versions, and nothing that a package wrote: no detail, no log, no summary.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any, Final, TypeAlias

from sqlite_utils import Database

from ppp.model.errors import LedgerDamagedError, NoRecordsError
from ppp.model.matrix import ENVIRONMENT_ID, environment_sort_key
from ppp.model.release import InvalidReleaseError, Release
from ppp.narrate.fact_queries import FACT_QUERIES, FactKind, FactQuery, SlotType

#: How many findings and causes are told; a fact of its own counts the others. With the kinds that stand once, a
#: script has at most 22 lines.
MAX_LISTED: Final = 8
DAY_S: Final = 86_400

SlotValue: TypeAlias = int | str | tuple[str, ...]

_SHAPES: Final = {
    SlotType.ENVIRONMENT: ENVIRONMENT_ID,
    SlotType.CAUSE: re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII),
    SlotType.PERCENT: re.compile(r"100\.0|[1-9]?[0-9]\.[0-9]", re.ASCII),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One UTC day; `start` and `end` in epoch seconds, `end` excluded."""

    day: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that is so, and how to ask the ledger for it again."""

    id: str
    kind: FactKind
    slots: Mapping[str, SlotValue]
    sql: str
    params: Mapping[str, int | str]

    def to_json(self) -> dict[str, object]:
        """Give the JSON object that an episode keeps."""
        return {
            "id": self.id,
            "kind": str(self.kind),
            "slots": {name: list(value) if isinstance(value, tuple) else value for name, value in self.slots.items()},
            "sql": self.sql,
            "params": dict(self.params),
        }


def resolve_period(db: Database, day: str | None) -> Period:
    """Give a UTC day (`2026-11-20`), or the newest that holds a record.

    Raises `NothingToTellError` where the ledger holds no record, or the day is none that it can speak of.
    """
    first, last = db.execute("SELECT min(observed_at), max(observed_at) FROM records").fetchone()
    if first is None:
        raise NoRecordsError("the ledger holds no record", hint="run `ppp run` first")
    oldest, newest = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (first, last))
    told = newest if day is None else day
    # Text in this form sorts as days do; without a clock, the ledger alone says how far time has come.
    if not (_is_day(told) and oldest <= told <= newest):
        raise NoRecordsError(f"the ledger cannot speak of {told[:40]!r}", hint=f"name a day from {oldest} to {newest}")
    start = int(datetime.combine(date.fromisoformat(told), datetime.min.time(), UTC).timestamp())
    return Period(day=told, start=start, end=start + DAY_S)


def gather_facts(db: Database, period: Period) -> tuple[Fact, ...]:
    """Give a day's facts in the order in which they are told, at most `MAX_LISTED` of the listed kinds.

    Raises `LedgerDamagedError` where the ledger holds a name, a version or a count that is none.
    """
    window: dict[str, int | str] = {"start": period.start, "end": period.end}
    found = [
        _query_facts(db, question, window) for kind, question in FACT_QUERIES.items() if kind is not FactKind.LEFT_OUT
    ]
    # The first of each kind before the second of any: no kind crowds out another.
    rounds = sorted(
        ((place, fact.id) for facts in found for place, fact in enumerate(facts) if FACT_QUERIES[fact.kind].key),
        key=lambda placed: placed[0],
    )
    told = {id_ for _, id_ in rounds[:MAX_LISTED]}
    kept = [fact for facts in found for fact in facts if fact.id in told or not FACT_QUERIES[fact.kind].key]
    return (*kept, *_query_facts(db, FACT_QUERIES[FactKind.LEFT_OUT], {**window, "told": len(told)}))


def _query_facts(db: Database, question: FactQuery, params: Mapping[str, int | str]) -> list[Fact]:
    rows = db.query(question.sql, dict(params))
    return [_fact(question, row, params) for row in islice(rows, MAX_LISTED)]


def _fact(question: FactQuery, row: Mapping[str, Any], params: Mapping[str, int | str]) -> Fact:
    slots = {name: parse_slot(type_, row[name]) for name, type_ in question.slots.items()}
    key = {name: str(row[name]) for name in question.key}
    return Fact(
        id="/".join([question.kind, *key.values()]),
        kind=question.kind,
        slots=slots,
        sql=question.fact_sql,
        params={**params, **key},
    )


def parse_slot(type_: SlotType, raw: object) -> SlotValue:
    """Give a column's value as what a slot holds; raise `LedgerDamagedError` for what may not stand in such a slot."""
    match type_, raw:
        case SlotType.COUNT, int() if raw >= 0:
            return raw
        case SlotType.PACKAGES, str():
            return tuple(sorted(_text(SlotType.PACKAGE, item) for item in json.loads(raw)))
        case SlotType.ENVIRONMENTS, str():
            items = (_text(SlotType.ENVIRONMENT, item) for item in json.loads(raw))
            return tuple(sorted(items, key=environment_sort_key))
        case _:
            return _text(type_, raw)


def _text(type_: SlotType, raw: object) -> str:
    if isinstance(raw, str) and _is_valid(type_, raw):
        return raw
    raise LedgerDamagedError(
        f"the ledger holds {str(raw)[:80]!r}, which is no {type_}", hint="restore it from a snapshot or a peer"
    )


def _is_valid(type_: SlotType, text: str) -> bool:
    match type_:
        case SlotType.PACKAGE:
            return _is_release(text, "0")
        case SlotType.VERSION:
            return _is_release("a", text)
        case SlotType.DAY:
            return _is_day(text)
        case _:
            return type_ in _SHAPES and bool(_SHAPES[type_].fullmatch(text))


def _is_release(package: str, version: str) -> bool:
    try:
        return Release.parse(package, version) == Release(package=package, version=version)
    except InvalidReleaseError:
        return False


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
