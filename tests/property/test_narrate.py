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
from ppp.model.period import Period, PeriodKind
from ppp.model.record import Blame, Outcome, Phase, Record, Result, outcomes_in_order
from ppp.model.release import version_key
from ppp.narrate.director import Candidate, order
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact, weigh
from ppp.narrate.facts import Rundown, gather_facts, period_parameters, used_parameters
from ppp.narrate.queries.query import FactKind
from ppp.narrate.script import Progress, SeededWriter, renderings
from ppp.narrate.slots import SlotType, SlotValue
from ppp.narrate.verify import verify_script
from ppp.narrate.wordings import LINKS, PATTERNS

DAY_S = 86_400
PERIOD = Period.parse("2024-04-25")
ENVIRONMENTS = ("py39-slim", "py312-slim", "py39-alpine", "py312-alpine", "py311-host")

#: Names of packages and causes that look like words of our sentences, and so could change their meaning.
WORDS = sorted(
    {
        word
        for text in (*(pattern.text for pattern in PATTERNS), *(link.text for link in LINKS))
        for word in text.replace(",", " ").replace(";", " ").split()
        if word.isalpha()
    }
)
names = st.one_of(
    st.sampled_from(["all", "none", "no-fail", "and", "0", "2024-04-25", "py312-slim", *map(str.lower, WORDS)]),
    st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(lambda name: len(name) <= 40),
)
versions = st.sampled_from(["0", "1.0", "1.17.0", "2024.4.25", "1.0a1", "1!2.0.post1.dev3+local.7", "22"])
environments = st.sampled_from(ENVIRONMENTS)
lists = st.lists(environments, min_size=1, unique=True).map(tuple)
counts = st.one_of(st.integers(0, 3), st.integers(0, 10**7))
values: dict[SlotType, st.SearchStrategy[SlotValue]] = {
    SlotType.COUNT: counts,
    SlotType.PERCENT: st.integers(0, 1000).map(lambda permille: f"{permille / 10:.1f}"),
    SlotType.DECIMAL: st.integers(0, 10**6).map(lambda tenths: f"{tenths / 10:.1f}"),
    SlotType.DAY: st.just(PERIOD.id),
    SlotType.PERIOD: st.just(PERIOD.id),
    SlotType.UNIT: st.sampled_from(list(PeriodKind)).map(str),
    SlotType.PACKAGE: names,
    SlotType.PACKAGES: st.lists(names, min_size=1, max_size=5, unique=True).map(tuple),
    SlotType.VERSION: versions,
    SlotType.ENVIRONMENT: environments,
    SlotType.ENVIRONMENTS: lists,
    SlotType.ENVIRONMENT_NAMES: lists,
    SlotType.CAUSE: st.one_of(st.sampled_from(WORDS).map(str.lower), st.just("no-compiler")),
    SlotType.BLAME: st.sampled_from(list(Blame)).map(str),
}
KINDS: list[FactKind] = [kind for kind in FactKind if kind is not FactKind.LEFT_OUT and not FACT_QUERIES[kind].about]
MEANINGS: list[FactKind] = [kind for kind in FactKind if FACT_QUERIES[kind].about]


def build_fact(kind: FactKind, slots: dict[str, SlotValue]) -> Fact:
    query = FACT_QUERIES[kind]
    key = {name: value if isinstance(value := slots[name], int) else str(value) for name in query.key}
    params = used_parameters(query.fact_sql, {**period_parameters(PERIOD, ()), **key})
    id_ = "/".join([kind, *map(str, key.values())])
    return Fact(id=id_, kind=kind, slots=slots, sql=query.fact_sql, params=params, weight=weigh(query, slots))


@st.composite
def rundowns(draw: st.DrawFn) -> Rundown:
    """Facts of any kinds, each as the ledger could return it, without duplicates, some with what they mean."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
    headlines: dict[str, Fact] = {}
    told: set[object] = set()
    for kind in kinds:
        query = FACT_QUERIES[kind]
        fact = build_fact(kind, {name: draw(values[type_]) for name, type_ in query.slots.items()})
        # One release is in one headline, and a kind without a key has one fact.
        about = (fact.package, fact.slots.get("version")) if query.key and fact.package else fact.id
        if about not in told:
            told.add(about)
            headlines[fact.id] = fact
    context: dict[str, Candidate] = {}
    for headline in headlines.values():
        for meaning in draw(st.lists(st.sampled_from(MEANINGS), max_size=2, unique=True)):
            if headline.kind in FACT_QUERIES[meaning].about:
                slots = {name: draw(values[type_]) for name, type_ in FACT_QUERIES[meaning].slots.items()}
                slots |= {name: headline.slots[name] for name in ("package", "version") if name in slots}
                fact = build_fact(meaning, slots)
                context.setdefault(fact.id, Candidate(headline=headline, fact=fact))
    return Rundown(period=PERIOD, stories=order(headlines.values(), context.values()))


seeds = st.integers(0, 2**31 - 1)


@given(rundowns(), seeds)
def test_every_seed_s_script_verifies(rundown: Rundown, seed: int) -> None:
    texts = SeededWriter().write(rundown.stories, seed=seed).texts
    lines = verify_script(texts, rundown.facts, PERIOD)
    assert sorted(line.fact for line in lines if line.fact) == sorted(fact.id for fact in rundown.facts)


@given(rundowns(), st.randoms(use_true_random=False))
def test_whatever_is_chosen_among_the_options_verifies(rundown: Rundown, random: Any) -> None:
    # As a model may choose: any option at each step, and not as often one with a link as one without.
    progress = Progress(rundown.stories)
    while not progress.is_done:
        options = progress.options()
        texts = ["\n".join(option.texts) for option in options]
        assert len(set(texts)) == len(texts)
        progress.take(random.choice(options))
    ends = SeededWriter().write([], seed=random.randrange(2**31)).texts
    verify_script([*ends[:2], *progress.texts, *ends[2:]], rundown.facts, PERIOD)


def _change_digit(text: str, at: int, by: int) -> str:
    places = [place for place, character in enumerate(text) if character.isdigit()]
    place = places[at % len(places)]
    return f"{text[:place]}{(int(text[place]) + by) % 10}{text[place + 1 :]}"


@given(rundowns(), seeds, st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 9))
def test_a_changed_digit_is_rejected(rundown: Rundown, seed: int, line: int, at: int, by: int) -> None:
    texts = list(SeededWriter().write(rundown.stories, seed=seed).texts)
    numbered = [place for place, text in enumerate(texts) if any(c.isdigit() for c in text)]
    place = numbered[line % len(numbered)]
    texts[place] = _change_digit(texts[place], at, by)
    with pytest.raises(ScriptRejectedError):
        verify_script(texts, rundown.facts, PERIOD)


@given(
    rundowns(),
    seeds,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.one_of(names, st.sampled_from(WORDS), counts.map(str)),
)
def test_a_swapped_added_or_missing_word_is_rejected(
    rundown: Rundown, seed: int, line: int, at: int, word: str
) -> None:
    texts = list(SeededWriter().write(rundown.stories, seed=seed).texts)
    place = line % len(texts)
    words = texts[place].split(" ")
    here = at % len(words)
    licensed = {text for fact in rundown.facts for text in renderings(fact)} | {link.text for link in LINKS}
    for changed in ([word], [words[here], word], []):
        text = " ".join([*words[:here], *changed, *words[here + 1 :]])
        assume(text not in licensed)
        with pytest.raises(ScriptRejectedError, match=f"line {place + 1} "):
            verify_script([*texts[:place], text, *texts[place + 1 :]], rundown.facts, PERIOD)


@given(rundowns(), seeds, st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_dropped_or_repeated_fact_is_rejected(rundown: Rundown, seed: int, one: int, other: int) -> None:
    texts = list(SeededWriter().write(rundown.stories, seed=seed).texts)
    stated = [place for place, line in enumerate(verify_script(texts, rundown.facts, PERIOD)) if line.fact]
    i, j = stated[one % len(stated)], other % len(texts)
    for changed in ([*texts[:i], *texts[i + 1 :]], [*texts[: j + 1], texts[i], *texts[j + 1 :]]):
        with pytest.raises(ScriptRejectedError):
            verify_script(changed, rundown.facts, PERIOD)


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
@given(st.lists(observations, min_size=1, max_size=25), seeds, st.sampled_from(list(PeriodKind)))
def test_every_period_of_every_ledger_is_narrated_truthfully(
    record: Callable[..., Record], seen: list[dict[str, object]], seed: int, kind: PeriodKind
) -> None:
    records = [_record(record, **fields) for fields in seen]
    with store_in_memory(records) as store:
        for period in {Period.at(kind, r.observed_at) for r in records}:
            rundown = gather_facts(store.db, period)
            texts = SeededWriter().write(rundown.stories, seed=seed).texts
            verify_script(texts, rundown.facts, period, db=store.db)
            _compare(rundown.facts, records, period)


def _record(build: Callable[..., Record], *, imports_fail: object, **fields: Any) -> Record:
    result = fields["result"]
    if result in FAILURES and not (imports_fail and result is Result.FAIL):
        fields["outcomes"] = FAILURES[Result(result)]
    if result is Result.PASS:
        fields["cause"] = None
    return build(fields.pop("package"), fields.pop("version"), fields.pop("environment"), **fields)


def _compare(facts: tuple[Fact, ...], records: list[Record], period: Period) -> None:
    # The results of the SQL, compared with a few lines of Python on the same records.
    slots = {fact.kind: fact.slots for fact in facts}
    of_period = {r.id for r in records if period.start <= r.observed_at < period.end}
    latest = current_records(records)
    current = [r for r in latest.values() if r.id in of_period]
    assert slots[FactKind.OBSERVED]["observations"] == len(of_period)
    assert slots.get(FactKind.STANDING, {}).get("cells", 0) == len(current)
    assert slots.get(FactKind.OVERTAKEN, {}).get("observations", 0) == len(of_period) - len(current)
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
    for fact in facts:
        if fact.kind in {FactKind.NEWLY_BROKEN, FactKind.FIXED, FactKind.STREAK, FactKind.COMEBACK, FactKind.DEBUT}:
            _compare_history(fact, list(latest.values()))


def _compare_history(fact: Fact, latest: list[Record]) -> None:
    """Compare what a fact says of the releases before with the history of the package, by environment."""
    package, version = fact.package, str(fact.slots["version"])
    stated = fact.slots.get("environments")
    histories: list[list[Record]] = []
    for environment in stated if isinstance(stated, tuple) else ENVIRONMENTS:
        cells = [r for r in latest if r.release.package == package and r.environment == environment]
        cells.sort(key=lambda r: version_key(r.release.version))
        names = [r.release.version for r in cells]
        if version in names and names.index(version):
            histories.append(cells[: names.index(version) + 1])
    # What is said of "there" holds where the release was fixed.
    changed = [h for h in histories if (h[-2].result, h[-1].result) == (Result.FAIL, Result.PASS)]
    match fact.kind:
        case FactKind.NEWLY_BROKEN:
            assert {(h[-2].release.version, h[-2].result, h[-1].result) for h in histories} == {
                (fact.slots["before"], Result.PASS, Result.FAIL)
            }
        case FactKind.FIXED:
            assert changed == histories
        case FactKind.STREAK:
            count = fact.slots["releases"]
            assert isinstance(count, int)
            for history in histories:
                assert [r.result for r in history[-count:]] == [Result.FAIL] * count
                assert history[:-count] == [] or history[-count - 1].result is Result.PASS
        case FactKind.DEBUT:
            assert changed
            assert all({r.result for r in h[:-1]} == {Result.FAIL} for h in changed)
            assert {len(h) - 1 for h in changed} == {fact.slots["failed"]}
        case _:
            failed = fact.slots["failed"]
            assert isinstance(failed, int)
            assert changed
            for history in changed:
                assert [r.result for r in history[-failed - 1 : -1]] == [Result.FAIL] * failed
                assert (history[-failed - 2].release.version, history[-failed - 2].result) == (
                    fact.slots["since"],
                    Result.PASS,
                )
