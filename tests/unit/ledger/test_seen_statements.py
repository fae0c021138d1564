"""Statements that were seen: each once, the newest of a node, and no more than a limit."""

from dataclasses import replace

from ppp.ledger.seen_statements import MAX_SEEN, SeenStatement, add_seen, forget_seen, newest_seen, seen_statements
from ppp.ledger.store import Store

ONE = SeenStatement(node="ab" * 32, sequence=1, digest="11" * 32, text="one", source="cd" * 32, seen_at=5)
FORK = replace(ONE, digest="22" * 32, text="another")
OTHER = replace(ONE, node="ef" * 32, sequence=9)


def test_a_statement_is_stored_once_with_who_showed_it_first(store: Store) -> None:
    assert add_seen(store, [OTHER, ONE, ONE]) == 2
    assert add_seen(store, [replace(ONE, source="ff" * 32, seen_at=8), FORK]) == 1
    assert seen_statements(store.db, ONE.node) == [ONE, FORK]
    assert seen_statements(store.db, OTHER.node) == [OTHER]


def test_the_newest_of_each_node(store: Store) -> None:
    add_seen(store, [replace(ONE, sequence=12, text="newest"), ONE, OTHER])
    assert [(s.node, s.sequence) for s in newest_seen(store.db)] == [(ONE.node, 12), (OTHER.node, 9)]
    add_seen(store, [replace(FORK, sequence=12)])
    assert [s.node for s in newest_seen(store.db)] == [ONE.node, OTHER.node], "one of each, also after a fork"


def test_only_the_newest_are_kept(store: Store) -> None:
    add_seen(store, [OTHER, *(replace(ONE, sequence=n) for n in range(1, MAX_SEEN + 21))])
    numbers = [s.sequence for s in seen_statements(store.db, ONE.node)]
    assert numbers == list(range(21, MAX_SEEN + 21))
    add_seen(store, [replace(ONE, sequence=3)])
    assert [s.sequence for s in seen_statements(store.db, ONE.node)] == numbers
    assert seen_statements(store.db, OTHER.node) == [OTHER]


def test_a_node_is_forgotten(store: Store) -> None:
    add_seen(store, [ONE, FORK, OTHER])
    forget_seen(store, ONE.node)
    assert seen_statements(store.db, ONE.node) == []
    assert seen_statements(store.db, OTHER.node) == [OTHER]
