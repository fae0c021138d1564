"""Scripts over random ledgers all pass the verifier, and every lie in one is caught: a few here, thousands on request.

`PPP_SCRIPTS=10000 python -m pytest tests/unit/narrate/test_many_scripts.py` writes so many, and as many lies.
"""

import os
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from random_ledgers import MONDAY, MUTATIONS, mutate, random_ledger

from ppp.model.errors import ScriptRejectedError
from ppp.model.period import Period, PeriodKind
from ppp.model.record import Record
from ppp.narrate.facts import gather_facts
from ppp.narrate.script import SeededWriter
from ppp.narrate.verify import verify_script

#: How many scripts are written, of how many each ledger's two periods have; in how many scripts lies are told.
SCRIPTS = int(os.environ.get("PPP_SCRIPTS", "300"))
PER_LEDGER = 20
LEDGERS = max(12, SCRIPTS // 100)

pytestmark = pytest.mark.heavy


def periods(seed: int) -> list[Period]:
    """Return a night, and its week."""
    at = MONDAY + Random(seed).randrange(8) * 86_400
    return [Period.at(kind, at) for kind in PeriodKind]


def test_every_script_over_random_ledgers_is_verified(record: Callable[..., Record]) -> None:
    written: set[tuple[str, ...]] = set()
    kinds: Counter[str] = Counter()
    for seed in range(SCRIPTS // PER_LEDGER):
        with random_ledger(seed, record) as store:
            for period in periods(seed):
                rundown = gather_facts(store.db, period)
                kinds.update(fact.kind for fact in rundown.facts)
                for place in range(PER_LEDGER // 2):
                    texts = SeededWriter().write(rundown.stories, seed=seed * PER_LEDGER + place).texts
                    # The queries do not depend on the words: once for a period is enough.
                    db = None if place else store.db
                    lines = verify_script(texts, rundown.facts, period, db=db)
                    assert sorted(line.fact for line in lines if line.fact) == sorted(f.id for f in rundown.facts)
                    written.add(texts)
    assert len(written) > SCRIPTS * 0.9
    assert len(kinds) > 25, kinds


@pytest.mark.attack("inert-text")
def test_every_lie_in_a_true_script_is_caught(record: Callable[..., Record]) -> None:
    caught: Counter[str] = Counter()
    for seed in range(LEDGERS):
        random = Random(seed)
        with random_ledger(seed, record) as store:
            period = periods(seed)[seed % 2]
            rundown = gather_facts(store.db, period)
        for kind in MUTATIONS:
            texts = SeededWriter().write(rundown.stories, seed=seed).texts
            verify_script(texts, rundown.facts, period)
            for lie in filter(None, [mutate(random, texts, rundown, kind) for _ in range(2)]):
                with pytest.raises(ScriptRejectedError):
                    verify_script(lie, rundown.facts, period)
                caught[kind] += 1
    assert set(caught) == set(MUTATIONS), caught
    assert caught.total() > LEDGERS * len(MUTATIONS), caught
