"""The verifier: what it accepts, and each kind of false script that it rejects."""

import dataclasses
from typing import Any

import pytest

from ppp.ledger.store import Store
from ppp.model.errors import ScriptRejectedError
from ppp.narrate.director import Story
from ppp.narrate.fact_values import Fact
from ppp.narrate.facts import Rundown, gather_facts, resolve_period
from ppp.narrate.queries.query import FactKind
from ppp.narrate.script import SeededWriter, render, renderings
from ppp.narrate.verify import verify_script
from ppp.narrate.wordings import LINKS, PATTERNS, LinkKind


def write(rundown: Rundown, seed: int = 7) -> list[str]:
    return list(SeededWriter().write(rundown.stories, seed=seed).texts)


def place_of(texts: list[str], fact: Fact) -> int:
    return next(place for place, text in enumerate(texts) if text in renderings(fact))


def fact_of(rundown: Rundown, kind: FactKind) -> Fact:
    return next(fact for fact in rundown.facts if fact.kind is kind)


def reject(texts: list[str], rundown: Rundown, match: str) -> None:
    with pytest.raises(ScriptRejectedError, match=match):
        verify_script(texts, rundown.facts, rundown.period)


def test_a_true_script_passes(sample: Store, rundown: Rundown) -> None:
    texts = write(rundown)
    lines = verify_script(texts, rundown.facts, rundown.period, db=sample.db)
    assert [line.text for line in lines] == texts
    assert sorted(line.fact for line in lines if line.fact) == sorted(fact.id for fact in rundown.facts)
    assert {line.speaker for line in lines} == {"relay", "static"}


@pytest.mark.parametrize(
    ("kind", "old", "new", "reason"),
    [
        # A number that is in no fact; one of another fact; one made of two.
        (FactKind.FAILED, "6", "999", "'999' is in no fact"),
        (FactKind.FAILED, "6", "7", "it states cells 7 for 6"),
        (FactKind.FAILED, "6", "1,6", "'1,6' is in no fact"),
        (FactKind.FAILED, "6", "six", "'six' is in no fact"),
        (FactKind.FAILED, "6", "06", "'06' is in no fact"),
        (FactKind.FAILED, "6", "1" + ",000" * 1500, "'1,000,000,"),
        (FactKind.FAILED, "6 of 22", "22 of 6", "it states cells 22 for 6, total 6 for 22"),
        (FactKind.FAILED, "22 cells", "22 cell", "'cell' does not agree with its number"),
        # A name that is in no fact; one of another fact.
        (FactKind.NEWLY_BROKEN, "wheelhouse", "warehouse", "'warehouse' is in no fact"),
        (FactKind.NEWLY_BROKEN, "wheelhouse", "mended", "it states package 'mended' for 'wheelhouse'"),
        (FactKind.NEWLY_BROKEN, "1.1.0", "1.1.1", "'1.1.1' is in no fact"),
        (FactKind.NEWLY_BROKEN, "1.1.0", "3.0.1", "it states version '3.0.1' for '1.1.0'"),
        (FactKind.NEWLY_BROKEN, "no-compiler", "module-missing", "it states cause 'module-missing' for 'no-compiler'"),
        (FactKind.NEWLY_BROKEN, "py311-alpine and py312-alpine", "py312-alpine", "licensed patterns match it"),
        (
            FactKind.NEWLY_BROKEN,
            "py39-alpine, py311-alpine and",
            "py311-alpine, py39-alpine and",
            "states environments",
        ),
        (
            FactKind.NEWLY_BROKEN,
            "py39-alpine, py311-alpine and py312-alpine",
            "3 environments",
            "states environments 3",
        ),
        # Words that are in no sentence, and words in the wrong place.
        (FactKind.FAILED, "FAIL", "no FAIL", "no licensed patterns match it"),
        (FactKind.FAILED, "FAIL", "utter FAIL", "'utter' is in no fact"),
        (FactKind.FAILED, "FAIL", "PASS", ""),
        (FactKind.FAILED, ".", "!", "'"),
        (FactKind.FAILED, ".", ".\n", "has characters that no sentence has"),
        (FactKind.FAILED, " ", "  ", "no licensed patterns match it"),
        (FactKind.FAILED, "FAIL", "F\u0410IL", "has characters that no sentence has"),
        (FactKind.FAILED, "FAIL", "\x1b[31mFAIL", "has characters that no sentence has"),
    ],
)
@pytest.mark.attack("inert-text")
def test_a_changed_word_is_rejected(rundown: Rundown, kind: FactKind, old: str, new: str, reason: str) -> None:
    texts, fact = write(rundown), fact_of(rundown, kind)
    place = place_of(texts, fact)
    # The first wording has all of these words.
    texts[place] = render(next(pattern for pattern in PATTERNS if pattern.kind is kind), fact).replace(old, new, 1)
    with pytest.raises(ScriptRejectedError) as refused:
        verify_script(texts, rundown.facts, rundown.period)
    assert f"line {place + 1} of the script for 2024-04-25 is rejected" in refused.value.message
    assert reason in refused.value.message


def test_a_line_beyond_the_limit_is_not_parsed(rundown: Rundown) -> None:
    texts = write(rundown)
    texts[3] = "six " * 10_000
    reject(texts, rundown, r"line 4 .* too long for a sentence")


def test_a_dropped_or_doubled_fact_is_rejected(rundown: Rundown) -> None:
    texts = write(rundown)
    for fact in rundown.facts:
        place = place_of(texts, fact)
        reject([*texts[:place], *texts[place + 1 :]], rundown, "is rejected")
        reject([*texts[:-2], texts[place], *texts[-2:]], rundown, "is rejected")


@pytest.mark.parametrize("kind", [FactKind.PASSED, FactKind.LEFT_OUT, FactKind.NEWLY_BROKEN])
def test_a_fact_that_is_told_too_early_or_too_late_is_rejected(rundown: Rundown, kind: FactKind) -> None:
    texts = write(rundown)
    said = texts.pop(place_of(texts, fact_of(rundown, kind)))
    early = [*texts[:3], said, *texts[3:]]
    late = [*texts[:-2], said, *texts[-2:]]
    for moved in (early, late):
        if moved != write(rundown):
            reject(moved, rundown, "is rejected")


def test_what_a_headline_means_must_follow_it(rundown: Rundown) -> None:
    texts = write(rundown)
    said = texts.pop(place_of(texts, fact_of(rundown, FactKind.DEBUT)))
    reject([*texts[:3], said, *texts[3:]], rundown, "too early or too late")


def test_a_sentence_of_a_kind_that_no_fact_has_is_rejected(rundown: Rundown) -> None:
    texts = write(rundown)
    texts[place_of(texts, fact_of(rundown, FactKind.FAILED))] = "No FAIL on the board, in 22 cells."
    reject(texts, rundown, "it states a no-failure that is not among the facts")


def links(kind: LinkKind, subject: str = "") -> list[str]:
    return [link.text for link in LINKS if link.kind is kind and link.subject == subject]


@pytest.mark.parametrize(
    ("kind", "subject", "reason"),
    [
        (LinkKind.OPENING, "", "nothing licenses it there"),
        (LinkKind.CLOSING, "", "nothing licenses it there"),
        (LinkKind.CHAPTER, "board", ""),
        (LinkKind.ASK, "breaker", ""),
        (LinkKind.REPLY, "breaker", ""),
        (LinkKind.SAME, "", ""),
        (LinkKind.OTHER, "", ""),
    ],
)
def test_a_link_that_nothing_licenses_is_rejected(rundown: Rundown, kind: LinkKind, subject: str, reason: str) -> None:
    texts = write(rundown)
    # Before the first totals, where no package was and none is, and after the announcement of the chapter.
    place = place_of(texts, fact_of(rundown, FactKind.STANDING))
    for text in links(kind, subject):
        if text not in texts:
            reject([*texts[:place], text, *texts[place:]], rundown, reason or "is rejected")


def test_an_episode_is_opened_and_closed_by_both_presenters(rundown: Rundown) -> None:
    texts = write(rundown)
    reject(texts[1:], rundown, "line 1 .* does not open an episode, as relay does there")
    reject([texts[1], texts[0], *texts[2:]], rundown, "line 1 .* does not open an episode")
    reject(texts[:-1], rundown, "closes the episode|close an episode")
    reject([*texts[:-2], texts[-1], texts[-2]], rundown, "does not close an episode, as static does there")
    reject([], rundown, "line 1 .* night is not stated")


def test_a_chapter_must_be_announced(rundown: Rundown) -> None:
    texts = [text for text in write(rundown) if text not in links(LinkKind.CHAPTER, "board")]
    reject(texts, rundown, "nobody announces The board")


def test_no_wording_is_used_twice(rundown: Rundown) -> None:
    texts = write(rundown)
    causes = [fact for fact in rundown.facts if fact.kind is FactKind.CAUSE]
    pattern = next(pattern for pattern in PATTERNS if pattern.kind is FactKind.CAUSE)
    for fact in causes:
        texts[place_of(texts, fact)] = render(pattern, fact)
    reject(texts, rundown, "it is in the words of another line")


def forged(rundown: Rundown, kind: FactKind, **changes: Any) -> Rundown:
    """Return what an episode tells with the slots of one fact changed."""
    old = fact_of(rundown, kind)
    new = dataclasses.replace(old, slots={**old.slots, **changes})
    return _with(rundown, old, new)


def _with(rundown: Rundown, old: Fact, new: Fact | None) -> Rundown:
    stories = []
    for story in rundown.stories:
        facts = [new if fact is old else fact for fact in story.facts]
        left = [fact for fact in facts if fact is not None]
        if left:
            stories.append(Story(headline=left[0], context=tuple(left[1:])))
    return dataclasses.replace(rundown, stories=tuple(stories))


@pytest.mark.parametrize(
    ("kind", "changes", "match"),
    [
        (FactKind.FAILED, {"cells": 5}, "fact failed .* in the ledger, its cells is 6, not 5"),
        (FactKind.STANDIN, {"environments": ("py39-alpine",)}, "fact standin .* its environments is"),
        (FactKind.BLAMED, {"blame": "package"}, "in the ledger, its blame is 'unknown', not 'package'"),
    ],
)
def test_a_fact_that_is_not_in_the_ledger_is_rejected(
    sample: Store, rundown: Rundown, kind: FactKind, changes: dict[str, Any], match: str
) -> None:
    lie = forged(rundown, kind, **changes)
    with pytest.raises(ScriptRejectedError, match=match):
        verify_script(write(lie), lie.facts, lie.period, db=sample.db)


@pytest.mark.parametrize(
    "change",
    [{"sql": "SELECT 6 AS cells, 22 AS total"}, {"params": {}}, {"weight": 1000}, {"params": {"start": 1, "end": 2}}],
)
def test_a_fact_whose_query_or_weight_is_not_its_kind_s_is_rejected(rundown: Rundown, change: dict[str, Any]) -> None:
    fact = fact_of(rundown, FactKind.NIGHT)
    lie = _with(rundown, fact, dataclasses.replace(fact, **change))
    reject(write(lie), lie, "fact night .* its SQL, parameters or weight are not those of its kind")


def test_a_fact_of_another_night_is_rejected(sample: Store, rundown: Rundown) -> None:
    yesterday = gather_facts(sample.db, resolve_period(sample.db, "2024-04-24"))
    lie = dataclasses.replace(yesterday, period=rundown.period)
    reject(write(lie), lie, "are not those of its kind")


def test_a_headline_that_vanished_from_script_and_facts_alike_is_rejected(rundown: Rundown) -> None:
    ghost = fact_of(rundown, FactKind.PHANTOM_SUCCESS)
    fewer = dataclasses.replace(rundown, stories=tuple(s for s in rundown.stories if s.headline is not ghost))
    reject(write(fewer), fewer, "fact left-out .* are not those of its kind")


def test_a_ledger_that_changed_meanwhile_is_detected(sample: Store, rundown: Rundown) -> None:
    sample.db.execute("DELETE FROM results WHERE package = 'ghost'")
    with pytest.raises(ScriptRejectedError, match=r"fact phantom-success.* the ledger returns it 0 times"):
        verify_script(write(rundown), rundown.facts, rundown.period, db=sample.db)
