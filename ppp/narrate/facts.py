"""Gather the facts that an episode may state, each with the SQL that found it and finds it again.

Facts consist of counts and of validated names and versions. They contain no text that a package wrote: no detail, log
or summary. The tables that all queries share are made once, as temporary ones, so that a week of a large ledger is read
once; the SQL of each fact is complete without them.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlite_utils import Database

from ppp.model.errors import ConfigError, NoRecordsError
from ppp.model.period import Period, PeriodKind
from ppp.model.release import Release
from ppp.narrate.director import Airtime, Candidate, Story, choose, choose_context, order
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact, weigh
from ppp.narrate.queries.query import TABLES, FactKind, FactQuery
from ppp.narrate.slots import parse_slot

#: Shared tables that are only a selection of another one.
_SELECTIONS: Final = frozenset({"cells"})
#: Shared tables that are looked into again and again, by these columns.
_LOOKED_UP: Final = {"passing": ("package, version, platform, python_key, environment",)}
#: The facts of one kind among which the director chooses: the first ones, as the query orders them.
MAX_RANKED: Final = 100
#: How much of a ledger is mapped while facts are gathered, in bytes.
MAPPED_BYTES: Final = 2**32
_PARAMETER: Final = re.compile(r":([a-z_]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rundown:
    """What an episode tells: the period, and its stories in order."""

    period: Period
    stories: tuple[Story, ...]

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts of all stories, in order."""
        return tuple(fact for story in self.stories for fact in story.facts)


def resolve_period(db: Database, period: str | None, kind: PeriodKind = PeriodKind.NIGHT) -> Period:
    """Return the period of a name, or the newest of a kind with a record if None.

    Raises `NoRecordsError` if the ledger has no record, or none around that period.
    """
    first, last = db.execute("SELECT min(observed_at), max(observed_at) FROM records").fetchone()
    if first is None:
        raise NoRecordsError("the ledger holds no record", hint="run `ppp run` first")
    oldest, newest = Period.at(kind, first), Period.at(kind, last)
    # No clock is read, so that the newest record is the latest time there is.
    chosen = newest if period is None else _parse(period)
    if chosen is None or chosen.kind is not kind or not oldest.start <= chosen.start <= newest.start:
        raise NoRecordsError(
            f"the ledger does not cover {str(period)[:40]!r}", hint=f"choose a {kind} from {oldest.id} to {newest.id}"
        )
    return chosen


def _parse(text: str) -> Period | None:
    try:
        return Period.parse(text)
    except ConfigError:
        return None


def gather_facts(db: Database, period: Period, exhibits: Collection[Release] = ()) -> Rundown:
    """Return what an episode tells of a period, in order; `exhibits` are releases that are no news.

    Raises `LedgerDamagedError` if the ledger contains an invalid name, version or count.
    """
    params = period_parameters(period, exhibits)
    budget = Airtime.of(period.kind)
    with _shared_tables(db, params):
        totals = [fact for query in FACT_QUERIES.values() if _is_total(query) for fact in _ask(db, query, params)]
        rows = {query.kind: _rows(db, query, params) for query in FACT_QUERIES.values() if query.is_headline}
        found = {kind: [_fact(FACT_QUERIES[kind], row, params) for row in rows[kind][:MAX_RANKED]] for kind in rows}
        chosen = choose(found, budget)
        candidates = [
            Candidate(headline=headline, fact=fact)
            for headline in chosen
            for query in FACT_QUERIES.values()
            if headline.kind in query.about
            for fact in _ask(db, query, params | _release_of(headline))
        ]
    context = choose_context(candidates, chosen, budget)
    # What its query would find again: all rows were counted already.
    left_out = sum(map(len, rows.values())) - len(chosen)
    left = {"told": len(chosen), "left_out": left_out}
    rest = [_fact(FACT_QUERIES[FactKind.LEFT_OUT], left, params | {"told": len(chosen)})] if left_out else []
    return Rundown(period=period, stories=order([*totals, *chosen, *rest], context))


def period_parameters(period: Period, exhibits: Collection[Release]) -> dict[str, int | str]:
    """Return the parameters that every query of a period may take."""
    return {
        "start": period.start,
        "end": period.end,
        "before": period.before.start,
        "unit": str(period.kind),
        "period": period.id,
        "exhibits": json.dumps(sorted(map(str, exhibits)), separators=(",", ":")),
    }


def used_parameters(sql: str, params: Mapping[str, int | str]) -> dict[str, int | str]:
    """Return the parameters that a statement names."""
    return {name: params[name] for name in sorted(set(_PARAMETER.findall(sql))) if name in params}


def _is_total(query: FactQuery) -> bool:
    return not (query.is_headline or query.about or query.kind is FactKind.LEFT_OUT)


def _release_of(headline: Fact) -> dict[str, int | str]:
    return {name: str(headline.slots[name]) for name in ("package", "version") if name in headline.slots}


@contextmanager
def _shared_tables(db: Database, params: Mapping[str, int | str]) -> Iterator[None]:
    # What a week of a large ledger has fits into memory; the ledger itself is read as the kernel holds it.
    db.execute("PRAGMA temp_store = MEMORY")
    db.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
    try:
        for name, sql in TABLES.items():
            what = "VIEW" if name in _SELECTIONS else "TABLE"
            db.execute(f"CREATE TEMP {what} {name} AS {sql}", used_parameters(sql, params))
            for columns in _LOOKED_UP.get(name, ()):
                db.execute(f"CREATE INDEX temp.{name}_by ON {name} ({columns})")
        yield
    finally:
        for name in reversed(TABLES):
            what = "VIEW" if name in _SELECTIONS else "TABLE"
            db.execute(f"DROP {what} IF EXISTS temp.{name}")
        db.execute("PRAGMA mmap_size = 0")


def _ask(db: Database, query: FactQuery, params: Mapping[str, int | str]) -> list[Fact]:
    return [_fact(query, row, params) for row in _rows(db, query, params)]


def _rows(db: Database, query: FactQuery, params: Mapping[str, int | str]) -> list[dict[str, Any]]:
    return list(db.query(query.body, used_parameters(query.body, params)))


def _fact(query: FactQuery, row: Mapping[str, Any], params: Mapping[str, int | str]) -> Fact:
    slots = {name: parse_slot(type_, row[name]) for name, type_ in query.slots.items()}
    key: dict[str, int | str] = {
        name: value if isinstance(value := slots[name], int) else str(value) for name in query.key
    }
    return Fact(
        id="/".join([query.kind, *map(str, key.values())]),
        kind=query.kind,
        slots=slots,
        sql=query.fact_sql,
        params=used_parameters(query.fact_sql, {**params, **key}),
        weight=weigh(query, slots),
    )
