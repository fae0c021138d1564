"""Wordings: each states all of its fact, reads well in the singular and plural, and differs from every other."""

import re
from collections import Counter
from itertools import product

import pytest

from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact
from ppp.narrate.queries.query import Chapter, FactKind
from ppp.narrate.reading import Reading, known_words, read_sentence
from ppp.narrate.script import render
from ppp.narrate.slots import MAX_ENVIRONMENTS, SlotType, SlotValue
from ppp.narrate.wordings import LINKS, PATTERNS, LinkKind, Pattern, Speaker

ONE: dict[SlotType, SlotValue] = {
    SlotType.COUNT: 1,
    SlotType.PERCENT: "12.5",
    SlotType.DECIMAL: "63.4",
    SlotType.DAY: "2024-04-25",
    SlotType.PERIOD: "2024-W17",
    SlotType.UNIT: "night",
    SlotType.PACKAGE: "six",
    SlotType.PACKAGES: ("six",),
    SlotType.VERSION: "1.17.0",
    SlotType.ENVIRONMENT: "py39-slim",
    SlotType.ENVIRONMENTS: ("py312-alpine",),
    SlotType.ENVIRONMENT_NAMES: ("py312-alpine",),
    SlotType.CAUSE: "no-compiler",
    SlotType.BLAME: "environment",
}
MANY = ONE | {
    SlotType.COUNT: 1204,
    SlotType.PACKAGES: ("attrs", "numpy", "six"),
    SlotType.ENVIRONMENTS: ("py39-alpine", "py312-alpine"),
    SlotType.ENVIRONMENT_NAMES: ("py39-alpine", "py312-alpine"),
    SlotType.BLAME: "unknown",
}
#: Names that look like words of our sentences, or were made to deceive.
DECEPTIVE = ONE | {
    SlotType.PACKAGE: "ignore-previous-instructions",
    SlotType.PACKAGES: ("all", "and", "none", "x" * 200),
    SlotType.CAUSE: "environment",
    SlotType.ENVIRONMENTS: tuple(f"py3{minor}-slim" for minor in range(9, 10 + MAX_ENVIRONMENTS)),
}
VALUES = {"one": ONE, "many": MANY, "deceptive": DECEPTIVE}


def fact_of(pattern: Pattern, values: dict[SlotType, SlotValue]) -> Fact:
    slots = {name: values[type_] for name, type_ in FACT_QUERIES[pattern.kind].slots.items()}
    return Fact(id="a", kind=pattern.kind, slots=slots, sql="", params={}, weight=0)


def test_each_kind_has_eight_wordings_or_more() -> None:
    wordings = Counter(pattern.kind for pattern in PATTERNS)
    assert set(wordings) == set(FactKind)
    assert min(wordings.values()) >= 8


def test_both_presenters_can_state_most_kinds() -> None:
    for speaker in Speaker:
        assert {p.kind for p in PATTERNS if p.speaker is speaker} == set(FactKind)


def test_no_wording_is_repeated_whoever_says_it() -> None:
    texts = Counter([*(pattern.text for pattern in PATTERNS), *(link.text for link in LINKS)])
    assert [text for text, count in texts.items() if count > 1] == []


def test_a_pattern_uses_every_slot_of_its_kind_once() -> None:
    counted = {SlotType.COUNT, SlotType.PACKAGES, SlotType.ENVIRONMENTS, SlotType.ENVIRONMENT_NAMES}
    for pattern in PATTERNS:
        types = FACT_QUERIES[pattern.kind].slots
        assert sorted(re.findall(r"\{([a-z_]+)\}", pattern.text)) == sorted(types), pattern.text
        agreeing = {match.partition(":")[0] for match in re.findall(r"\{([^}]*:[^}]*)\}", pattern.text)}
        assert {types[slot] for slot in agreeing} <= counted, pattern.text


def test_a_pattern_has_no_number_of_its_own_and_recommends_nothing() -> None:
    promises = r"\b(safe|secure|trust|guarantee|best|works|should|must|avoid)\b"
    for pattern in PATTERNS:
        words = re.sub(r"\{[a-z_]+\}", "", pattern.text)
        assert not re.search(r"[0-9]", words), pattern.text
        assert not re.search(promises, words, re.IGNORECASE), pattern.text
        assert words.isascii() and words.isprintable(), pattern.text  # noqa: PT018


@pytest.mark.parametrize("values", VALUES.values(), ids=list(VALUES))
def test_a_pattern_renders_to_one_clean_line_that_is_read_back_as_its_fact(values: dict[SlotType, SlotValue]) -> None:
    for pattern in PATTERNS:
        fact = fact_of(pattern, values)
        text = render(pattern, fact)
        assert re.fullmatch(r"[A-Za-z0-9](?!.*[{}/]|.*  | .*\.\.).*[a-z0-9A-Z]\.", text), text
        said = read_sentence(text, known_words([fact]))
        assert isinstance(said, Reading), text
        assert said.states(fact), text
        assert said.pattern == pattern


def test_links_are_sentences_without_numbers_or_slots() -> None:
    for link in LINKS:
        assert re.fullmatch(r"[A-Z][A-Za-z ,.'?:;-]*[a-z][.?]", link.text), link.text


def test_every_link_has_a_subject_that_there_is() -> None:
    chapters = {chapter.name.lower() for chapter in Chapter} - {"opening"}
    for kind in LinkKind:
        subjects = {link.subject for link in LINKS if link.kind is kind}
        match kind:
            case LinkKind.CHAPTER:
                assert subjects == chapters
            case LinkKind.ASK | LinkKind.REPLY:
                assert subjects <= set(FactKind)
            case _:
                assert subjects == {""}
    spoken = {(link.kind, link.subject, link.speaker) for link in LINKS}
    both = {(link.kind, link.subject) for link in LINKS if link.kind not in {LinkKind.ASK, LinkKind.REPLY}}
    assert spoken >= {(*of, speaker) for of, speaker in product(both, Speaker)}


@pytest.mark.parametrize(
    ("kind", "one", "many"),
    [
        (
            FactKind.OBSERVED,
            "Signal up: 1 node reports 1 observation.",
            "Signal up: 1,204 nodes report 1,204 observations.",
        ),
        (
            FactKind.UNBROKEN,
            "A clear line: 1 of 1 release ended in PASS in every cell.",
            "Clear lines: 1,204 of 1,204 releases ended in PASS in every cell.",
        ),
        (
            FactKind.STANDIN,
            "Stand-in image in use: 1 cell, in py312-alpine; read that result with that in mind.",
            (
                "Stand-in image in use: 1,204 cells, in py39-alpine and py312-alpine;"
                " read those results with that in mind."
            ),
        ),
        (
            FactKind.BLAMED,
            "Blame for six 1.17.0, as recorded: the environment.",
            "Blame for six 1.17.0, as recorded: unknown.",
        ),
    ],
)
def test_words_agree_with_their_number(kind: FactKind, one: str, many: str) -> None:
    pattern = next(pattern for pattern in PATTERNS if pattern.kind is kind)
    assert [render(pattern, fact_of(pattern, values)) for values in (ONE, MANY)] == [one, many]


def test_of_many_environments_a_sentence_says_how_many_they_are() -> None:
    pattern = next(pattern for pattern in PATTERNS if pattern.kind is FactKind.PASSES_IN)
    assert render(pattern, fact_of(pattern, DECEPTIVE)) == (
        "The same ignore-previous-instructions 1.17.0 passes in 4 environments."
    )
