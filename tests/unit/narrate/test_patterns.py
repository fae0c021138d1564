"""Patterns: each states all of its fact, reads well in the singular and plural, and differs from every other."""

import re
from collections import Counter

import pytest

from ppp.narrate.fact_queries import FACT_QUERIES, FactKind, SlotType
from ppp.narrate.facts import Fact, SlotValue
from ppp.narrate.patterns import PATTERNS, Pattern, Speaker
from ppp.narrate.script import render

ONE: dict[SlotType, SlotValue] = {
    SlotType.COUNT: 1,
    SlotType.PERCENT: "12.5",
    SlotType.DAY: "2024-04-25",
    SlotType.PACKAGE: "six",
    SlotType.PACKAGES: ("six",),
    SlotType.VERSION: "1.17.0",
    SlotType.ENVIRONMENT: "py39-slim",
    SlotType.ENVIRONMENTS: ("py312-alpine",),
    SlotType.CAUSE: "no-compiler",
}
MANY = ONE | {
    SlotType.COUNT: 1204,
    SlotType.PACKAGES: ("attrs", "numpy", "six"),
    SlotType.ENVIRONMENTS: ("py39-alpine", "py312-alpine"),
}

every_pattern = pytest.mark.parametrize("pattern", PATTERNS, ids=[pattern.text[:40] for pattern in PATTERNS])


def rendered(pattern: Pattern, values: dict[SlotType, SlotValue]) -> str:
    slots = {name: values[type_] for name, type_ in FACT_QUERIES[pattern.kind].slots.items()}
    return render(pattern, Fact(id="a", kind=pattern.kind, slots=slots, sql="", params={}))


def test_each_kind_has_three_wordings_or_more() -> None:
    wordings = Counter(pattern.kind for pattern in PATTERNS)
    assert set(wordings) == set(FactKind)
    assert min(wordings.values()) >= 3


def test_both_presenters_have_enough_wordings() -> None:
    speakers = Counter(pattern.speaker for pattern in PATTERNS)
    assert speakers[Speaker.RELAY] >= 25
    assert speakers[Speaker.STATIC] >= 25


def test_no_wording_is_repeated() -> None:
    assert len({pattern.text for pattern in PATTERNS}) == len(PATTERNS)


@every_pattern
def test_a_pattern_uses_every_slot_of_its_kind_once(pattern: Pattern) -> None:
    said = re.findall(r"\{([a-z_]+)\}", pattern.text)
    assert sorted(said) == sorted(FACT_QUERIES[pattern.kind].slots)
    agreeing = {match.partition(":")[0] for match in re.findall(r"\{([^}]*:[^}]*)\}", pattern.text)}
    types = FACT_QUERIES[pattern.kind].slots
    assert {types[slot] for slot in agreeing} <= {SlotType.COUNT, SlotType.PACKAGES, SlotType.ENVIRONMENTS}


@every_pattern
def test_a_pattern_has_no_number_of_its_own_and_recommends_nothing(pattern: Pattern) -> None:
    words = re.sub(r"\{[a-z_]+\}", "", pattern.text)
    assert not re.search(r"[0-9]", words)
    assert not re.search(r"\b(safe|secure|trust|guarantee|best|works)", words, re.IGNORECASE)
    assert words.isascii()
    assert words.isprintable()


@every_pattern
@pytest.mark.parametrize("values", [ONE, MANY], ids=["one", "many"])
def test_a_pattern_renders_to_one_clean_line(pattern: Pattern, values: dict[SlotType, SlotValue]) -> None:
    text = rendered(pattern, values)
    assert re.fullmatch(r"[A-Z](?!.*[{}/]|.*  ).*[a-z0-9A-Z]\.", text)


@pytest.mark.parametrize(
    ("kind", "one", "many"),
    [
        (
            FactKind.OBSERVED,
            "Signal up. For 2024-04-25, 1 node reports 1 observation.",
            "Signal up. For 2024-04-25, 1,204 nodes report 1,204 observations.",
        ),
        (
            FactKind.PACKAGES,
            "The package on the bench: six.",
            "The packages on the bench: attrs, numpy and six.",
        ),
        (
            FactKind.UNBROKEN,
            "A clear line: 1 of 1 release ended in PASS in every cell of the day.",
            "Clear lines: 1,204 of 1,204 releases ended in PASS in every cell of the day.",
        ),
        (
            FactKind.STANDIN,
            "Stand-in image in use: 1 cell, in py312-alpine; read that result with that in mind.",
            (
                "Stand-in image in use: 1,204 cells, in py39-alpine and py312-alpine;"
                " read those results with that in mind."
            ),
        ),
    ],
)
def test_words_agree_with_their_number(kind: FactKind, one: str, many: str) -> None:
    pattern = next(pattern for pattern in PATTERNS if pattern.kind is kind)
    assert (rendered(pattern, ONE), rendered(pattern, MANY)) == (one, many)


def test_only_an_error_is_called_ours() -> None:
    ours = {pattern.kind for pattern in PATTERNS if re.search(r"\bour(s| fault| own)\b", pattern.text)}
    assert ours == {FactKind.ERRED, FactKind.FAILED}
    assert all("not a mistake of ours" in p.text for p in PATTERNS if p.kind is FactKind.FAILED and "ours" in p.text)
