"""A fact: typed values, the query with which the ledger gives it again, and how much of a news it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.queries.query import Chapter, FactKind, FactQuery
from ppp.narrate.slots import SlotValue

#: What a value adds to the weight of its fact: so much for each further one, at most so much. It is less than what lies
#: between two kinds of facts.
_STEP: Final = 5
_MOST: Final = 20
_PER_ONE: Final = {"environments": 1, "dependents": 5, "releases": 1, "cells": 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact; `params` are those that its `sql` names."""

    id: str
    kind: FactKind
    slots: Mapping[str, SlotValue]
    sql: str
    params: Mapping[str, int | str]
    weight: int

    @property
    def chapter(self) -> Chapter:
        """The chapter of facts of this kind; what a headline means is told in the headline's."""
        return FACT_QUERIES[self.kind].chapter

    @property
    def is_context(self) -> bool:
        """Whether it says what another fact means, and so follows that one."""
        return bool(FACT_QUERIES[self.kind].about)

    @property
    def package(self) -> str | None:
        """The package that it is about, if it is about one."""
        package = self.slots.get("package")
        return package if isinstance(package, str) else None

    def is_about(self, headline: "Fact") -> bool:
        """Return whether this fact says what a headline means."""
        own, other = self.slots.get("version"), headline.slots.get("version")
        return (
            headline.kind in FACT_QUERIES[self.kind].about
            and self.package == headline.package
            and (own is None or own == other)
        )

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that is stored in an episode."""
        return {
            "id": self.id,
            "kind": str(self.kind),
            "slots": {name: list(value) if isinstance(value, tuple) else value for name, value in self.slots.items()},
            "sql": self.sql,
            "params": dict(self.params),
            "weight": self.weight,
            "private": FACT_QUERIES[self.kind].is_private,
        }


def weigh(query: FactQuery, slots: Mapping[str, SlotValue]) -> int:
    """Return how much of a news a fact is: that of its kind, and more where more is concerned."""
    if not query.is_headline:
        return query.weight
    sizes = {name: value if isinstance(value, int) else len(value) for name, value in slots.items() if name in _PER_ONE}
    more = sum(_STEP * ((size - 1) // _PER_ONE[name]) for name, size in sizes.items())
    return query.weight + min(_MOST, more)
