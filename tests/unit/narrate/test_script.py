"""The seeded writer: the same for a seed on any machine, different for other seeds, and varied in its wordings."""

import subprocess
import sys

import pytest

from ppp.ledger.store import Store
from ppp.narrate.fact_queries import FactKind
from ppp.narrate.facts import Fact, gather_facts, resolve_period
from ppp.narrate.script import SEEDED, SeededWriter, renderings
from ppp.narrate.verify import verify_script


def crash(package: str) -> Fact:
    slots: dict[str, str | tuple[str, ...]] = {
        "package": package,
        "version": "1.0",
        "cause": "crash",
        "environments": ("py39-slim",),
    }
    return Fact(id=package, kind=FactKind.PHANTOM_SUCCESS, slots=slots, sql="", params={})


#: Writes what the test itself writes, in another interpreter.
ELSEWHERE = """
from ppp.narrate.facts import Fact
from ppp.narrate.fact_queries import FactKind
from ppp.narrate.script import SeededWriter
facts = [Fact(id=str(n), kind=FactKind.FAILED, slots={"cells": n, "total": 99}, sql="", params={}) for n in range(9)]
print(*SeededWriter().write(facts, seed=5).texts, sep="\\n")
"""


@pytest.mark.parametrize("salt", ["1", "2"])
def test_a_seed_results_in_the_same_text_in_every_process(salt: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], env={"PYTHONHASHSEED": salt}, capture_output=True, text=True, check=True
    )
    facts = [
        Fact(id=str(n), kind=FactKind.FAILED, slots={"cells": n, "total": 99}, sql="", params={}) for n in range(9)
    ]
    assert tuple(done.stdout.splitlines()) == SeededWriter().write(facts, seed=5).texts


def test_seeds_differ(sample: Store) -> None:
    facts = gather_facts(sample.db, resolve_period(sample.db, None))
    assert len({SeededWriter().write(facts, seed=seed).texts for seed in range(20)}) >= 19


def test_a_draft_names_its_writer_and_states_each_fact_once(sample: Store) -> None:
    facts = gather_facts(sample.db, resolve_period(sample.db, None))
    draft = SeededWriter().write(facts, seed=1)
    assert (draft.writer, draft.fallback) == (SEEDED, None)
    assert all(text in renderings(fact) for text, fact in zip(draft.texts, facts, strict=True))


def test_no_wording_is_repeated_while_others_are_left() -> None:
    facts = [crash(f"lib-{number}") for number in range(3)]
    for seed in range(10):
        texts = SeededWriter().write(facts, seed=seed).texts
        assert len({text.replace(fact.id, "it") for text, fact in zip(texts, facts, strict=True)}) == 3


def test_wordings_are_repeated_if_there_are_more_facts_than_wordings() -> None:
    facts = [crash(f"lib-{number}") for number in range(8)]
    assert len(SeededWriter().write(facts, seed=0).texts) == 8


def test_the_presenters_take_turns(sample: Store) -> None:
    facts = gather_facts(sample.db, resolve_period(sample.db, None))
    for seed in range(20):
        lines = verify_script(SeededWriter().write(facts, seed=seed).texts, facts, resolve_period(sample.db, None))
        speakers = "".join(str(line.speaker)[0] for line in lines)
        # Only the very first fact has no wording for the second presenter.
        assert "rrr" not in speakers
        assert "sss" not in speakers
