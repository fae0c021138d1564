"""The seeded writer: the same for a seed on any machine, different for other seeds, and a conversation."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from ppp.ledger.store import Store
from ppp.narrate.director import Story
from ppp.narrate.fact_values import Fact
from ppp.narrate.facts import Rundown
from ppp.narrate.queries.query import FactKind
from ppp.narrate.reading import Reading, known_words, read_sentence
from ppp.narrate.script import SEEDED, Progress, SeededWriter, renderings
from ppp.narrate.verify import verify_script
from ppp.narrate.wordings import LinkKind, Speaker

Make = Callable[..., Fact]

#: Writes what the test itself writes, in another interpreter.
ELSEWHERE = """
import json
from ppp.narrate.director import Story
from ppp.narrate.fact_values import Fact
from ppp.narrate.queries.query import FactKind
from ppp.narrate.script import SeededWriter
facts = [Fact(id=str(n), kind=FactKind.CAUSE, slots={"cause": "crash", "cells": n, "packages": 99}, sql="", params={},
              weight=0) for n in range(9)]
print(json.dumps(SeededWriter().write([Story(headline=fact) for fact in facts], seed=5).texts))
"""


@pytest.mark.parametrize("salt", ["1", "2"])
def test_a_seed_results_in_the_same_text_in_every_process(salt: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
    )
    here: dict[str, object] = {}
    exec(ELSEWHERE.replace("print(", "texts = ("), here)  # noqa: S102 - our own words, above
    assert json.loads(done.stdout) == json.loads(str(here["texts"]))


def test_seeds_differ(rundown: Rundown) -> None:
    assert len({SeededWriter().write(rundown.stories, seed=seed).texts for seed in range(20)}) == 20


def test_a_draft_names_its_writer_and_states_each_fact_once(rundown: Rundown) -> None:
    draft = SeededWriter().write(rundown.stories, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, None)
    for fact in rundown.facts:
        assert len(set(draft.texts) & set(renderings(fact))) == 1


def test_no_wording_is_repeated_while_others_are_left(make_fact: Make) -> None:
    crash = {"version": "1.0", "cause": "crash", "environments": ("py39-slim",)}
    facts = [make_fact(FactKind.PHANTOM_SUCCESS, package=f"lib-{n}", **crash) for n in range(8)]
    for seed in range(10):
        texts = SeededWriter().write([Story(headline=fact) for fact in facts], seed=seed).texts
        readings = [read_sentence(text, known_words(facts)) for text in texts]
        patterns = Counter(said.pattern.text for said in readings if isinstance(said, Reading))
        assert list(patterns.values()) == [1] * 8


def test_wordings_are_repeated_if_there_are_more_facts_than_wordings(make_fact: Make) -> None:
    facts = [make_fact(FactKind.CAUSE, cause="crash", cells=n, packages=1) for n in range(12)]
    stories = [Story(headline=fact) for fact in facts]
    assert sum("crash" in text for text in SeededWriter().write(stories, seed=0).texts) == 12


def test_of_equal_stories_any_may_be_next_and_of_unequal_ones_the_first(make_fact: Make) -> None:
    at = {"version": "1.0", "cause": "crash"}
    one = ("py39-slim",)
    equal = [make_fact(FactKind.PHANTOM_SUCCESS, package=name, environments=one, **at) for name in "ab"]
    heavier = make_fact(FactKind.PHANTOM_SUCCESS, package="c", environments=(*one, "py311-slim"), **at)
    progress = Progress([Story(headline=fact) for fact in (heavier, *equal)])
    assert {option.fact.package for option in progress.options()} == {"c"}
    progress.take(progress.options()[0])
    assert {option.fact.package for option in progress.options()} == {"a", "b"}


def test_what_a_headline_means_follows_it(make_fact: Make) -> None:
    headline = make_fact(FactKind.FIXED, package="six", version="2", before="1", environments=("py39-slim",))
    context = make_fact(FactKind.DEBUT, package="six", version="2", failed=1)
    other = make_fact(FactKind.FIXED, package="a", version="2", before="1", environments=("py39-slim",))
    progress = Progress([Story(headline=headline, context=(context,)), Story(headline=other)])
    progress.take(next(option for option in progress.options() if option.fact is headline))
    options = progress.options()
    assert {option.fact.id for option in options} == {context.id}
    kinds = {option.link.kind for option in options if option.link}
    # The opening of the chapter was said, so that nothing is said between the two this time, or it was not.
    assert kinds <= {LinkKind.ASK, LinkKind.SAME, LinkKind.REPLY}


def test_a_question_is_answered_by_the_other_presenter(rundown: Rundown) -> None:
    asked = 0
    for seed in range(30):
        lines = verify_script(SeededWriter().write(rundown.stories, seed=seed).texts, rundown.facts, rundown.period)
        for line, following in pairwise(lines):
            if line.pattern.startswith(("link:ask", "link:same", "link:other")):
                asked += 1
                assert following.speaker is not line.speaker
                assert following.fact is not None
    assert asked > 60


def test_the_presenters_take_turns_and_talk_to_each_other(rundown: Rundown) -> None:
    for seed in range(20):
        lines = verify_script(SeededWriter().write(rundown.stories, seed=seed).texts, rundown.facts, rundown.period)
        speakers = "".join(str(line.speaker)[0] for line in lines)
        assert "rrrrrr" not in speakers
        assert "ssssss" not in speakers
        said = Counter(line.speaker for line in lines)
        assert min(said[speaker] for speaker in Speaker) > len(lines) / 5
        assert [line.speaker for line in (lines[0], lines[1], lines[-2], lines[-1])] == [
            Speaker.RELAY, Speaker.STATIC, Speaker.STATIC, Speaker.RELAY
        ]  # fmt: skip


def test_chapters_begin_once_each_in_order(rundown: Rundown, sample: Store) -> None:
    lines = verify_script(
        SeededWriter().write(rundown.stories, seed=3).texts, rundown.facts, rundown.period, db=sample.db
    )
    assert [line.chapter for line in lines if line.chapter] == [
        "Opening", "What changed", "Findings", "The board", "The extremes", "Causes", "Fine print", "Closing"
    ]  # fmt: skip
