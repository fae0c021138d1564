"""Strings that take a regular expression long to search, if anything does: built from what the expression matches."""

import re
from collections.abc import Iterator
from itertools import accumulate
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

#: What gaps in an expression usually admit: a letter, a space, a quote, a path, a line's end.
FILLERS: Final = ("a", " ", "'", '"', "/", "\n")
_REPEATS: Final = frozenset({constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT})
#: How many neighbouring parts of a match are repeated together.
_MAX_PARTS: Final = 3


def slow_inputs(pattern: str, length: int) -> Iterator[str]:
    """Yield strings of about `length` characters: a match's beginning, then a part or a filler again and again."""
    for parts in _alternatives(parser.parse(pattern, re.MULTILINE)):
        beginnings = ["", *accumulate(parts)]
        for place, beginning in enumerate(beginnings):
            repeated = ["".join(parts[place : place + many]) for many in range(1, _MAX_PARTS + 1)]
            for pump in dict.fromkeys([*repeated, *FILLERS]):
                if pump:
                    yield beginning + pump * (length // len(pump))


def _alternatives(tree: Any) -> Iterator[list[str]]:
    """Yield for each alternative at the top level a text that matches it, cut where something is repeated."""
    match list(tree):
        case [(constants.BRANCH, (_, branches))]:
            for branch in branches:
                yield from _alternatives(branch)
        case [(constants.SUBPATTERN, (_, _, _, within))]:
            yield from _alternatives(within)
        case items:
            yield list(_parts(items))


def _parts(items: list[Any]) -> Iterator[str]:
    text = ""
    for kind, value in items:
        if kind in _REPEATS or kind in {constants.ATOMIC_GROUP, constants.SUBPATTERN}:
            yield from filter(None, [text])
            text = ""
            yield from filter(None, _parts([*_within(kind, value)]))
        else:
            text += _example(kind, value)
    yield from filter(None, [text])


def _within(kind: Any, value: Any) -> Any:
    match kind:
        case constants.SUBPATTERN:
            return value[3]
        case constants.ATOMIC_GROUP:
            return value
    return value[2]


def _example(kind: Any, value: Any) -> str:
    """Return a text that an item which repeats nothing matches."""
    match kind:
        case constants.LITERAL:
            return chr(value)
        case constants.NOT_LITERAL | constants.ANY:
            return "x"
        case constants.IN:
            return next(c for c in "xa1. -_+\n\tXA" + _first_literal(value) if _admits(value, c))
        case constants.BRANCH:
            return "".join(_parts(list(value[1][0])))
        case constants.AT | constants.ASSERT | constants.ASSERT_NOT:
            return ""
    raise AssertionError(kind)


def _first_literal(members: Any) -> str:
    return "".join(chr(value) for kind, value in members if kind is constants.LITERAL)


def _admits(members: Any, character: str) -> bool:
    """Return whether a set such as `[^a-z.]` admits a character."""
    negated = members[0][0] is constants.NEGATE
    inside = any(_is_member(kind, value, character) for kind, value in members if kind is not constants.NEGATE)
    return inside is not negated


def _is_member(kind: Any, value: Any, character: str) -> bool:
    match kind:
        case constants.LITERAL:
            return character == chr(value)
        case constants.RANGE:
            return bool(value[0] <= ord(character) <= value[1])
        case constants.CATEGORY_DIGIT:
            return character.isdigit()
    name = {
        constants.CATEGORY_DIGIT: r"\d",
        constants.CATEGORY_SPACE: r"\s",
        constants.CATEGORY_WORD: r"\w",
        constants.CATEGORY_NOT_SPACE: r"\S",
        constants.CATEGORY_NOT_DIGIT: r"\D",
        constants.CATEGORY_NOT_WORD: r"\W",
    }[value]
    return bool(re.fullmatch(name, character))
