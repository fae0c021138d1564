"""What is said for a sentence: names, versions, environments and numbers as words that a speech program reads rightly.

A speech program gets lower-case words of a to z with a few marks of ours between them, and nothing else: no digit, no
markup, no phonemes, no escape, whatever a sentence contains. What cannot be said is left out; the transcript has it as
it is written.
"""

import re
from collections.abc import Iterator
from typing import Final

from ppp.narrate.sound.dictionary import PARTS, PLAIN, UNITS, WORDS, word_list
from ppp.narrate.sound.numbers import (
    MAX_DIGITS,
    MAX_NAMED_DIGITS,
    digits_words,
    number_words,
    ordinal_words,
    spell,
    year_words,
)

#: What is said for a sentence of which nothing can be said.
UNREADABLE: Final = "unreadable"
#: As much is said of one name or version, in words: a name may have thousands of letters.
MAX_NAME_WORDS: Final = 14
#: The most letters that a word is read with, and that a word without vowels is spelled with.
MAX_WORD: Final = 24
MAX_SPELLED: Final = 8
#: The most characters that are looked at of a name, and of a run of letters in it.
MAX_NAME: Final = 400
MAX_RUN: Final = 48
AND_SO_ON: Final = "and so on"

_MONTHS: Final = word_list("months")
_TOKEN: Final = re.compile(
    r"""(?P<date>(?<![\w-])[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?![\w-]))
    |(?P<week>(?<![\w-])[0-9]{4}-W[0-9]{2}(?![\w-]))
    |(?P<environment>\bpy[23][0-9]{1,2}-[a-z0-9]+\b)
    |(?P<grouped>(?<![\w.-])[0-9]{1,3}(?:,[0-9]{3})+(?![\w-]))
    |(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._+!'-]*[A-Za-z0-9])?)
    |(?P<mark>[.,;:?!%&/()\u2013\u2014\u2026]|\s-+\s)
    """,
    re.ASCII | re.VERBOSE,
)
_MARKS: Final = {"%": " percent", "&": " and", "/": " of", ":": ",", "(": ",", ")": ",", ";": ",", "!": "."}
_STOPS: Final = frozenset(".,?")
_VERSION: Final = re.compile(r"[0-9][a-z0-9]*(?:[._+!-][a-z0-9]+)*")
_PIECES: Final = re.compile(r"[0-9]+|[a-z]+|[._+!-]+")
#: It's, didn't: words of ours.
_CONTRACTION: Final = re.compile(r"\A[a-z]++'[a-z]{1,2}")
_SEPARATORS: Final = re.compile(r"[_+!-]+|(?<![a-z])'+|'+(?![a-z]{1,2}$)|(?<![0-9])\.+|\.+(?![0-9])")
_RUNS: Final = re.compile(r"[0-9]+|[a-z]+")
_MARKERS: Final = {"a": "alpha", "b": "beta", "rc": "release candidate", "c": "release candidate", "v": "version"}
_VOWELS: Final = frozenset("aeiouy")
_ONSETS: Final = {*word_list("onsets"), "sch"}
#: The longest first, so that `mysql` is not `my` and `sql`.
_LONGEST_FIRST: Final = sorted(PARTS, key=lambda part: (-len(part), part))
_FIRST: Final = tuple(part for part in _LONGEST_FIRST if part not in word_list("only-last"))
_LAST: Final = tuple(part for part in _LONGEST_FIRST if part not in word_list("only-first"))
#: Shorter words are not taken apart; words of two letters are spelled, unless they are words.
_SHORT: Final = 3
_TWO: Final = 2
_YEAR_DIGITS: Final = 4


def spoken_form(sentence: str) -> str:
    """Return what is said for a sentence: words of a to z with an apostrophe at most, and commas, stops, questions."""
    said: list[str] = []
    before = ""
    for token in _TOKEN.finditer(sentence):
        words = _say_token(str(token.lastgroup), token.group(), after_number=before[-1:].isdigit())
        if _is_numbered(before) and _VERSION.fullmatch(token.group()):
            # jinja2 3.1.6: two numbers in a row would be one.
            said.append("version")
        before = token.group()
        if words in _STOPS:
            # Two marks in a row are one, and none stands first.
            if said and said[-1] not in _STOPS:
                said.append(words)
        elif words:
            said += words.split()
    while said and said[-1] == ",":
        said.pop()
    text = " ".join(said) or UNREADABLE
    return re.sub(r" (?=[.,?])", "", text)


def _is_numbered(name: str) -> bool:
    return name[-1:].isdigit() and name[:1].isalpha()


def _say_token(kind: str, text: str, *, after_number: bool) -> str:
    if after_number and (unit := UNITS.get(text.lower())):
        return str(unit)
    return _SAY[kind](text)


def _date(text: str) -> str:
    year, month, day = (int(part) for part in text.split("-"))
    return f"{_MONTHS[month - 1]} {ordinal_words(day)} {year_words(year)}"


def _week(text: str) -> str:
    year, week = text.split("-W")
    return f"week {number_words(int(week))} of {year_words(int(year))}"


def _grouped(text: str) -> str:
    return digits_words(text.replace(",", "")[:MAX_DIGITS])


def _mark(text: str) -> str:
    return _MARKS.get(text, text if text in _STOPS else ",").strip()


def _environment(text: str) -> str:
    python, platform = text.removeprefix("py").split("-", 1)
    return f"python {number_words(int(python[0]))} {_minor(python[1:])} on {say_name(platform)}"


def _minor(digits: str) -> str:
    return digits_words(digits.lstrip("0") or "0")


def say_name(text: str) -> str:
    """Return how a word, a name, a version or a number is said; no more than `MAX_NAME_WORDS` words of it."""
    name = text[:MAX_NAME].lower()
    if name.isdigit() and len(name) <= MAX_DIGITS:
        return digits_words(name)
    words = _version(name) if _VERSION.fullmatch(name) and not name.isalpha() else _name(name)
    said = [word for _, words_ in zip(range(MAX_NAME_WORDS), words, strict=False) for word in words_.split()]
    if len(said) > MAX_NAME_WORDS or next(words, None):
        said = [*said[:MAX_NAME_WORDS], *AND_SO_ON.split()]
    return " ".join(said)


def _version(version: str) -> Iterator[str]:
    before = ""
    for piece in _PIECES.findall(version):
        if piece.isdigit():
            # Numbers beside each other have a point between them; a zero after one is an oh, as people say it.
            joined = before.isdigit()
            point = "point " if joined else ""
            yield point + ("oh" if piece == "0" and joined else _segment(piece))
        elif piece.isalpha():
            yield _MARKERS.get(piece) or " ".join(_word(piece[:MAX_RUN]))
        elif piece in {"+", "!"}:
            yield "plus" if piece == "+" else "epoch"
            before = piece
            continue
        else:
            continue
        before = piece


def _segment(digits: str) -> str:
    # As in 2024.8.1.
    if len(digits) == _YEAR_DIGITS and digits[:2] in {"19", "20"}:
        return year_words(int(digits))
    return digits_words(digits[:MAX_DIGITS], MAX_NAMED_DIGITS)


def _name(name: str) -> Iterator[str]:
    whole = WORDS.get(name)
    if whole:
        yield whole
        return
    for part in _SEPARATORS.split(name):
        if _CONTRACTION.fullmatch(part):
            yield part
            continue
        if said := WORDS.get(part):
            yield said
            continue
        if "." in part:
            yield from _version(part)
            continue
        for run in _RUNS.findall(part):
            if run.isdigit():
                yield digits_words(run[:MAX_DIGITS], MAX_NAMED_DIGITS)
            else:
                yield from _word(run[:MAX_RUN])


def _word(word: str) -> Iterator[str]:
    # A run of letters: as it stands in the dictionary, by its parts, or by the rules.
    known = WORDS.get(word)
    if known or word in PLAIN:
        yield known or word
    elif word.startswith("py") and len(word) > _SHORT:
        yield "pie"
        yield from _word(word.removeprefix("py"))
    elif word.endswith("py") and len(word) > _SHORT:
        yield from _word(word.removesuffix("py"))
        yield "pie"
    else:
        yield from _by_parts(word)


def _by_parts(word: str) -> Iterator[str]:
    # A part counts at the beginning and at the end: there is no API in `therapist`.
    if known := PARTS.get(word) or WORDS.get(word):
        yield known
    elif first := next(filter(word.startswith, _FIRST), None):
        yield PARTS[first]
        yield from _word(word.removeprefix(first))
    elif last := next(filter(word.endswith, _LAST), None):
        yield from _word(word.removesuffix(last))
        yield PARTS[last]
    else:
        yield from _by_sound(word)


def _by_sound(word: str) -> Iterator[str]:
    if not _VOWELS & set(word) or (len(word) == _TWO and word not in PLAIN):
        yield spell(word[:MAX_SPELLED])
        if len(word) > MAX_SPELLED:
            yield AND_SO_ON
    elif word.endswith("lib") and len(word) > _SHORT + 1:
        yield from _by_sound(word.removesuffix("lib"))
        yield "lib"
    elif word[0] not in _VOWELS and word[1] not in _VOWELS and not {word[:2], word[:3]} & _ONSETS:
        # mkdocs: em kay docs.
        yield spell(word[0])
        yield from _word(word[1:])
    else:
        yield word[:MAX_WORD]


_SAY: Final = {
    "date": _date,
    "week": _week,
    "environment": _environment,
    "grouped": _grouped,
    "mark": _mark,
    "name": say_name,
}
