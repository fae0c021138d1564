"""Quarantines: each contradiction once, until a person ends it; and again if there is another one later."""

from dataclasses import replace

from ppp.ledger.quarantines import (
    Quarantine,
    add_quarantines,
    clear_quarantine,
    cleared_through,
    list_quarantines,
    quarantined,
)
from ppp.ledger.store import Store

ONE = Quarantine(node="ab" * 32, since=5, sequence=3, reason="it forked", source="cd" * 32)
LATER = replace(ONE, since=9, sequence=7)
OTHER = replace(ONE, node="ef" * 32, since=4)


def test_a_contradiction_is_stored_once_with_its_first_time(store: Store) -> None:
    assert add_quarantines(store, [ONE, OTHER]) == 2
    assert add_quarantines(store, [replace(ONE, since=8)]) == 0
    assert add_quarantines(store, [LATER]) == 1
    assert list_quarantines(store.db) == [OTHER, ONE, LATER]
    assert list_quarantines(store.db, ONE.node) == [ONE, LATER]
    assert quarantined(store.db) == {ONE.node: ONE, OTHER.node: OTHER}
    assert cleared_through(store.db) == {}


def test_a_person_ends_it_for_one_node(store: Store) -> None:
    add_quarantines(store, [ONE, LATER, OTHER])
    clear_quarantine(store, ONE.node, through=7, now=20)
    assert quarantined(store.db) == {OTHER.node: OTHER}
    assert cleared_through(store.db) == {ONE.node: 7}
    ended = [replace(q, cleared_at=20, cleared_through=7) for q in (ONE, LATER)]
    assert list_quarantines(store.db, ONE.node) == ended


def test_a_node_that_contradicts_itself_again_is_quarantined_again(store: Store) -> None:
    add_quarantines(store, [ONE])
    clear_quarantine(store, ONE.node, through=3, now=20)
    again = replace(ONE, since=30)
    assert add_quarantines(store, [again]) == 1
    assert quarantined(store.db) == {ONE.node: again}
    clear_quarantine(store, ONE.node, through=12, now=40)
    assert cleared_through(store.db) == {ONE.node: 12}
    assert [q.cleared_at for q in list_quarantines(store.db)] == [20, 40]
