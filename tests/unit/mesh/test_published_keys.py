"""What is shown of the keys at an address that nobody trusts yet."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.peers import list_peers
from ppp.mesh import published_keys
from ppp.mesh.published_keys import find_keys
from ppp.mesh.sync import sync
from ppp.model.errors import PeerError, RejectedDataError

DAY = 1_714_003_200
Node = Any


@pytest.fixture
def pair(node: Callable[[int], Node], record: Callable[..., Any]) -> tuple[Node, Node]:
    """A node that publishes batches of its own, with two records, and of another one, with three."""
    here, other = node(1), node(2)
    other.add(*(record(f"other-{n}", node=other.key.id) for n in range(3)))
    other.publish()
    here.trust(other)
    sync(here.access, list_peers(here.store.db)[0], here.web, now=here.now)
    here.add(record("one", node=here.key.id, observed_at=DAY + 5), record("two", node=here.key.id))
    here.publish()
    return here, other


def held(here: Node) -> list[tuple[str, int, int, int | None, int]]:
    found = find_keys(here.web, here.url)
    return [(key.node, key.batches, key.records, key.newest, key.invalid) for key in found.keys]


def test_each_key_is_shown_with_what_it_holds(pair: tuple[Node, Node]) -> None:
    here, other = pair
    assert held(here) == [(here.key.id, 1, 2, DAY + 5, 0), (other.key.id, 1, 3, DAY, 0)]
    found = find_keys(here.web, here.url)
    assert (found.node, found.listed, found.examined, found.failure) == (here.key.id, 2, 2, None)


def test_a_node_that_publishes_nothing_yet_is_shown(node: Callable[[int], Node]) -> None:
    here = node(1)
    here.publish()
    assert held(here) == [(here.key.id, 0, 0, None, 0)]


@pytest.mark.attack("history")
def test_a_batch_that_its_node_did_not_sign_counts_for_nobody(
    node: Callable[[int], Node], batch_document: Callable[..., dict[str, Any]]
) -> None:
    here, victim = node(1), node(2)
    here.batch(batch_document(victim.key))
    assert held(here) == [(here.key.id, 0, 0, None, 0), (victim.key.id, 0, 0, None, 1)]


@pytest.mark.attack("history")
def test_a_statement_in_another_nodes_name_is_rejected(pair: tuple[Node, Node]) -> None:
    here, other = pair
    here.web.files[f"{here.url}statement.json"] = here.statement(node=other.key.id)
    with pytest.raises(RejectedDataError, match=f"its signature is not that of node {other.key.id}"):
        find_keys(here.web, here.url)


@pytest.mark.attack("bounded-input")
def test_what_cannot_be_read_is_told_and_stops_nothing(pair: tuple[Node, Node]) -> None:
    here, _ = pair
    here.raw_batch(b"not JSON", "00" * 64)
    found = find_keys(here.web, here.url)
    assert (found.listed, found.examined) == (1, 0)
    assert "it names no node" in (found.failure or "")
    for url in [url for url in here.web.files if "/batches/" in url]:
        del here.web.files[url]
    assert "404" in (find_keys(here.web, here.url).failure or "")


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("limit", ["MAX_EXAMINED", "MAX_PACKED_BYTES", "MAX_UNPACKED_BYTES"])
def test_no_more_is_fetched_than_the_limits_allow(
    pair: tuple[Node, Node], limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = pair
    smallest = min(len(data) for url, data in here.web.files.items() if url.endswith(".json.gz"))
    monkeypatch.setattr(published_keys, limit, {"MAX_EXAMINED": 1, "MAX_PACKED_BYTES": smallest + 1}.get(limit, 1))
    here.web.requested.clear()
    found = find_keys(here.web, here.url)
    assert found.listed == 2
    assert found.examined <= 1
    assert sum(url.endswith(".json.gz") for url in here.web.requested) <= 1


def test_an_address_where_nothing_is_published(node: Callable[[int], Node]) -> None:
    here = node(1)
    with pytest.raises(PeerError, match="404"):
        find_keys(here.web, here.url)
