"""The director: decides which facts an episode has time for, and in which order it tells them.

- News comes first, what several cells show next, totals are said once, fine print comes last: the order of `Chapter`.
- A headline and the facts that say what it means are a story, told together.
- The first fact of every kind comes before the second of any, and one release is in one headline.
- Stories of one chapter are told by weight; those of equal weight may be told in any order.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from ppp.model.period import PeriodKind
from ppp.narrate.fact_values import Fact
from ppp.narrate.queries.query import Chapter, FactKind

#: So many facts may say what one headline means.
MAX_CONTEXT: Final = 2

_CHAPTERS: Final = list(Chapter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Airtime:
    """How many facts an episode has time for: headlines in all, of one kind, and what they mean, of one kind.

    A kind has at least one wording more than an episode states facts of it.
    """

    headlines: int
    of_kind: int
    context: int
    context_of_kind: int

    @classmethod
    def of(cls, kind: PeriodKind) -> Self:
        """Return the budget of a night, or of a week."""
        if kind is PeriodKind.NIGHT:
            return cls(headlines=11, of_kind=3, context=7, context_of_kind=2)
        return cls(headlines=22, of_kind=5, context=14, context_of_kind=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A fact, and what it means."""

    headline: Fact
    context: tuple[Fact, ...] = ()

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All facts of the story, in order."""
        return (self.headline, *self.context)

    @property
    def place(self) -> tuple[int, int]:
        """What decides where it is told; stories with an equal place may be told in any order."""
        return (_CHAPTERS.index(self.headline.chapter), -self.headline.weight)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A fact that says what a headline means."""

    headline: Fact
    fact: Fact


def choose(found: Mapping[FactKind, Sequence[Fact]], budget: Airtime) -> list[Fact]:
    """Return the headlines that an episode has time for, of those that were found, by kind."""
    ranked = sorted(
        (
            (place, -fact.weight, fact.id, fact)
            for facts in found.values()
            for place, fact in enumerate(sorted(facts, key=lambda fact: (-fact.weight, fact.id)))
        ),
        key=lambda ranked: ranked[:3],
    )
    chosen: list[Fact] = []
    counts: Counter[FactKind] = Counter()
    told: set[tuple[object, object]] = set()
    for *_, fact in ranked:
        release = (fact.package or fact.id, fact.slots.get("version"))
        if len(chosen) < budget.headlines and counts[fact.kind] < budget.of_kind and release not in told:
            chosen.append(fact)
            counts[fact.kind] += 1
            told.add(release)
    return chosen


def choose_context(candidates: Iterable[Candidate], chosen: Sequence[Fact], budget: Airtime) -> list[Candidate]:
    """Return what an episode has time to say about its headlines: one thing about each, then another."""
    by_headline: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        by_headline.setdefault(candidate.headline.id, []).append(candidate)
    in_order = sorted(chosen, key=lambda fact: (_CHAPTERS.index(fact.chapter), -fact.weight, fact.id))
    ranked = [
        candidate
        for place in range(MAX_CONTEXT)
        for headline in in_order
        for candidate in _by_weight(by_headline.get(headline.id, ()))[place : place + 1]
    ]
    kept: list[Candidate] = []
    counts: Counter[FactKind] = Counter()
    ids: set[str] = set()
    for candidate in ranked:
        kind = candidate.fact.kind
        if len(kept) < budget.context and counts[kind] < budget.context_of_kind and candidate.fact.id not in ids:
            kept.append(candidate)
            counts[kind] += 1
            ids.add(candidate.fact.id)
    return kept


def _by_weight(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: (-candidate.fact.weight, candidate.fact.id))


def order(headlines: Iterable[Fact], context: Iterable[Candidate]) -> tuple[Story, ...]:
    """Return stories in the order of the episode."""
    about: dict[str, list[Candidate]] = {}
    for candidate in context:
        about.setdefault(candidate.headline.id, []).append(candidate)
    stories = [
        Story(headline=fact, context=tuple(one.fact for one in _by_weight(about.get(fact.id, ()))))
        for fact in headlines
    ]
    return tuple(sorted(stories, key=lambda story: (story.place, story.headline.id)))
