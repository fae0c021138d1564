"""Writing: a script tells each fact once, in order, in one of its licensed wordings; a writer only picks which.

The seeded writer needs no model, and gives the same text for the same facts and seed on any machine.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from ppp.narrate.facts import Fact, SlotValue
from ppp.narrate.patterns import PATTERNS, Pattern, Speaker

SEEDED: Final = "seeded"
#: After so many lines of one presenter, the other is next, if a wording allows it.
MAX_TURN: Final = 2

_BLANK: Final = re.compile(r"\{(?P<slot>[a-z_]+)(?::(?P<one>[^/}]+)/(?P<many>[^/}]+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLine:
    """One sentence of a script: whose, its text, the pattern it renders and the id of the fact it tells."""

    speaker: Speaker
    text: str
    pattern: str
    fact: str

    def to_json(self) -> dict[str, str]:
        """Give the JSON object that an episode keeps."""
        return {"speaker": str(self.speaker), "text": self.text, "pattern": self.pattern, "fact": self.fact}


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a writer hands to the verifier: one text for each fact, who wrote it, and why it was not the model."""

    texts: tuple[str, ...]
    writer: str
    fallback: str | None = None


class Writer(Protocol):
    """Picks, for each fact in order, one of its licensed wordings."""

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Give one text for each fact, in order."""


class SeededWriter:
    """Picks by a seed: no wording of a kind twice while others are left, and no presenter alone for long."""

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Give one text for each fact, in order."""
        random = Random(seed)  # noqa: S311 - to be repeated, not to be secret
        picked: list[Pattern] = []
        for fact in facts:
            choices = patterns_of(fact)
            choices = [pattern for pattern in choices if pattern not in picked] or choices
            recent = {pattern.speaker for pattern in picked[-MAX_TURN:]} if len(picked) >= MAX_TURN else set()
            choices = [pattern for pattern in choices if recent != {pattern.speaker}] or choices
            # Of all its methods, random() alone is promised to give the same sequence in every Python.
            picked.append(choices[int(random.random() * len(choices))])
        texts = tuple(render(pattern, fact) for pattern, fact in zip(picked, facts, strict=True))
        return Draft(texts=texts, writer=SEEDED)


def patterns_of(fact: Fact) -> list[Pattern]:
    """Give the licensed patterns of a fact."""
    return [pattern for pattern in PATTERNS if pattern.kind is fact.kind]


def renderings(fact: Fact) -> tuple[str, ...]:
    """Give every licensed sentence that tells a fact."""
    return tuple(render(pattern, fact) for pattern in patterns_of(fact))


def render(pattern: Pattern, fact: Fact) -> str:
    """Fill a pattern's slots from a fact of its kind."""

    def fill(blank: re.Match[str]) -> str:
        value = fact.slots[blank["slot"]]
        if blank["one"] is None:
            return _written(value)
        return blank["one"] if _is_one(value) else blank["many"]

    return _BLANK.sub(fill, pattern.text)


def _is_one(value: SlotValue) -> bool:
    # Words agree with counts and with lists.
    return value == 1 if isinstance(value, int) else len(value) == 1


def _written(value: SlotValue) -> str:
    match value:
        case int():
            return f"{value:,}"
        case str():
            return value
        case tuple():
            return _enumerated(value)


def _enumerated(items: Iterable[str]) -> str:
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last
