"""Merging is set union: whatever the order, the grouping and the repetition, nodes end with the same ledger."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_counts import build_current
from memory_store import store_in_memory

from ppp.ledger.batches import encode_batch, ledger_root, list_batches, read_batch
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.current import current_records
from ppp.model.record import Record
from ppp.publish.api.current import current_bytes

KEYS = {key.id: key for key in (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))}
NOW = 1_714_089_600
LOGS = {sha256_hex(text.encode()): text for text in ("one", "two", "")}

#: Few packages, times and environments, so that records share cells; its choices identify a record.
CHOICES = st.tuples(
    st.sampled_from(["alpha", "beta", "gamma"]),
    st.sampled_from(["1.0", "1.0.post1", "2.0rc1"]),
    st.sampled_from(["py39-slim", "py312-alpine"]),
    st.sampled_from(["PASS", "FAIL", "TIMEOUT", "ERROR", "NA"]),
    st.integers(min_value=NOW - 3, max_value=NOW),
    st.sampled_from(sorted(KEYS)),
    st.sampled_from([None, *sorted(LOGS)]),
)
Choice = tuple[str, str, str, str, int, str, str | None]
MakeRecord = Callable[..., Record]


def built(record: MakeRecord, choices: Sequence[Choice]) -> list[Record]:
    return [
        record(package, version, environment, result=result, observed_at=at, node=node, log_sha256=log)
        for package, version, environment, result, at, node, log in choices
    ]


def batched(records: Sequence[Record], sizes: Sequence[int]) -> list[Batch]:
    """Group records by node into batches of the given sizes in turn; a batch is verified as if it came from a peer."""
    made: list[Batch] = []
    for node, key in KEYS.items():
        rest = [r for r in {r.id: r for r in records}.values() if r.node == node]
        turn = 0
        while rest:
            size = sizes[turn % len(sizes)]
            share, rest, turn = rest[:size], rest[size:], turn + 1
            data = encode_batch(node, share, {r.log_sha256: LOGS[r.log_sha256] for r in share if r.log_sha256})
            found = verify_batch(data, key.sign(data), batch_id=sha256_hex(data), trusted=KEYS, now=NOW)
            assert isinstance(found, Batch)
            made.append(found)
    return made


def dump(store: Store, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    names = [n for n in store.db.table_names() if n not in without and not n.startswith("_sqlite")]
    return {name: sorted(json.dumps(row, default=bytes.hex) for row in store.db.table(name).rows) for name in names}


def published_current(store: Store) -> bytes:
    return current_bytes(build_current(store.db))


def merged(groups: Sequence[Batch]) -> dict[str, Any]:
    with store_in_memory() as store:
        for batch in groups:
            merge(store, batch, now=NOW)
        return dump(store)


given_records = st.lists(CHOICES, max_size=12)
given_sizes = st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=3)
# The record builder of the fixture has no state, so all examples may share it.
steady = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@steady
@given(choices=given_records, sizes=given_sizes, data=st.data())
def test_order_and_repetition_do_not_matter(
    record: MakeRecord, choices: list[Choice], sizes: list[int], data: st.DataObject
) -> None:
    groups = batched(built(record, choices), sizes)
    shuffled = data.draw(st.permutations(groups))
    again = data.draw(st.lists(st.sampled_from(groups), max_size=4)) if groups else []
    assert merged(groups) == merged([*shuffled, *again])


@steady
@given(choices=given_records, sizes=given_sizes, other_sizes=given_sizes)
def test_the_grouping_does_not_matter(
    record: MakeRecord, choices: list[Choice], sizes: list[int], other_sizes: list[int]
) -> None:
    records = built(record, choices)
    how_it_came = frozenset({"batches", "batch_files", "batch_records", "receipts"})
    with store_in_memory() as one, store_in_memory() as other:
        for store, groups in ((one, batched(records, sizes)), (other, batched(records, other_sizes))):
            for batch in groups:
                merge(store, batch, now=NOW)
        assert dump(one, without=how_it_came) == dump(other, without=how_it_came)
        assert ledger_root(one.db) == ledger_root(other.db) == build_current(one.db)["root"]
        assert published_current(one) == published_current(other)


@steady
@given(choices=st.lists(CHOICES, min_size=1, max_size=12), sizes=given_sizes, cuts=st.lists(st.booleans(), max_size=24))
def test_nodes_that_exchange_batches_end_with_the_same(
    record: MakeRecord, choices: list[Choice], sizes: list[int], cuts: list[bool]
) -> None:
    groups = batched(built(record, choices), sizes)
    with store_in_memory() as one, store_in_memory() as other:
        for batch, first in zip(groups, [*cuts, *[True] * len(groups)], strict=False):
            merge(one if first else other, batch, now=NOW)
        for source, target in ((one, other), (other, one)):
            for sealed in list_batches(source.db):
                data = read_batch(source.db, sealed.id)
                found = verify_batch(data, sealed.signature, batch_id=sealed.id, trusted=KEYS, now=NOW)
                assert isinstance(found, Batch)
                merge(target, found, now=NOW)
        assert dump(one) == dump(other) == merged(groups)
        assert published_current(one) == published_current(other)


@steady
@given(choices=given_records, sizes=given_sizes)
def test_what_is_current_is_a_function_of_the_set(record: MakeRecord, choices: list[Choice], sizes: list[int]) -> None:
    records = built(record, choices)
    best = current_records(records)
    with store_in_memory() as store:
        for batch in batched(records, sizes):
            merge(store, batch, now=NOW)
        rows = store.db.execute("SELECT package, version, environment, record FROM results").fetchall()
    assert {(p, v, e): r for p, v, e, r in rows} == {
        (release.package, release.version, environment): found.id for (release, environment), found in best.items()
    }
