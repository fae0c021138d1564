"""`current.json` is a function of the set of records: order, repetition and the way of merging do not matter."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_counts import build_current
from memory_store import store_in_memory

from ppp.ledger import published
from ppp.model.current import current_records
from ppp.model.record import Record, Result
from ppp.publish.api.current import current_bytes
from ppp.publish.feeds.entries import group_changes, overall_feed
from ppp.publish.feeds.rss import rss
from ppp.schemas import schema_errors

DAY = 1_714_003_200

#: Few of each, so that records share a cell, a time or a result.
observations = st.fixed_dictionaries(
    {
        "package": st.sampled_from(["six", "attrs"]),
        "version": st.sampled_from(["1.9", "1.10", "1.10rc1"]),
        "environment": st.sampled_from(["py39-slim", "py312-alpine"]),
        "result": st.sampled_from([str(result) for result in Result]),
        "observed_at": st.sampled_from([DAY - 1, DAY, DAY + 90_000]),
        "node": st.sampled_from(["ab" * 32, "cd" * 32]),
        "detail": st.sampled_from([None, "\u202e<b>]]>"]),
    }
)
many = st.lists(observations, max_size=12)
#: The record builder has no state, so all examples may share it.
steady = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def outputs(records: Sequence[Record]) -> tuple[bytes, bytes]:
    with store_in_memory(records) as store:
        feed = overall_feed(group_changes(published.verdict_changes(store.db)))
        xml = rss(feed, path="feed.xml", base_url="")
        return current_bytes(build_current(store.db)), xml


@steady
@given(made=many, data=st.data())
def test_the_order_does_not_matter(
    made: list[dict[str, Any]], data: st.DataObject, record: Callable[..., Record]
) -> None:
    records = [record(**fields) for fields in made]
    shuffled = data.draw(st.permutations(records))
    assert outputs(records) == outputs([*shuffled, *records[:2]])


@steady
@given(left=many, right=many)
def test_nodes_with_the_same_records_agree(
    left: list[dict[str, Any]],
    right: list[dict[str, Any]],
    record: Callable[..., Record],
) -> None:
    ours, theirs = [record(**fields) for fields in left], [record(**fields) for fields in right]
    assert outputs([*ours, *theirs]) == outputs([*theirs, *ours])


@steady
@given(made=many)
def test_counts_are_those_of_the_set(made: list[dict[str, Any]], record: Callable[..., Record]) -> None:
    records = {r.id: r for r in (record(**fields) for fields in made)}.values()
    with store_in_memory(records) as store:
        document = build_current(store.db)
    assert schema_errors("site/schemas/current.schema.json", document) == []
    best = current_records(records)
    expected = Counter(str(r.result) for r in best.values())
    assert {w: n for w, n in document["counts"]["results"].items() if n} == dict(expected)
    assert document["counts"]["records"] == sum(day["records"] for day in document["days"]) == len(records)
    assert {row["record"] for row in document["results"]} == {r.id for r in best.values()}
    assert document["as_of"] == max((r.observed_at for r in records), default=None)


@steady
@given(made=many, limit=st.integers(1, 4))
def test_the_newest_changes_are_those_of_the_feed(
    made: list[dict[str, Any]],
    limit: int,
    record: Callable[..., Record],
) -> None:
    with store_in_memory(record(**fields) for fields in made) as store:
        newest = published.newest_changes(store.db, limit)
        assert group_changes(newest, limit) == group_changes(published.verdict_changes(store.db), limit)
        assert len(group_changes(newest, limit + 1)) <= limit


@steady
@given(made=many, more=many)
def test_different_sets_have_different_roots(
    made: list[dict[str, Any]],
    more: list[dict[str, Any]],
    record: Callable[..., Record],
) -> None:
    ours, theirs = [record(**fields) for fields in made], [record(**fields) for fields in more]
    same = {r.id for r in ours} == {r.id for r in theirs}
    assert (outputs(ours)[0] == outputs(theirs)[0]) == same
