"""Adding and removing trusted peers."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.peers import Peer, list_peers
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add, find_peer, parse_url, remove
from ppp.mesh.sync import sync
from ppp.model.errors import PeerError

KEY = NodeKey.from_seed(b"k" * 32)
ONE = NodeKey.from_seed(b"1" * 32).id
TWO = NodeKey.from_seed(b"2" * 32).id


def test_peers_are_added_found_and_removed(store: Store) -> None:
    one = add(store, KEY, "https://one.example/ppp", ONE.upper(), now=5)
    two = add(store, KEY, "http://[200:1234::1]:8080/", TWO, now=6)
    assert one == Peer(node=ONE, url="https://one.example/ppp/", added_at=5)
    assert list_peers(store.db) == [one, two]
    assert (
        find_peer(store, ONE)
        == find_peer(store, "https://one.example/ppp")
        == find_peer(store, "https://one.example/ppp/")
        == one
    )
    assert remove(store, "http://[200:1234::1]:8080/") == two
    assert remove(store, ONE) == one
    assert list_peers(store.db) == []


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://Node.Example", "https://node.example/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://[200:6fc8:9220::1]:8080", "http://[200:6fc8:9220::1]:8080/"),
        ("https://user.github.example/Repo/", "https://user.github.example/Repo/"),
    ],
)
def test_a_url_of_a_web_root_is_normalized(text: str, url: str) -> None:
    assert parse_url(text) == url


@pytest.mark.attack("credentials")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "node.example",
        "ftp://node.example/",
        "file:///etc/passwd",
        "https://",
        "http://:80/",
        "http://[200::1/",
        "http://[zz]/",
        "http://node.example:99999/",
        "http://node.example:x/",
        "http://user:secret@node.example/",
        "http://node.example/?a=b",
        "http://node.example/#a",
        "http://node.example/a b",
        "http://node.example/\n",
        "http://node.example\\@evil.example/",
        "http://nöde.example/",
        "http://node.example/" + "a" * 500,
    ],
)
def test_an_invalid_url_is_reported(text: str, store: Store, dumped: Callable[..., str]) -> None:
    before = dumped(store.db)
    with pytest.raises(PeerError, match=r"such as https://node\.example/") as told:
        add(store, KEY, text, ONE, now=1)
    assert str(told.value).isprintable()
    assert dumped(store.db) == before


@pytest.mark.parametrize("key", ["", "ab", "zz" * 32, ONE + "0", ONE + "\n"])
def test_an_invalid_key_is_reported(key: str, store: Store) -> None:
    with pytest.raises(PeerError, match="a key is 64 hex digits"):
        add(store, KEY, "http://one.example/", key, now=1)


def test_a_node_cannot_be_its_own_peer(store: Store) -> None:
    with pytest.raises(PeerError, match="own key"):
        add(store, KEY, "http://one.example/", KEY.id, now=1)


def test_a_key_or_url_is_added_once(store: Store) -> None:
    add(store, KEY, "http://one.example/", ONE, now=1)
    with pytest.raises(PeerError, match=r"is already a peer, at http://one\.example/"):
        add(store, KEY, "http://two.example/", ONE, now=1)
    with pytest.raises(PeerError, match=f"already belongs to the peer {ONE}"):
        add(store, KEY, "http://One.example", TWO, now=1)


def test_an_unknown_peer_cannot_be_removed(store: Store) -> None:
    with pytest.raises(PeerError, match=r"'x\\n' is not a peer .*ppp peer list"):
        remove(store, "x\n")


def test_removing_a_peer_keeps_its_records(node: Callable[[int], Any], record: Callable[..., Any]) -> None:
    here, there = node(1), node(2)
    there.add(record(node=there.key.id))
    there.publish()
    sync(here.access, here.trust(there), here.web, now=here.now)
    before = here.dump()
    remove(here.store, there.url)
    assert here.dump() == before
