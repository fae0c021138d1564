"""What a node shows of a cell: its own word first, whatever the clocks of others say; and who disagrees."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from sample_record import SAMPLE_RECORD

from ppp.ledger.batches import encode_batch, mark_received
from ppp.ledger.node_verdicts import ReceivedRecord, choose_verdicts, read_verdicts
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.model.canonical import sha256_hex
from ppp.model.current import current_records
from ppp.model.record import Record, Result

OWN, PEER, OTHER = (NodeKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3))
NOW = 1_714_003_200


def from_peer(store: Store, key: NodeKey, *records: Record, now: int = NOW) -> None:
    data = encode_batch(key.id, records, {})
    batch = Batch(
        id=sha256_hex(data), data=data, node=key.id, signature=key.sign(data), records=tuple(records), logs={}
    )
    merge(store, batch, now=now)


def test_a_peer_cannot_replace_this_nodes_own_result(store: Store, record: Callable[..., Record]) -> None:
    ours = record(node=OWN.id, observed_at=NOW - 1000)
    theirs = record(node=PEER.id, observed_at=NOW + 100, result="FAIL")
    store.add_record(ours)
    from_peer(store, PEER, theirs)
    (found,) = read_verdicts(store.db, ours.release, own=OWN.id).values()
    assert found.shown == ours
    assert {r.id for r in found.by_node} == {ours.id, theirs.id}
    assert found.agreeing == 1
    (elsewhere,) = read_verdicts(store.db, ours.release, own=OTHER.id).values()
    assert elsewhere.shown == theirs


def test_a_record_is_no_newer_than_its_arrival(store: Store, record: Callable[..., Record]) -> None:
    honest = record(node=OTHER.id, observed_at=NOW + 50)
    ahead = record(node=PEER.id, observed_at=NOW + 100, result="FAIL")
    from_peer(store, PEER, ahead, now=NOW)
    from_peer(store, OTHER, honest, now=NOW + 60)
    (found,) = read_verdicts(store.db, honest.release, own=OWN.id).values()
    assert found.shown == honest


def test_the_first_arrival_counts(store: Store, record: Callable[..., Record]) -> None:
    one, two = record(node=PEER.id, observed_at=NOW + 100), record("other", node=PEER.id)
    from_peer(store, PEER, one, now=NOW)
    from_peer(store, PEER, one, two, now=NOW + 500)
    later = record(node=OTHER.id, observed_at=NOW + 1, result="FAIL")
    from_peer(store, OTHER, later, now=NOW + 2)
    (found,) = read_verdicts(store.db, one.release, own=None).values()
    assert found.shown == later


def test_an_error_of_this_node_hides_no_verdict_of_another(store: Store, record: Callable[..., Record]) -> None:
    theirs = record(node=PEER.id, observed_at=NOW - 50)
    store.add_record(record(node=OWN.id, observed_at=NOW, result="ERROR"))
    from_peer(store, PEER, theirs)
    (found,) = read_verdicts(store.db, theirs.release, own=OWN.id).values()
    assert (found.shown, found.by_node, found.agreeing) == (theirs, (theirs,), 1)


def test_a_batch_that_came_before_arrivals_were_stored(store: Store, record: Callable[..., Record]) -> None:
    theirs = record(node=PEER.id, observed_at=NOW)
    from_peer(store, PEER, theirs)
    store.db.execute("DELETE FROM receipts")
    (found,) = read_verdicts(store.db, theirs.release, own=OWN.id).values()
    assert found.shown == theirs


def test_marking_twice_keeps_the_first_time(store: Store, record: Callable[..., Record]) -> None:
    from_peer(store, PEER, record(node=PEER.id), now=NOW)
    (batch,) = store.db.execute("SELECT batch FROM batches").fetchone()
    mark_received(store.db, batch, now=NOW + 9)
    assert store.db.execute("SELECT received_at FROM receipts").fetchall() == [(NOW,)]


received = st.lists(
    st.builds(
        lambda node, result, at, arrived: ReceivedRecord(
            record=replace(SAMPLE_RECORD, node=node, result=result, observed_at=at), received_at=arrived
        ),
        st.sampled_from([OWN.id, PEER.id, OTHER.id]),
        st.sampled_from(Result),
        st.integers(NOW, NOW + 3),
        st.one_of(st.none(), st.integers(NOW - 1, NOW + 4)),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda r: r.record.id,
)


@given(received, st.randoms(use_true_random=False))
def test_what_is_shown_does_not_depend_on_the_order(records: list[ReceivedRecord], random: object) -> None:
    found = choose_verdicts(records, own=OWN.id)
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert choose_verdicts(shuffled, own=OWN.id) == found
    assert found.shown in [r.record for r in records]


@given(received)
def test_ones_own_verdict_is_shown_whatever_others_say(records: list[ReceivedRecord]) -> None:
    own = [r for r in records if r.record.node == OWN.id and r.record.result is not Result.ERROR]
    found = choose_verdicts(records, own=OWN.id)
    assert (found.shown.node == OWN.id) >= bool(own)
    assert all(r.result is not Result.ERROR for r in found.by_node)
    assert [r.node for r in found.by_node] == sorted({r.node for r in found.by_node})


@given(received)
def test_for_one_node_alone_it_is_what_is_current(records: Sequence[ReceivedRecord]) -> None:
    alone = [ReceivedRecord(record=replace(r.record, node=OWN.id), received_at=None) for r in records]
    (current,) = current_records(r.record for r in alone).values()
    assert choose_verdicts(alone, own=OWN.id).shown == current
