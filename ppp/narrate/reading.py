"""Read a sentence again, without trusting whoever wrote it: which fact it states, with which values, or which link.

Each word must occur in a licensed sentence or in a fact, and the sentence must match exactly one pattern, or be a link.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact
from ppp.narrate.slots import MAX_ENVIRONMENTS, SPOKEN_BLAMES, SlotType, SlotValue
from ppp.narrate.wordings import LINKS, PATTERNS, Link, Pattern, Speaker

#: Even a list of all environments is shorter than this; longer lines are not parsed.
MAX_LINE_CHARS: Final = 8_192

_NAME: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_SHAPES: Final = {
    # Up to the largest integer of SQLite.
    SlotType.COUNT: r"(?:0|[1-9][0-9]{0,2}(?:,[0-9]{3}){0,6})",
    SlotType.PERCENT: r"[0-9]{1,3}\.[0-9]",
    SlotType.DECIMAL: r"[0-9]{1,9}\.[0-9]",
    SlotType.DAY: _DAY,
    SlotType.PERIOD: rf"(?:{_DAY}|[0-9]{{4}}-W[0-9]{{2}})",
    SlotType.UNIT: "(?:night|week)",
    SlotType.PACKAGE: _NAME,
    SlotType.PACKAGES: _NAME,
    SlotType.VERSION: r"[0-9](?:[0-9a-z.+!]*[0-9a-z])?",
    SlotType.ENVIRONMENT: r"py3[0-9]{1,2}-[a-z]+",
    SlotType.ENVIRONMENTS: r"py3[0-9]{1,2}-[a-z]+",
    SlotType.ENVIRONMENT_NAMES: r"py3[0-9]{1,2}-[a-z]+",
    SlotType.CAUSE: r"[a-z][a-z0-9-]*",
    SlotType.BLAME: f"(?:{'|'.join(SPOKEN_BLAMES.values())})",
}
_LISTS: Final = frozenset({SlotType.PACKAGES, SlotType.ENVIRONMENTS, SlotType.ENVIRONMENT_NAMES})
_MANY: Final = re.compile(r"(?P<count>[1-9][0-9]{0,3}) environments", re.ASCII)
_COUNT: Final = re.compile(_SHAPES[SlotType.COUNT], re.ASCII)


class UnlicensedError(Exception):
    """Why a sentence is not licensed; `verify_script` reports it with its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SentenceParser:
    """A pattern as a regular expression that parses a sentence; `agreements` are (group, slot, word for one).

    Every sentence of the pattern begins with `start`.
    """

    pattern: Pattern
    start: str
    regex: re.Pattern[str]
    agreements: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A parsed sentence: the pattern that it matches, and the values of its slots."""

    pattern: Pattern
    slots: Mapping[str, SlotValue]

    @property
    def speaker(self) -> Speaker:
        """Who says it."""
        return self.pattern.speaker

    def states(self, fact: Fact) -> bool:
        """Return whether it states a fact, and no other."""
        return self.pattern.kind is fact.kind and all(
            value == fact.slots[name] or self.counts(name, fact) for name, value in self.slots.items()
        )

    def counts(self, name: str, fact: Fact) -> bool:
        """Return whether it says of environments only how many they are, and rightly so."""
        said, value = self.slots[name], fact.slots[name]
        return (
            FACT_QUERIES[fact.kind].slots[name] is SlotType.ENVIRONMENTS
            and isinstance(value, tuple)
            and said == len(value) > MAX_ENVIRONMENTS
        )


def read_sentence(text: str, known: Collection[str | int]) -> Reading | Link:
    """Return what a sentence says, or raise `UnlicensedError`; `known` are the values of all facts."""
    _check_words(text, known)
    if link := _LINK_TEXTS.get(text):
        return link
    return _read(text)


def known_words(facts: Sequence[Fact]) -> frozenset[str | int]:
    """Return the values that sentences about facts may have."""
    known: set[str | int] = set()
    for fact in facts:
        for value in fact.slots.values():
            # Of a long list, a sentence says only how long it is.
            known |= {*value, len(value)} if isinstance(value, tuple) else {value}
    return frozenset(known)


def _check_words(text: str, known: Collection[str | int]) -> None:
    if len(text) > MAX_LINE_CHARS or not (text.isascii() and text.isprintable()):
        raise UnlicensedError("it is too long for a sentence, or has characters that no sentence has")
    for word in _words(text):
        number = int(word.replace(",", "")) if _COUNT.fullmatch(word) else word
        if number not in known and word not in known and word not in _VOCABULARY:
            raise UnlicensedError(f"{word[:80]!r} is in no fact and in no licensed sentence")


def _words(text: str) -> Iterator[str]:
    return (word for token in text.split() if (word := token.strip(",;:.?")))


def _read(text: str) -> Reading:
    # Two readings of one sentence would make it ambiguous which fact it states.
    readings = [
        (parser, match)
        for parser in _PARSERS
        if text.startswith(parser.start) and (match := parser.regex.fullmatch(text))
    ]
    if len(readings) != 1:
        raise UnlicensedError(f"{len(readings) or 'no'} licensed patterns match it, and exactly one must")
    parser, match = readings[0]
    types = FACT_QUERIES[parser.pattern.kind].slots
    slots = {name: _value(type_, match[name]) for name, type_ in types.items()}
    for group, slot, one in parser.agreements:
        value = slots[slot]
        single = value == 1 if isinstance(value, int) else len(value) == 1
        if (match[group] == one) is not single:
            raise UnlicensedError(f"{match[group]!r} does not agree with its number")
    return Reading(pattern=parser.pattern, slots=slots)


def _value(type_: SlotType, text: str) -> SlotValue:
    if type_ is SlotType.COUNT:
        return int(text.replace(",", ""))
    if type_ is SlotType.BLAME:
        return next(blame for blame, spoken in SPOKEN_BLAMES.items() if spoken == text)
    if many := _MANY.fullmatch(text):
        return int(many["count"])
    if type_ in _LISTS:
        # No item contains a space, so the last " and " is the one before the last item, whatever the packages' names.
        others, _, last = text.rpartition(" and ")
        return (*others.split(", "), last) if others else (last,)
    return text


def _parser(pattern: Pattern) -> _SentenceParser:
    types = FACT_QUERIES[pattern.kind].slots
    regex = ""
    agreements: list[tuple[str, str, str]] = []
    for part in re.split(r"(\{[^{}]+\})", pattern.text):
        if not part.startswith("{"):
            regex += re.escape(part)
            continue
        slot, _, forms = part[1:-1].partition(":")
        if forms:
            one, many = forms.split("/")
            group = f"agreement{len(agreements)}"
            agreements.append((group, slot, one))
            regex += f"(?P<{group}>{re.escape(one)}|{re.escape(many)})"
        else:
            regex += f"(?P<{slot}>{_shape(types[slot])})"
    return _SentenceParser(
        pattern=pattern,
        start=pattern.text.partition("{")[0],
        regex=re.compile(regex, re.ASCII),
        agreements=tuple(agreements),
    )


def _shape(type_: SlotType) -> str:
    shape = _SHAPES[type_]
    if type_ not in _LISTS:
        return shape
    many = f"|{_MANY.pattern.replace('?P<count>', '')}" if type_ is SlotType.ENVIRONMENTS else ""
    return f"(?:{shape}(?:, {shape})* and )?{shape}{many}"


_PARSERS: Final = tuple(_parser(pattern) for pattern in PATTERNS)
_LINK_TEXTS: Final = {link.text: link for link in LINKS}
_TEXTS: Final = (
    *(pattern.text for pattern in PATTERNS),
    *(link.text for link in LINKS),
    *SPOKEN_BLAMES.values(),
    "environments",
)
_VOCABULARY: Final = frozenset(
    word
    for text in _TEXTS
    # The text of a pattern without its slots, but with both forms of the words that agree with them.
    for word in _words(re.sub(r"\{[a-z_]+(?::([^/{}]+)/([^/{}]+))?\}", r" \1 \2 ", text))
)
