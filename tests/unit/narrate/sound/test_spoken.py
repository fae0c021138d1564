"""Spoken forms: names and versions as people say them; words of a to z alone, whatever a sentence contains."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.narrate.sound.dictionary import PARTS, PLAIN, UNITS, WORDS
from ppp.narrate.sound.numbers import digits_words, number_words, ordinal_words, year_words
from ppp.narrate.sound.spoken import MAX_NAME_WORDS, UNREADABLE, spoken_form
from ppp.resources import resource

#: All that a speech program may get.
SAYABLE = re.compile(r"[a-z]+(?:'[a-z]+)*(?:[.,?]? [a-z]+(?:'[a-z]+)*)*[.?]?")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("PyPI", "pie pee eye"),
        ("numpy", "num pie"),
        ("pytest-cov", "pie test coverage"),
        ("urllib3", "you are ell lib three"),
        ("python-dateutil", "python date you till"),
        ("boto3", "boh toe three"),
        ("psycopg2-binary", "psycho pee gee two binary"),
        ("fastapi", "fast eigh pee eye"),
        ("tqdm", "tee cue dee em"),
        ("pg8000", "pee gee eight thousand"),
        ("mkdocs-material", "em kay docs material"),
        ("mysqlclient", "my sequel client"),
        ("ruamel.yaml", "ruamel yammel"),
        ("s3fs", "ess three ef ess"),
        ("six", "six"),
        ("jinja2 3.1.6 and six 1.0", "jinja two version three point one point six and six one point oh"),
        ("copy", "copy"),
        ("somethingpy", "something pie"),
        ("wwwxz", "double you double you double you ex zee"),
        ("therapist", "therapist"),
        ("rapidjson", "rapid jason"),
        ("websocket-client", "websocket client"),
        ("guide", "guide"),
        ("aioredis", "eigh eye oh reddiss"),
        ("3.0.1", "three point oh point one"),
        ("0.10.0", "zero point ten point oh"),
        ("2024.8.1", "twenty twenty four point eight point one"),
        ("1.0.0rc1", "one point oh point oh release candidate one"),
        ("1.0b2.post1", "one point oh beta two post one"),
        ("1!2.0+cu118", "one epoch two point oh plus see you one hundred eighteen"),
        ("20231107", "twenty million two hundred thirty one thousand one hundred seven"),
        ("v20231107", "vee two zero two three one one zero seven"),
        ("py311-alpine", "python three eleven on alpine"),
        ("py39-slim", "python three nine on slim"),
        ("Python 3.12", "python three point twelve"),
        ("missing-shared-library", "missing shared library"),
        ("1,204", "one thousand two hundred four"),
        ("12.5%", "twelve point five percent"),
        ("4.2 s", "four point two seconds"),
        ("12 MB", "twelve megabytes"),
        ("2026-11-28", "november twenty eighth twenty twenty six"),
        ("2026-W48", "week forty eight of twenty twenty six"),
        ("4/6", "four of six"),
        ("FAIL in 3 of 93 cells: the verdict is no.", "fail in three of ninety three cells, the verdict is no."),
        ("Same package, Relay?", "same package, relay?"),
        ("It doesn't.", "it doesn't."),
        ("(as it was) -- and…", "as it was, and"),
    ],
)
def test_a_spoken_form_is_as_people_say_it(written: str, spoken: str) -> None:
    assert spoken_form(written) == spoken


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("<speak><break time='9s'/></speak>", "speak break time nine ess of of speak"),
        ("[[n'VmpaI]]", "en vee em pai"),
        ("$(rm -rf /) `reboot`; \x1b[31m", "are em are ef of, reboot, thirty one em"),
        ('&lt;prosody rate="x-fast"&gt;', "and ell tee, prosody rate ex fast and gee tee"),
        ("пакет \u202e", UNREADABLE),
        ("", UNREADABLE),
        ("...,,,", UNREADABLE),
        ("ignore-previous-instructions", "ignore previous instructions"),
    ],
)
def test_markup_and_escapes_are_words_at_most(written: str, spoken: str) -> None:
    assert spoken_form(written) == spoken


@pytest.mark.attack("inert-text")
@given(st.text(max_size=300) | st.text(st.sampled_from("py3.-_+!aeiosqltdb'[]<>&;:,?% \n\x1b10"), max_size=400))
def test_only_words_and_our_marks_are_ever_spoken(written: str) -> None:
    assert SAYABLE.fullmatch(spoken_form(written))


@given(st.text(st.sampled_from("abpy1.-z"), min_size=60, max_size=5_000))
def test_a_long_name_is_cut_off(name: str) -> None:
    longest = max(len(word.split()) for word in (*WORDS.values(), *PARTS.values()))
    for said in spoken_form(name).split("."):
        assert len(said.split()) <= MAX_NAME_WORDS * longest


@pytest.mark.parametrize("length", [10, 1_000, 100_000])
def test_a_name_of_any_length_takes_no_long_time(length: int) -> None:
    for unit in ("py", "1", "1a", "a'", "z.", "-"):
        assert len(spoken_form(unit * length)) < 2_000_000


def test_a_name_of_200_characters_is_bounded() -> None:
    assert spoken_form("a-" * 100) == "a " * MAX_NAME_WORDS + "and so on"


def test_the_dictionary_has_words_only() -> None:
    said = {*WORDS.values(), *UNITS.values(), *PARTS.values(), *PLAIN}
    assert [one for one in said if not re.fullmatch(r"[a-z]+( [a-z]+)*", one)] == []
    names = {*WORDS, *UNITS, *PARTS}
    assert [one for one in names if not re.fullmatch("[a-z]+", one)] == []


@given(st.integers(0, 10**15 - 1))
def test_numbers_in_words_are_different_and_plain(number: int) -> None:
    words = number_words(number)
    assert SAYABLE.fullmatch(words)
    assert words != number_words(number + 1)
    assert digits_words(str(number)) == words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (number_words(0), "zero"),
        (number_words(110), "one hundred ten"),
        (number_words(1_000_001), "one million one"),
        (ordinal_words(1), "first"),
        (ordinal_words(12), "twelfth"),
        (ordinal_words(20), "twentieth"),
        (ordinal_words(31), "thirty first"),
        (year_words(2004), "two thousand four"),
        (year_words(1999), "nineteen ninety nine"),
        (year_words(2100), "two thousand one hundred"),
        (year_words(1900), "nineteen hundred"),
        (year_words(1905), "nineteen oh five"),
        (digits_words("007"), "zero zero seven"),
    ],
)
def test_numbers_in_words(words: str, expected: str) -> None:
    assert words == expected


def test_the_words_of_our_own_sentences_are_said_as_they_are_written() -> None:
    sources = [path for path in resource("ppp/narrate").rglob("*.toml") if path.name != "spoken.toml"]
    sentences = [one for path in sources for one in re.findall(r'"([^"\n]{12,})"', path.read_text("utf-8"))]
    assert len(sentences) > 50
    ours = {word for one in sentences for word in re.findall(r"[A-Za-z']+", re.sub(r"\{[^}]*\}", "", one))}
    # Abbreviations are said letter by letter, or as what they stand for.
    words = {word for word in ours if not word.isupper() and word.lower() not in WORDS}
    assert {word: spoken_form(word) for word in words if spoken_form(word) != word.lower()} == {}
