"""Gather the facts that a day's episode may state, each with the SQL that found it and finds it again.

Facts consist of counts and of validated names and versions. They contain no text that a package wrote: no detail, log
or summary.
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
from ppp.model.period import Period, PeriodKind
from ppp.model.release import InvalidReleaseError, Release
from ppp.narrate.fact_queries import FACT_QUERIES, FactKind, FactQuery, SlotType

#: How many findings and causes an episode states; one more fact counts the others. Together with the kinds that occur
#: once, a script has at most 22 lines.
MAX_LISTED: Final = 8

SlotValue: TypeAlias = int | str | tuple[str, ...]

_SHAPES: Final = {
    SlotType.ENVIRONMENT: ENVIRONMENT_ID,
    SlotType.CAUSE: re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII),
    SlotType.PERCENT: re.compile(r"100\.0|[1-9]?[0-9]\.[0-9]", re.ASCII),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact, and the query with which the ledger gives it again."""

    id: str
    kind: FactKind
    slots: Mapping[str, SlotValue]
    sql: str
    params: Mapping[str, int | str]

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that is stored in an episode."""
        return {
            "id": self.id,
            "kind": str(self.kind),
            "slots": {name: list(value) if isinstance(value, tuple) else value for name, value in self.slots.items()},
            "sql": self.sql,
            "params": dict(self.params),
        }


def resolve_period(db: Database, day: str | None) -> Period:
    """Return the period of a UTC day such as `2026-11-20`, or of the newest day with a record if None.

    Raises `NoRecordsError` if the ledger has no record, or none around that day.
    """
    first, last = db.execute("SELECT min(observed_at), max(observed_at) FROM records").fetchone()
    if first is None:
        raise NoRecordsError("the ledger holds no record", hint="run `ppp run` first")
    oldest, newest = (datetime.fromtimestamp(at, UTC).date().isoformat() for at in (first, last))
    chosen = newest if day is None else day
    # Dates in this form sort as text. No clock is read, so that the newest record is the latest day there is.
    if not (_is_day(chosen) and oldest <= chosen <= newest):
        raise NoRecordsError(
            f"the ledger does not cover {chosen[:40]!r}", hint=f"choose a day from {oldest} to {newest}"
        )
    return Period.of(PeriodKind.NIGHT, date.fromisoformat(chosen))


def gather_facts(db: Database, period: Period) -> tuple[Fact, ...]:
    """Return a day's facts in the order of the script, with at most `MAX_LISTED` of the kinds that have a key.

    Raises `LedgerDamagedError` if the ledger contains an invalid name, version or count.
    """
    window: dict[str, int | str] = {"start": period.start, "end": period.end}
    found = [_query_facts(db, query, window) for kind, query in FACT_QUERIES.items() if kind is not FactKind.LEFT_OUT]
    # The first fact of every kind comes before the second of any, so that no kind displaces another.
    ranked = sorted(
        ((place, fact.id) for facts in found for place, fact in enumerate(facts) if FACT_QUERIES[fact.kind].key),
        key=lambda placed: placed[0],
    )
    chosen = {id_ for _, id_ in ranked[:MAX_LISTED]}
    kept = [fact for facts in found for fact in facts if fact.id in chosen or not FACT_QUERIES[fact.kind].key]
    # This fact depends on how many others were chosen, so it is queried last.
    return (*kept, *_query_facts(db, FACT_QUERIES[FactKind.LEFT_OUT], {**window, "told": len(chosen)}))


def _query_facts(db: Database, query: FactQuery, params: Mapping[str, int | str]) -> list[Fact]:
    rows = db.query(query.sql, dict(params))
    return [_fact(query, row, params) for row in islice(rows, MAX_LISTED)]


def _fact(query: FactQuery, row: Mapping[str, Any], params: Mapping[str, int | str]) -> Fact:
    slots = {name: parse_slot(type_, row[name]) for name, type_ in query.slots.items()}
    key = {name: str(row[name]) for name in query.key}
    return Fact(
        id="/".join([query.kind, *key.values()]),
        kind=query.kind,
        slots=slots,
        sql=query.fact_sql,
        params={**params, **key},
    )


def parse_slot(type_: SlotType, raw: object) -> SlotValue:
    """Return a column's value as the value of a slot; raise `LedgerDamagedError` if it is invalid for such a slot."""
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
        f"the ledger contains {str(raw)[:80]!r}, which is not a valid {type_}",
        hint="restore it from a snapshot or a peer",
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
