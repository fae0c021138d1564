"""Narration, for any facts, seeds and names: what is written passes verification, and what is changed is rejected."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory

from ppp.model.current import current_records
from ppp.model.errors import ScriptRejectedError
from ppp.model.period import Period
from ppp.model.record import Outcome, Phase, Record, Result, outcomes_in_order
from ppp.narrate.fact_queries import FACT_QUERIES, FactKind, SlotType
from ppp.narrate.facts import Fact, SlotValue, gather_facts, resolve_period
from ppp.narrate.grammar import build_grammar, grammar_errors
from ppp.narrate.patterns import PATTERNS
from ppp.narrate.script import SeededWriter, renderings
from ppp.narrate.verify import verify_script

DAY_S = 86_400
PERIOD = Period.parse("2024-04-25")
ENVIRONMENTS = ("py39-slim", "py312-slim", "py39-alpine", "py312-alpine", "py311-host")

#: Names of packages and causes that look like words of our sentences, and so could change their meaning.
WORDS = sorted(
    {word for p in PATTERNS for word in p.text.replace(",", " ").replace(";", " ").split() if word.isalpha()}
)
names = st.one_of(
    st.sampled_from(["all", "none", "no-fail", "and", "0", "2024-04-25", "py312-slim", *map(str.lower, WORDS)]),
    st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(lambda name: len(name) <= 40),
)
versions = st.sampled_from(["0", "1.0", "1.17.0", "2024.4.25", "1.0a1", "1!2.0.post1.dev3+local.7", "22"])
environments = st.sampled_from(ENVIRONMENTS)
counts = st.one_of(st.integers(0, 3), st.integers(0, 10**7))
values: dict[SlotType, st.SearchStrategy[SlotValue]] = {
    SlotType.COUNT: counts,
    SlotType.PERCENT: st.integers(0, 1000).map(lambda permille: f"{permille / 10:.1f}"),
    SlotType.DAY: st.just(PERIOD.id),
    SlotType.PACKAGE: names,
    SlotType.PACKAGES: st.lists(names, min_size=1, max_size=5, unique=True).map(tuple),
    SlotType.VERSION: versions,
    SlotType.ENVIRONMENT: environments,
    SlotType.ENVIRONMENTS: st.lists(environments, min_size=1, unique=True).map(tuple),
    SlotType.CAUSE: st.one_of(st.sampled_from(WORDS).map(str.lower), st.just("no-compiler")),
}


@st.composite
def facts(draw: st.DrawFn) -> tuple[Fact, ...]:
    """Facts of any kinds, each as the ledger could return it, without duplicates."""
    kinds = draw(
        st.lists(st.sampled_from([kind for kind in FactKind if kind is not FactKind.LEFT_OUT]), min_size=1, max_size=12)
    )
    given_: dict[str, Fact] = {}
    for kind in sorted(kinds, key=list(FactKind).index):
        question = FACT_QUERIES[kind]
        slots = {name: draw(values[type_]) for name, type_ in question.slots.items()}
        key = {name: str(slots[name]) for name in question.key}
        params: dict[str, int | str] = {"start": PERIOD.start, "end": PERIOD.end, **key}
        id_ = "/".join([kind, *key.values()])
        given_[id_] = Fact(id=id_, kind=kind, slots=slots, sql=question.fact_sql, params=params)
    return tuple(given_.values())


seeds = st.integers(0, 2**31 - 1)


@given(facts(), seeds)
def test_every_seed_s_script_verifies(facts: tuple[Fact, ...], seed: int) -> None:
    texts = SeededWriter().write(facts, seed=seed).texts
    lines = verify_script(texts, facts, PERIOD)
    assert [(line.fact, line.text) for line in lines] == [(f.id, t) for f, t in zip(facts, texts, strict=True)]


@given(facts())
def test_every_rendering_is_licensed_and_every_grammar_well_formed(facts: tuple[Fact, ...]) -> None:
    lines = [renderings(fact) for fact in facts]
    assert grammar_errors(build_grammar(lines)) == []
    for fact, choices in zip(facts, lines, strict=True):
        for choice in choices:
            verify_script([choice], [fact], PERIOD)


def _change_digit(text: str, at: int, by: int) -> str:
    places = [place for place, character in enumerate(text) if character.isdigit()]
    assume(places)
    place = places[at % len(places)]
    return f"{text[:place]}{(int(text[place]) + by) % 10}{text[place + 1 :]}"


@given(facts(), seeds, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 9))
def test_a_changed_digit_is_rejected(facts: tuple[Fact, ...], seed: int, line: int, at: int, by: int) -> None:
    texts = list(SeededWriter().write(facts, seed=seed).texts)
    place = line % len(texts)
    texts[place] = _change_digit(texts[place], at, by)
    with pytest.raises(ScriptRejectedError, match=f"line {place + 1} "):
        verify_script(texts, facts, PERIOD)


@given(
    facts(),
    seeds,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.one_of(names, st.sampled_from(WORDS), counts.map(str)),
)
def test_a_swapped_added_or_missing_word_is_rejected(
    facts: tuple[Fact, ...], seed: int, line: int, at: int, word: str
) -> None:
    assume(facts)
    texts = list(SeededWriter().write(facts, seed=seed).texts)
    place = line % len(texts)
    words = texts[place].split(" ")
    here = at % len(words)
    for changed in ([word], [words[here], word], []):
        text = " ".join([*words[:here], *changed, *words[here + 1 :]])
        assume(text not in renderings(facts[place]))
        with pytest.raises(ScriptRejectedError, match=f"line {place + 1} "):
            verify_script([*texts[:place], text, *texts[place + 1 :]], facts, PERIOD)


@given(facts(), seeds, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_dropped_repeated_or_moved_line_is_rejected(facts: tuple[Fact, ...], seed: int, one: int, other: int) -> None:
    texts = list(SeededWriter().write(facts, seed=seed).texts)
    i, j = one % len(texts), other % len(texts)
    moved = list(texts)
    moved[i], moved[j] = moved[j], moved[i]
    for changed in ([*texts[:i], *texts[i + 1 :]], [*texts[: j + 1], texts[i], *texts[j + 1 :]], moved):
        if changed != texts:
            with pytest.raises(ScriptRejectedError):
                verify_script(changed, facts, PERIOD)


FAILURES = {
    Result.FAIL: outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.FAIL}),
    Result.TIMEOUT: outcomes_in_order({Phase.DOWNLOAD: Outcome.TIMEOUT}),
    Result.ERROR: outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR}),
}
observations = st.fixed_dictionaries(
    {
        "package": st.sampled_from(["all", "none", "six"]),
        "version": st.sampled_from(["1.0", "1.0.post1", "2.0rc1", "2.0"]),
        "environment": environments,
        "result": st.sampled_from(list(Result)),
        "cause": st.sampled_from(["crash", "no-compiler", "unclassified", None]),
        "observed_at": st.sampled_from([PERIOD.start - 1, PERIOD.start, PERIOD.end - 1, PERIOD.end]),
        "standin": st.booleans(),
        "imports_fail": st.booleans(),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(observations, min_size=1, max_size=25), seeds)
def test_every_day_of_every_ledger_is_narrated_truthfully(
    record: Callable[..., Record], seen: list[dict[str, object]], seed: int
) -> None:
    records = [_record(record, **fields) for fields in seen]
    with store_in_memory(records) as store:
        for day in {resolve_period(store.db, None).id, *_days(records)}:
            period = resolve_period(store.db, day)
            facts = gather_facts(store.db, period)
            verify_script(SeededWriter().write(facts, seed=seed).texts, facts, period, db=store.db)
            assert len(facts) <= 22
            _compare(facts, records, period)


def _record(build: Callable[..., Record], *, imports_fail: object, **fields: Any) -> Record:
    result = fields["result"]
    if result in FAILURES and not (imports_fail and result is Result.FAIL):
        fields["outcomes"] = FAILURES[Result(result)]
    if result is Result.PASS:
        fields["cause"] = None
    return build(fields.pop("package"), fields.pop("version"), fields.pop("environment"), **fields)


def _days(records: list[Record]) -> set[str]:
    return {
        "2024-04-24" if r.observed_at < PERIOD.start else PERIOD.id if r.observed_at < PERIOD.end else "2024-04-26"
        for r in records
    }


def _compare(facts: tuple[Fact, ...], records: list[Record], period: Period) -> None:
    # The results of the SQL, compared with a few lines of Python on the same records.
    slots = {fact.kind: fact.slots for fact in facts}
    of_day = {r.id for r in records if period.start <= r.observed_at < period.end}
    current = [r for r in current_records(records).values() if r.id in of_day]
    assert slots[FactKind.OBSERVED]["observations"] == len(of_day)
    assert slots.get(FactKind.STANDING, {}).get("cells", 0) == len(current)
    assert slots.get(FactKind.OVERTAKEN, {}).get("observations", 0) == len(of_day) - len(current)
    results = Counter(r.result for r in current)
    kinds = {
        FactKind.FAILED: Result.FAIL,
        FactKind.PASSED: Result.PASS,
        FactKind.TIMED_OUT: Result.TIMEOUT,
        FactKind.ERRED: Result.ERROR,
        FactKind.NOT_CLAIMED: Result.NA,
    }
    assert {r: slots[kind]["cells"] for kind, r in kinds.items() if kind in slots} == results
    unclear = sum(r.result is Result.FAIL and r.cause in {None, "unclassified"} for r in current)
    assert slots.get(FactKind.UNCLASSIFIED, {}).get("cells", 0) == unclear
    assert slots.get(FactKind.STANDIN, {}).get("cells", 0) == sum(r.standin for r in current)
