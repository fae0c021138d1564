"""The verifier: what it accepts, and each kind of false script that it rejects."""

import dataclasses
from typing import Any

import pytest

from ppp.ledger.store import Store
from ppp.model.errors import ScriptRejectedError
from ppp.model.period import Period
from ppp.narrate.fact_queries import FactKind
from ppp.narrate.facts import Fact, gather_facts, resolve_period
from ppp.narrate.script import SeededWriter
from ppp.narrate.verify import verify_script


@pytest.fixture
def period(sample: Store) -> Period:
    return resolve_period(sample.db, None)


@pytest.fixture
def facts(sample: Store, period: Period) -> tuple[Fact, ...]:
    return gather_facts(sample.db, period)


@pytest.fixture
def texts(facts: tuple[Fact, ...]) -> list[str]:
    return list(SeededWriter().write(facts, seed=7).texts)


def line_of(facts: tuple[Fact, ...], kind: FactKind) -> int:
    return next(place for place, fact in enumerate(facts) if fact.kind is kind)


def test_a_true_script_passes(sample: Store, period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    lines = verify_script(texts, facts, period, db=sample.db)
    assert [line.text for line in lines] == texts
    assert [line.fact for line in lines] == [fact.id for fact in facts]
    assert {line.speaker for line in lines} == {"relay", "static"}


@pytest.mark.parametrize(
    "lie",
    [
        # A number that is in no fact; one of another fact; one made of two.
        ("6 of 22", "999 of 22", "'999' is in no fact"),
        ("6 of 22", "7 of 22", "it states cells 7 for 6"),
        ("6 of 22", "1,6 of 22", "'1,6' is in no fact"),
        ("6 of 22", "six of 22", "'six' is in no fact"),
        ("6 of 22", "06 of 22", "'06' is in no fact"),
        ("6 of 22", f"1{',000' * 1500} of 22", "'1,000,000,"),
        ("6 of 22", "22 of 6", "it states cells 22 for 6, total 6 for 22"),
        ("22 cells", "22 cell", "'cell' does not agree with its number"),
        # A name that is in no fact; one of another fact.
        ("wheelhouse 1.1.0", "warehouse 1.1.0", "'warehouse' is in no fact"),
        ("wheelhouse 1.1.0", "mended 1.1.0", "it states package 'mended' for 'wheelhouse'"),
        ("wheelhouse 1.1.0", "wheelhouse 1.1.1", "'1.1.1' is in no fact"),
        ("wheelhouse 1.1.0", "wheelhouse 3.0.1", "it states version '3.0.1' for '1.1.0'"),
        ("no-compiler", "module-missing", "it states cause 'module-missing' for 'no-compiler'"),
        ("py311-alpine and py312-alpine", "py312-alpine", "licensed patterns match it"),
        ("py39-alpine, py311-alpine and", "py311-alpine, py39-alpine and", "it states environments"),
        # Words that are in no sentence, and words in the wrong place.
        ("fails", "never fails", "'never' is in no fact"),
        ("fails", "explodes", "'explodes' is in no fact"),
        ("fails", "passes", "no licensed patterns match it"),
        (".", "!", "'"),
        (".", ".\n", "has characters that no sentence has"),
        (" ", "  ", "no licensed patterns match it"),
        ("fails", "f\u0430ils", "has characters that no sentence has"),
    ],
)
def test_a_changed_word_is_rejected(
    period: Period, facts: tuple[Fact, ...], texts: list[str], lie: tuple[str, str, str]
) -> None:
    old, new, reason = lie
    place = next(place for place, text in enumerate(texts) if old in text)
    texts[place] = texts[place].replace(old, new, 1)
    with pytest.raises(ScriptRejectedError) as refused:
        verify_script(texts, facts, period)
    assert f"line {place + 1} of the script for 2024-04-25 is rejected" in refused.value.message
    assert reason in refused.value.message


def test_a_line_beyond_the_limit_is_not_parsed(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    texts[0] = "six " * 10_000
    with pytest.raises(ScriptRejectedError, match=r"line 1 .* too long for a sentence"):
        verify_script(texts, facts, period)


def test_a_dropped_line_is_rejected(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    del texts[4]
    with pytest.raises(ScriptRejectedError, match=r"line 5 .* it states passed too early"):
        verify_script(texts, facts, period)


def test_a_dropped_last_line_is_rejected(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    with pytest.raises(ScriptRejectedError, match=r"line 22 .* it is missing, and left-out is not stated"):
        verify_script(texts[:-1], facts, period)


def test_a_doubled_line_is_rejected(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    texts.insert(3, texts[2])
    with pytest.raises(ScriptRejectedError, match=r"line 4 .* it states packages again"):
        verify_script(texts, facts, period)


def test_a_line_too_many_is_rejected(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    with pytest.raises(ScriptRejectedError, match=r"line 23 .* it states observed again"):
        verify_script([*texts, texts[0]], facts, period)


def test_a_sentence_of_a_kind_that_no_fact_has_is_rejected(
    period: Period, facts: tuple[Fact, ...], texts: list[str]
) -> None:
    texts[line_of(facts, FactKind.FAILED)] = "No FAIL on the board, in 22 cells."
    with pytest.raises(ScriptRejectedError, match="it states a no-failure that is not among the facts"):
        verify_script(texts, facts, period)


def test_two_lines_that_changed_places_are_rejected(period: Period, facts: tuple[Fact, ...], texts: list[str]) -> None:
    texts[5], texts[6] = texts[6], texts[5]
    with pytest.raises(ScriptRejectedError, match=r"line 6 .* too early"):
        verify_script(texts, facts, period)


def test_an_empty_script_is_rejected(period: Period, facts: tuple[Fact, ...]) -> None:
    with pytest.raises(ScriptRejectedError, match=r"line 1 .* observed is not stated"):
        verify_script([], facts, period)


def forged(facts: tuple[Fact, ...], kind: FactKind, **changes: Any) -> tuple[Fact, ...]:
    """Return the facts with one of them changed."""
    place = line_of(facts, kind)
    fact = facts[place]
    slots = {**fact.slots, **changes}
    return (*facts[:place], dataclasses.replace(fact, slots=slots), *facts[place + 1 :])


def test_a_fact_that_is_not_in_the_ledger_is_rejected(sample: Store, period: Period, facts: tuple[Fact, ...]) -> None:
    lie = forged(facts, FactKind.FAILED, cells=5)
    texts = SeededWriter().write(lie, seed=7).texts
    with pytest.raises(ScriptRejectedError, match="in the ledger, cells of failed is 6, not 5"):
        verify_script(texts, lie, period, db=sample.db)


def test_a_list_that_is_not_in_the_ledger_is_rejected(sample: Store, period: Period, facts: tuple[Fact, ...]) -> None:
    lie = forged(facts, FactKind.STANDIN, environments=("py39-alpine", "py311-alpine"))
    texts = SeededWriter().write(lie, seed=7).texts
    with pytest.raises(ScriptRejectedError, match="in the ledger, environments of standin is"):
        verify_script(texts, lie, period, db=sample.db)


def test_a_fact_whose_sql_is_not_its_kind_s_is_rejected(sample: Store, period: Period, facts: tuple[Fact, ...]) -> None:
    place = line_of(facts, FactKind.FAILED)
    lie = dataclasses.replace(facts[place], slots={"cells": 0, "total": 22}, sql="SELECT 0 AS cells, 22 AS total")
    forgery = (*facts[:place], lie, *facts[place + 1 :])
    texts = SeededWriter().write(forgery, seed=7).texts
    with pytest.raises(ScriptRejectedError, match="the SQL of failed is not the query of its kind"):
        verify_script(texts, forgery, period, db=sample.db)


def test_a_fact_of_another_day_is_rejected(sample: Store, period: Period) -> None:
    yesterday = gather_facts(sample.db, resolve_period(sample.db, "2024-04-24"))
    with pytest.raises(ScriptRejectedError, match=r"line 1 .* the SQL of observed is not"):
        verify_script(SeededWriter().write(yesterday, seed=7).texts, yesterday, period, db=sample.db)


def test_a_finding_that_vanished_from_script_and_facts_alike_is_rejected(
    sample: Store, period: Period, facts: tuple[Fact, ...]
) -> None:
    fewer = tuple(fact for fact in facts if fact.kind is not FactKind.FIXED)
    with pytest.raises(ScriptRejectedError, match="the SQL of left-out is not"):
        verify_script(SeededWriter().write(fewer, seed=7).texts, fewer, period, db=sample.db)


def test_a_ledger_that_changed_meanwhile_is_detected(
    sample: Store, period: Period, facts: tuple[Fact, ...], texts: list[str]
) -> None:
    sample.db.execute("DELETE FROM results WHERE package = 'ghost'")
    with pytest.raises(ScriptRejectedError, match=r"line 2 .* in the ledger, cells of standing is 21, not 22"):
        verify_script(texts, facts, period, db=sample.db)


def test_a_finding_that_is_no_longer_in_the_ledger_is_detected(
    sample: Store, period: Period, facts: tuple[Fact, ...]
) -> None:
    (ghost,) = [fact for fact in facts if fact.kind is FactKind.PHANTOM_SUCCESS]
    sample.db.execute("DELETE FROM results WHERE package = 'ghost'")
    texts = SeededWriter().write([ghost], seed=7).texts
    with pytest.raises(
        ScriptRejectedError, match=r"the ledger returns phantom-success/ghost/2.0/module-missing 0 times"
    ):
        verify_script(texts, [ghost], period, db=sample.db)
