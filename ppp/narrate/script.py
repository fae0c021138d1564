"""Write a script: it states each fact once, in order, in one of its licensed wordings. A writer only chooses wordings.

The seeded writer needs no model, and writes the same text for the same facts and seed on any machine.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from ppp.narrate.facts import Fact, SlotValue
from ppp.narrate.patterns import PATTERNS, Pattern, Speaker

SEEDED: Final = "seeded"
#: After so many lines of one presenter the other one is next, if there is a wording for that.
MAX_TURN: Final = 2

_BLANK: Final = re.compile(r"\{(?P<slot>[a-z_]+)(?::(?P<one>[^/}]+)/(?P<many>[^/}]+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLine:
    """One sentence of a script: its presenter, its text, its pattern and the id of the fact that it states."""

    speaker: Speaker
    text: str
    pattern: str
    fact: str

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that is stored in an episode."""
        return {
            "speaker": str(self.speaker),
            "text": self.text,
            "pattern": self.pattern,
            "facts": [self.fact],
            "chapter": None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An unverified script: one text for each fact, who wrote it, and the reason if the model did not."""

    texts: tuple[str, ...]
    writer: str
    fallback: str | None = None


class Writer(Protocol):
    """Chooses one of the licensed wordings for each fact."""

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Return one text for each fact, in order."""


class SeededWriter:
    """Chooses by a seed: repeats no wording of a kind while others are left, and lets the presenters take turns."""

    def write(self, facts: Sequence[Fact], *, seed: int) -> Draft:
        """Return one text for each fact, in order."""
        random = Random(seed)  # noqa: S311 - must be repeatable, not secret
        chosen: list[Pattern] = []
        for fact in facts:
            choices = patterns_of(fact)
            choices = [pattern for pattern in choices if pattern not in chosen] or choices
            recent = {pattern.speaker for pattern in chosen[-MAX_TURN:]} if len(chosen) >= MAX_TURN else set()
            choices = [pattern for pattern in choices if recent != {pattern.speaker}] or choices
            # Only random() is documented to return the same sequence in every version of Python.
            chosen.append(choices[int(random.random() * len(choices))])
        texts = tuple(render(pattern, fact) for pattern, fact in zip(chosen, facts, strict=True))
        return Draft(texts=texts, writer=SEEDED)


def patterns_of(fact: Fact) -> list[Pattern]:
    """Return the licensed patterns of a fact."""
    return [pattern for pattern in PATTERNS if pattern.kind is fact.kind]


def renderings(fact: Fact) -> tuple[str, ...]:
    """Return every licensed sentence that states a fact."""
    return tuple(render(pattern, fact) for pattern in patterns_of(fact))


def render(pattern: Pattern, fact: Fact) -> str:
    """Fill a pattern's slots from a fact of its kind."""

    def fill(blank: re.Match[str]) -> str:
        value = fact.slots[blank["slot"]]
        if blank["one"] is None:
            return _format(value)
        return blank["one"] if _is_one(value) else blank["many"]

    return _BLANK.sub(fill, pattern.text)


def _is_one(value: SlotValue) -> bool:
    # Words agree with a count, or with the length of a list.
    return value == 1 if isinstance(value, int) else len(value) == 1


def _format(value: SlotValue) -> str:
    match value:
        case int():
            return f"{value:,}"
        case str():
            return value
        case tuple():
            return _join(value)


def _join(items: Iterable[str]) -> str:
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last
