"""The current record: the same for a set of records in any order, in the model and in the ledger."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger import queries
from ppp.model.current import current_rank, current_records
from ppp.model.record import Blame, Outcome, Record, Result
from ppp.model.release import Release


def observation(  # noqa: PLR0917 - drawn in this order
    version: str, environment: str, result: Result, observed_at: int, node: str, detail: str
) -> Record:
    blame = None if result is Result.PASS else Blame.UNKNOWN
    outcomes = (Outcome.FAIL, *SAMPLE_RECORD.outcomes[1:]) if blame else SAMPLE_RECORD.outcomes
    return replace(
        SAMPLE_RECORD,
        release=Release(package="six", version=version),
        environment=environment,
        result=result,
        outcomes=outcomes,
        observed_at=observed_at,
        node=node * 32,
        blame=blame,
        detail=detail,
    )


# Few values, so that observations share a cell: at the same second, by two nodes, with and without an error.
records = st.builds(
    observation,
    st.sampled_from(["1.0", "1.1"]),
    st.sampled_from(["py39-slim", "py312-alpine"]),
    st.sampled_from(Result),
    st.integers(100, 102),
    st.sampled_from(["ab", "cd"]),
    st.sampled_from(["one", "two"]),
)


@given(st.lists(records, max_size=12, unique_by=lambda r: r.id))
def test_the_rank_is_a_total_order(drawn: list[Record]) -> None:
    ranked = sorted(drawn, key=current_rank)
    assert all(current_rank(a) < current_rank(b) for a, b in pairwise(ranked))


@given(records, records)
def test_a_verdict_ranks_above_an_error_and_newer_above_older(one: Record, other: Record) -> None:
    errors = [r.result is Result.ERROR for r in (one, other)]
    if errors[0] != errors[1]:
        assert (current_rank(one) > current_rank(other)) == errors[1]
    elif one.observed_at != other.observed_at:
        assert (current_rank(one) > current_rank(other)) == (one.observed_at > other.observed_at)
    else:
        assert (current_rank(one) > current_rank(other)) == (one.id > other.id)


@given(st.lists(records, max_size=12), st.randoms(use_true_random=False))
def test_what_is_current_does_not_depend_on_the_order(drawn: list[Record], random: object) -> None:
    before = current_records(drawn)
    shuffled = [*drawn, *drawn[:3]]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert current_records(shuffled) == before
    assert set(before) == {(r.release, r.environment) for r in drawn}


@settings(max_examples=25)
@given(st.lists(records, max_size=12))
def test_the_ledger_agrees_with_the_model(drawn: list[Record]) -> None:
    with store_in_memory() as store:
        seen: list[Record] = []
        for record in drawn:
            assert store.add_record(record) == (record not in seen)
            seen.append(record)
        rows = store.db.query("SELECT c.* FROM results AS r JOIN records AS c ON c.record = r.record")
        stored = {(r.release, r.environment): r for r in map(queries.record_from_row, rows)}
        assert stored == current_records(drawn)
        assert {r.id for r in queries.read_records(store.db)} == {r.id for r in drawn}
