"""Verify a script without trusting the writer, the grammar, or the code that fills the slots.

Each sentence is parsed again: each word must occur in a licensed sentence or in a fact, and the sentence must match
exactly one pattern, whose kind and slots must be those of the fact at this position. With a ledger, every fact is also
queried again.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from sqlite_utils import Database

from ppp.model.errors import ScriptRejectedError
from ppp.model.period import Period
from ppp.narrate.fact_queries import FACT_QUERIES, FactKind, SlotType
from ppp.narrate.facts import Fact, SlotValue
from ppp.narrate.patterns import PATTERNS, Pattern
from ppp.narrate.script import ScriptLine

#: Even a list of all environments is shorter than this; longer lines are not parsed.
MAX_LINE_CHARS: Final = 8_192

_NAME: Final = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_SHAPES: Final = {
    # Up to the largest integer of SQLite.
    SlotType.COUNT: r"(?:0|[1-9][0-9]{0,2}(?:,[0-9]{3}){0,6})",
    SlotType.PERCENT: r"[0-9]{1,3}\.[0-9]",
    SlotType.DAY: r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
    SlotType.PACKAGE: _NAME,
    SlotType.PACKAGES: _NAME,
    SlotType.VERSION: r"[0-9](?:[0-9a-z.+!]*[0-9a-z])?",
    SlotType.ENVIRONMENT: r"py3[0-9]{1,2}-[a-z]+",
    SlotType.ENVIRONMENTS: r"py3[0-9]{1,2}-[a-z]+",
    SlotType.CAUSE: r"[a-z][a-z0-9-]*",
}
_LISTS: Final = frozenset({SlotType.PACKAGES, SlotType.ENVIRONMENTS})
_COUNT: Final = re.compile(_SHAPES[SlotType.COUNT], re.ASCII)


class _UnlicensedError(Exception):
    """Why a sentence is not licensed; `verify_script` reports it with its line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SentenceParser:
    """A pattern as a regular expression that parses a sentence; `agreements` are (group, slot, word for one)."""

    pattern: Pattern
    regex: re.Pattern[str]
    agreements: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """A parsed sentence: the pattern that it matches, and the values of its slots."""

    pattern: Pattern
    slots: Mapping[str, SlotValue]

    def states(self, fact: Fact) -> bool:
        return self.pattern.kind is fact.kind and self.slots == fact.slots


def verify_script(
    texts: Sequence[str], facts: Sequence[Fact], period: Period, *, db: Database | None = None
) -> tuple[ScriptLine, ...]:
    """Return the lines of a script if it states each fact of a day once, in order, and nothing else.

    With a ledger, each fact's query must also return the same values again. Raises `ScriptRejectedError`, naming the
    line and the reason.
    """
    known = {word for fact in facts for value in fact.slots.values() for word in _known_words(value)}
    lines: list[ScriptLine] = []
    for place in range(max(len(texts), len(facts))):
        try:
            lines.append(_line(place, texts, facts, known))
            _check_query(facts[place], facts, period)
            if db is not None:
                _check_ledger(facts[place], db)
        except _UnlicensedError as error:
            raise ScriptRejectedError(
                f"line {place + 1} of the script for {period.id} is rejected: {error}",
                hint="nothing was stored; narrate again, and report this as a bug if it happens again",
            ) from error
    return tuple(lines)


def _line(place: int, texts: Sequence[str], facts: Sequence[Fact], known: set[str | int]) -> ScriptLine:
    if place >= len(texts):
        raise _UnlicensedError(f"it is missing, and {facts[place].id} is not stated")
    text = texts[place]
    _check_words(text, known)
    reading = _read(text)
    if place >= len(facts) or not reading.states(facts[place]):
        raise _UnlicensedError(_mismatch(reading, place, facts))
    return ScriptLine(speaker=reading.pattern.speaker, text=text, pattern=reading.pattern.text, fact=facts[place].id)


def _mismatch(reading: _Reading, place: int, facts: Sequence[Fact]) -> str:
    for other, fact in enumerate(facts):
        if reading.states(fact):
            return f"it states {fact.id} {'again' if other < place else 'too early'}"
    due = facts[place] if place < len(facts) else None
    if due is None or reading.pattern.kind is not due.kind:
        return f"it states a {reading.pattern.kind} that is not among the facts"
    wrong = ", ".join(f"{n} {said!r} for {due.slots[n]!r}" for n, said in reading.slots.items() if said != due.slots[n])
    return f"of {due.id}, it states {wrong}"


def _check_words(text: str, known: set[str | int]) -> None:
    if len(text) > MAX_LINE_CHARS or not (text.isascii() and text.isprintable()):
        raise _UnlicensedError("it is too long for a sentence, or has characters that no sentence has")
    for word in _words(text):
        number = int(word.replace(",", "")) if _COUNT.fullmatch(word) else word
        if number not in known and word not in known and word not in _VOCABULARY:
            raise _UnlicensedError(f"{word[:80]!r} is in no fact and in no licensed sentence")


def _words(text: str) -> Iterator[str]:
    return (word for token in text.split() if (word := token.strip(",;:.")))


def _known_words(value: SlotValue) -> Sequence[str | int]:
    return value if isinstance(value, tuple) else (value,)


def _read(text: str) -> _Reading:
    # Two readings of one sentence would make it ambiguous which fact it states.
    readings = [(parser, match) for parser in _PARSERS if (match := parser.regex.fullmatch(text))]
    if len(readings) != 1:
        raise _UnlicensedError(f"{len(readings) or 'no'} licensed patterns match it, and exactly one must")
    parser, match = readings[0]
    types = FACT_QUERIES[parser.pattern.kind].slots
    slots = {name: _value(type_, match[name]) for name, type_ in types.items()}
    for group, slot, one in parser.agreements:
        value = slots[slot]
        single = value == 1 if isinstance(value, int) else len(value) == 1
        if (match[group] == one) is not single:
            raise _UnlicensedError(f"{match[group]!r} does not agree with its number")
    return _Reading(pattern=parser.pattern, slots=slots)


def _value(type_: SlotType, text: str) -> SlotValue:
    if type_ is SlotType.COUNT:
        return int(text.replace(",", ""))
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
            shape = _SHAPES[types[slot]]
            regex += f"(?P<{slot}>{f'(?:{shape}(?:, {shape})* and )?{shape}' if types[slot] in _LISTS else shape})"
    return _SentenceParser(pattern=pattern, regex=re.compile(regex, re.ASCII), agreements=tuple(agreements))


_PARSERS: Final = tuple(_parser(pattern) for pattern in PATTERNS)
_VOCABULARY: Final = frozenset(
    word
    for pattern in PATTERNS
    # The text of a pattern without its slots, but with both forms of the words that agree with them.
    for word in _words(re.sub(r"\{[a-z_]+(?::([^/{}]+)/([^/{}]+))?\}", r" \1 \2 ", pattern.text))
)


def _check_query(fact: Fact, facts: Sequence[Fact], period: Period) -> None:
    query = FACT_QUERIES[fact.kind]
    expected: dict[str, SlotValue] = {"start": period.start, "end": period.end}
    expected |= {name: fact.slots[name] for name in query.key}
    if fact.kind is FactKind.LEFT_OUT:
        expected["told"] = sum(bool(FACT_QUERIES[other.kind].key) for other in facts)
    if fact.sql != query.fact_sql or fact.params != expected:
        raise _UnlicensedError(f"the SQL of {fact.id} is not the query of its kind")


def _check_ledger(fact: Fact, db: Database) -> None:
    rows = list(islice(db.query(fact.sql, dict(fact.params)), 2))
    if len(rows) != 1:
        raise _UnlicensedError(f"the ledger returns {fact.id} {len(rows)} times instead of once")
    for name, value in fact.slots.items():
        raw = rows[0][name]
        actual = sorted(json.loads(raw)) if isinstance(value, tuple) else raw
        if actual != (sorted(value) if isinstance(value, tuple) else value):
            raise _UnlicensedError(f"in the ledger, {name} of {fact.id} is {actual!r}, not {value!r}")
