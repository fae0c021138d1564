"""Trusted peers as rows of the ledger: statements, synchronization times and errors."""

import dataclasses
import sqlite3

import pytest

from ppp.ledger.peers import Peer, add_peer, delete_peer, list_peers, mark_sync_failed, mark_synced, save_peer_statement
from ppp.ledger.store import Store

ONE = Peer(node="ab" * 32, url="http://one.example/", added_at=2)
TWO = Peer(node="cd" * 32, url="http://two.example/", added_at=1)


def test_peers_are_listed_in_the_order_they_were_added(store: Store) -> None:
    add_peer(store, ONE)
    add_peer(store, TWO)
    assert list_peers(store.db) == [TWO, ONE]
    delete_peer(store, TWO.node)
    assert list_peers(store.db) == [ONE]


def test_updating_one_peer_does_not_change_another(store: Store) -> None:
    add_peer(store, ONE)
    add_peer(store, TWO)
    save_peer_statement(store, ONE.node, sequence=4, digest="ee" * 32, text="{}")
    mark_sync_failed(store, ONE.node, "it is down")
    seen = dataclasses.replace(ONE, sequence=4, digest="ee" * 32, statement="{}", sync_error="it is down")
    assert list_peers(store.db) == [TWO, seen]
    mark_synced(store, ONE.node, now=9)
    assert list_peers(store.db) == [TWO, dataclasses.replace(seen, sync_error=None, synced_at=9)]


def test_keys_and_addresses_of_peers_are_unique(store: Store) -> None:
    add_peer(store, ONE)
    for twin in (dataclasses.replace(TWO, node=ONE.node), dataclasses.replace(TWO, url=ONE.url)):
        with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            add_peer(store, twin)
    assert list_peers(store.db) == [ONE]
