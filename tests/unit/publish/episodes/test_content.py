"""What is shown of a stored episode: sentences in pieces, facts with SQL that runs, and nothing that acts."""

import json
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told_nights import told_facts, told_night

from ppp.model.errors import LedgerDamagedError
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.slots import SlotType
from ppp.publish.episodes.content import PACKAGE_SLOTS, read_content, split_at_packages, with_values

NAMES = st.from_regex(r"[a-z0-9]{1,6}(-[a-z0-9]{1,6}){0,2}", fullmatch=True)


def split(sentence: str, *packages: str) -> list[tuple[str, str | None]]:
    return [(piece.text, piece.package) for piece in split_at_packages(sentence, {*packages})]


def test_the_slots_that_name_packages_are_those_of_the_facts() -> None:
    types = {SlotType.PACKAGE, SlotType.PACKAGES}
    named = {slot for query in FACT_QUERIES.values() for slot, type_ in query.slots.items() if type_ in types}
    assert named == PACKAGE_SLOTS


@pytest.mark.parametrize(
    ("sentence", "packages", "linked"),
    [
        ("six 1.17.0 fails, and six again.", ["six"], ["six"]),
        ("six-more is not six.", ["six"], ["six"]),
        ("six-more is not six.", ["six", "six-more"], ["six-more", "six"]),
        ("Sixty six.2 and six_2", ["six"], []),
        ("The end: six.", ["six"], ["six"]),
        ("Nobody is named here.", ["six"], []),
        ("Nobody is named here.", [], []),
    ],
)
def test_the_first_place_of_each_name_is_linked(sentence: str, packages: list[str], linked: list[str]) -> None:
    pieces = split(sentence, *packages)
    assert [package for _, package in pieces if package] == linked
    assert "".join(text for text, _ in pieces) == sentence


@given(st.lists(st.one_of(NAMES, st.sampled_from([" ", ", ", ".", "-", "ü"]))), st.sets(NAMES, max_size=4))
def test_no_character_of_a_sentence_is_lost(words: list[str], packages: set[str]) -> None:
    sentence = "".join(words)
    pieces = [*split_at_packages(sentence, packages)]
    assert "".join(piece.text for piece in pieces) == sentence
    linked = [piece.package for piece in pieces if piece.package]
    assert len(linked) == len(set(linked))
    assert set(linked) <= packages


@given(st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8")), st.integers(-(2**62), 2**62))
def test_values_are_written_into_sql_as_sqlite_reads_them(text: str, number: int) -> None:
    sql = with_values("SELECT :text AS a, :n AS b, ':n' AS c, 'it''s :text' AS d", {"text": text, "n": number})
    with closing(sqlite3.connect(":memory:")) as db:
        assert db.execute(sql).fetchone() == (text, number, ":n", "it's :text")


def test_the_numbers_of_facts_lead_from_sentences_to_facts() -> None:
    content = read_content(told_night("2024-04-25"))
    assert [line.facts for line in content.lines] == [(0,), (), (1,), ()]
    assert [line.speaker for line in content.lines] == ["Relay", "Static", "Relay", "Static"]
    assert [fact.slots for fact in content.facts] == [
        (("cells", "4"),),
        (("package", "six"), ("version", "1.17.0")),
    ]
    assert "1714003200" in content.facts[0].sql
    assert content.title == "The night of 2024-04-25"
    assert read_content(told_night("2024-W17")).title == "The week 2024-W17"


def test_what_an_episode_says_can_neither_act_nor_be_long() -> None:
    hostile = "\x1b]0;owned\x07<script>\u202e" + "x" * 900
    script = json.dumps([{"speaker": hostile, "text": hostile, "facts": ["no-such"], "chapter": hostile}])
    content = read_content(told_night("2024-04-25", script=script, title=hostile, writer=hostile, fallback=hostile))
    (line,) = content.lines
    shown = [line.text, line.speaker, line.chapter or "", content.title, content.writer, content.fallback or ""]
    assert all(text.isprintable() and "owned" not in text and len(text) <= 400 for text in shown)
    assert line.facts == ()


@pytest.mark.parametrize(
    "facts", ["[", "[1]", '[{"id": "a"}]', '[{"id":"a","kind":"b","slots":1,"sql":"","params":{}}]']
)
def test_facts_that_are_none_are_damage(facts: str) -> None:
    with pytest.raises(LedgerDamagedError, match="no valid facts"):
        read_content(told_night("2024-04-25", facts=facts))


def test_a_parameter_without_a_value_is_damage() -> None:
    facts = told_facts("2024-04-25")
    facts[0]["params"] = {}
    with pytest.raises(LedgerDamagedError, match="no valid facts"):
        read_content(told_night("2024-04-25", facts=json.dumps(facts)))
