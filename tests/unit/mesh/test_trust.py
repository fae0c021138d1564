"""Trust is in keys: own, decided, a peer's, or shipped; whoever serves the batches."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppp.ledger.peers import list_peers
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add, distrust, remove, trust
from ppp.mesh.sync import SyncReport, UntrustedNode, sync
from ppp.mesh.trust import TrustSource, read_trusted_keys, shipped_keys, trust_sources, trusted_nodes
from ppp.model.errors import ConfigError, PeerError
from ppp.resources import resource

KEY = NodeKey.from_seed(b"k" * 32)
ONE, TWO = (NodeKey.from_seed(bytes([n]) * 32).id for n in (1, 2))
URL = "http://one.example/"
Node = Any


def sources(store: Store, *shipped: str) -> dict[str, str]:
    found = trust_sources(store.db, KEY.id, shipped)
    assert found.pop(KEY.id) is TrustSource.OWN
    return {node: source.name for node, source in found.items()}


def test_a_key_is_trusted_with_or_without_an_address(store: Store) -> None:
    assert sources(store) == {}
    add(store, KEY, URL, ONE, now=1)
    assert trust(store, KEY, TWO.upper(), now=2) == TWO
    assert sources(store) == {ONE: "PEER", TWO: "OPERATOR"}
    assert [peer.node for peer in list_peers(store.db)] == [ONE]


def test_a_decision_counts_more_than_the_shipped_list(store: Store) -> None:
    assert sources(store, ONE, TWO) == {ONE: "SHIPPED", TWO: "SHIPPED"}
    distrust(store, KEY, ONE, now=1)
    assert sources(store, ONE, TWO) == {TWO: "SHIPPED"}
    trust(store, KEY, ONE, now=2)
    assert sources(store) == {ONE: "OPERATOR"}


def test_distrust_ends_a_peer_until_it_is_added_again(store: Store) -> None:
    add(store, KEY, URL, ONE, now=1)
    trust(store, KEY, ONE, now=2)
    assert distrust(store, KEY, URL, now=3) == ONE
    assert sources(store, ONE) == {}
    assert list_peers(store.db) == []
    add(store, KEY, URL, ONE, now=4)
    assert sources(store) == {ONE: "PEER"}


def test_removing_a_peer_leaves_only_what_the_shipped_list_says(store: Store) -> None:
    add(store, KEY, URL, ONE, now=1)
    trust(store, KEY, ONE, now=2)
    remove(store, URL)
    assert sources(store) == {}
    assert sources(store, ONE) == {ONE: "SHIPPED"}


@pytest.mark.parametrize("change", [trust, distrust])
def test_a_node_always_trusts_itself(store: Store, change: Callable[..., str]) -> None:
    with pytest.raises(PeerError, match="own key"):
        change(store, KEY, KEY.id, now=1)
    with pytest.raises(PeerError, match=r"http://nobody\.example"):
        change(store, KEY, "http://nobody.example/", now=1)
    assert trusted_nodes(store.db, KEY.id, ()) == {KEY.id}


def test_a_list_of_keys_has_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"# whom we trust\n\n{ONE.upper()}  # one\n  {TWO}\n", "utf-8")
    assert read_trusted_keys(path) == {ONE, TWO}
    path.write_text("", "utf-8")
    assert read_trusted_keys(path) == frozenset()


@pytest.mark.parametrize("line", ["x", ONE[:-1], f"{ONE} {TWO}", "\udc00"])
def test_a_mistake_in_the_list_is_told_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys.txt"
    path.write_text(f"{ONE}\n{line}\n", "utf-8", "surrogatepass")
    with pytest.raises(ConfigError, match=r"keys\.txt, line 2: .* is not a key .a key is 64 hex digits") as told:
        read_trusted_keys(path)
    assert str(told.value).isprintable()
    with pytest.raises(ConfigError, match=r"cannot read .*an empty file trusts nobody"):
        read_trusted_keys(tmp_path / "absent.txt")
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than"):
        read_trusted_keys(path)


def test_the_founding_node_is_trusted_by_the_shipped_list() -> None:
    ledger = resource("matrices").parent / "data" / "ppp.db"
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as db:
        founders = {node for (node,) in db.execute("SELECT node FROM batches")}
    assert founders <= shipped_keys()


# One address, batches of several nodes.


@pytest.fixture
def mixed(node: Callable[[int], Node], record: Callable[..., Any]) -> tuple[Node, Node, Node]:
    """A node whose one peer publishes batches of its own and of a third node."""
    here, there, third = node(1), node(2), node(3)
    third.add(record("common", node=third.key.id))
    third.publish()
    there.add(record("other", node=there.key.id))
    there.trust(third)
    assert isinstance(sync(there.access, list_peers(there.store.db)[0], there.web, now=there.now), SyncReport)
    there.publish()
    here.trust(there)
    return here, there, third


def synced(here: Node, *shipped: str) -> SyncReport:
    access = replace(here.access, shipped=frozenset(shipped))
    report = sync(access, list_peers(here.store.db)[0], here.web, now=here.now)
    assert isinstance(report, SyncReport), report
    return report


def test_what_is_left_out_is_told_by_its_key_each_time(mixed: tuple[Node, Node, Node]) -> None:
    here, _, third = mixed
    for new in (1, 0):
        report = synced(here)
        assert (report.records, report.agree) == (new, False)
        assert report.untrusted == (UntrustedNode(node=third.key.id, batches=1, quarantined=False),)


def test_what_is_left_out_is_told_with_the_command_that_changes_it() -> None:
    left_out = UntrustedNode(node=ONE, batches=1, quarantined=False)
    assert str(left_out) == (
        f"left out: 1 batch of node {ONE}, which is not trusted here; `ppp peer trust {ONE}` changes that"
    )
    held = str(replace(left_out, batches=1200, quarantined=True))
    assert "1,200 batches" in held
    assert f"is quarantined here; `ppp peer clear {ONE}` changes that" in held


def test_a_key_that_is_trusted_later_is_merged_from_where_it_was_left_out(mixed: tuple[Node, Node, Node]) -> None:
    here, _, third = mixed
    synced(here)
    trust(here.store, here.key, third.key.id, now=here.now)
    report = synced(here)
    assert (report.records, report.untrusted, report.agree) == (1, (), True)


def test_the_shipped_list_is_enough(mixed: tuple[Node, Node, Node]) -> None:
    here, _, third = mixed
    report = synced(here, third.key.id)
    assert (report.records, report.untrusted, report.agree) == (2, (), True)


def test_nothing_of_a_distrusted_key_is_merged(mixed: tuple[Node, Node, Node]) -> None:
    here, _, third = mixed
    distrust(here.store, here.key, third.key.id, now=here.now)
    assert [each.node for each in synced(here, third.key.id).untrusted] == [third.key.id]
