"""A state that is lost, or older than what was published, is noticed; what was published makes the ledger again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import pytest
from memory_store import store_in_memory
from memory_transport import MemoryTransport
from mesh_nodes import NOW, MeshNode, chain_of, dump, mesh_nodes

from ppp.ledger.batches import ledger_root
from ppp.ledger.statements import newest_statement, statement_files
from ppp.ledger.store import Store
from ppp.mesh.fetch import UnavailableFileError
from ppp.mesh.node import NodeKey
from ppp.model.errors import PeerError, PPPError, RejectedDataError, StateError
from ppp.model.record import Record
from ppp.state.published import Recovered, add_chain, check_published, fetch_chain, fetch_published, recover

PEER: Final = NodeKey.from_seed(b"\2" * 32)
MakeRecord = Callable[..., Record]
Damage = Callable[[MeshNode, str], None]


@pytest.fixture(scope="module", name="publisher")
def _publisher(tmp_path_factory: pytest.TempPathFactory, record: MakeRecord) -> Iterator[MeshNode]:
    """A node that has published three times, and holds a batch of a peer."""
    with mesh_nodes(tmp_path_factory.mktemp("nodes"), MemoryTransport()) as make:
        one, peer = make(1), make(2)
        peer.add(record("theirs", node=peer.key.id))
        peer.publish()
        for number in range(3):
            one.now = NOW + number
            one.add(record(f"p{number}", node=one.key.id))
            one.publish(**{name.replace("/", "__"): data for name, data in peer.batches().items()})
        yield one


@pytest.fixture
def web(publisher: MeshNode) -> MemoryTransport:
    """What it published: each test may change it."""
    return MemoryTransport(files=dict(publisher.web.files))


@pytest.fixture
def node(publisher: MeshNode, web: MemoryTransport) -> MeshNode:
    return replace(publisher, web=web)


@pytest.fixture
def empty() -> Iterator[Store]:
    """The ledger of a machine that has no state."""
    with store_in_memory() as store:
        yield store


def compare(node: MeshNode, web: MemoryTransport, store: Store) -> None:
    check_published(store.db, fetch_published(web, node.url, own=node.key.id), url=node.url)


def get_back(node: MeshNode, web: MemoryTransport, store: Store, *others: str) -> Recovered:
    trusted = frozenset({node.key.id, *others})
    return recover(store, web, node.url, own=node.key.id, trusted=lambda _: trusted, now=NOW + 99)


def older(node: MeshNode, store: Store, number: int) -> None:
    """Put the first statements of a node into a ledger, as an old state has them."""
    rows = node.store.db.execute("SELECT * FROM statements WHERE sequence <= ?", (number,)).fetchall()
    store.db.conn.executemany("INSERT INTO statements VALUES (?, ?, ?)", rows)
    store.db.conn.commit()


def test_a_ledger_that_has_what_was_published_is_the_newest(node: MeshNode, web: MemoryTransport) -> None:
    compare(node, web, node.store)
    # The site may be behind: what was signed last was not deployed.
    web.files[f"{node.url}statement.json"] = web.files[f"{node.url}statements/2.json"]
    compare(node, web, node.store)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_lost_and_an_older_state_are_an_error_that_says_what_to_do(
    node: MeshNode, web: MemoryTransport, empty: Store, number: int
) -> None:
    older(node, empty, number)
    with pytest.raises(StateError, match=f"has the number 3, and the ledger's has {number}") as caught:
        compare(node, web, empty)
    assert caught.value.exit_code == 52
    assert f"ppp restore --from {node.url}" in caught.value.hint
    assert "--begin-anew" in caught.value.hint


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_was_published_makes_the_ledger_again(
    node: MeshNode, web: MemoryTransport, empty: Store, number: int
) -> None:
    older(node, empty, number)
    got = get_back(node, web, empty)
    assert got == Recovered(batches=3, records=3, statements=3 - number, left_out=1, older=None, agree=True)
    assert ledger_root(empty.db) == ledger_root(node.store.db)
    assert dict(statement_files(empty.db)) == dict(statement_files(node.store.db))
    compare(node, web, empty)
    assert get_back(node, web, empty).records == 0


def test_batches_of_nodes_that_are_trusted_come_too(node: MeshNode, web: MemoryTransport, empty: Store) -> None:
    got = get_back(node, web, empty, PEER.id)
    assert (got.batches, got.records, got.left_out, got.agree) == (4, 4, 0, False)


def test_a_chain_goes_on_after_statements_whose_records_are_lost(
    node: MeshNode, web: MemoryTransport, empty: Store, record: MakeRecord
) -> None:
    chain = fetch_chain(web, empty.db, fetch_published(web, node.url, own=node.key.id), node.url)
    add_chain(empty, chain)
    compare(node, web, empty)
    last = newest_statement(node.store.db)
    assert last is not None
    anew = MeshNode(key=node.key, store=empty, url=node.url, web=web, now=NOW + 50)
    anew.add(record("anew", node=node.key.id))
    anew.publish()
    signed = fetch_published(web, node.url, own=node.key.id).statement
    assert (signed.sequence, signed.previous, signed.records) == (last.sequence + 1, last.digest, 1)


def test_a_site_that_lacks_older_statements_still_ends_the_chain(
    node: MeshNode, web: MemoryTransport, empty: Store
) -> None:
    del web.files[f"{node.url}statements/1.json"]
    chain = fetch_chain(web, empty.db, fetch_published(web, node.url, own=node.key.id), node.url)
    assert [signed.sequence for signed in chain] == [2, 3]


def test_a_machine_that_signed_another_history_is_named(node: MeshNode, web: MemoryTransport, empty: Store) -> None:
    add_chain(empty, chain_of(node.key, 3))
    with pytest.raises(StateError, match="different statements of this node with the number 3"):
        compare(node, web, empty)
    with pytest.raises(StateError, match="different statements"):
        get_back(node, web, empty)


def test_a_published_chain_that_does_not_follow_the_ledgers_is_named(
    node: MeshNode, web: MemoryTransport, empty: Store
) -> None:
    add_chain(empty, chain_of(node.key, 2))
    with pytest.raises(StateError, match=r"statement 3 of this node at .* does not follow the ledger's number 2"):
        get_back(node, web, empty)


# ---------------------------------------------------------------- what is untrusted


def replaced(data: bytes) -> Damage:
    def damage(node: MeshNode, name: str) -> None:
        node.web.files[node.url + name] = data

    return damage


def missing(node: MeshNode, name: str) -> None:
    del node.web.files[node.url + name]


def another_nodes(node: MeshNode, name: str) -> None:
    node.web.files[node.url + name] = node.web.files[f"http://node2.example/{name}"]


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (missing, UnavailableFileError, "answered 404"),
        (replaced(b""), RejectedDataError, "rejected"),
        (replaced(b"<html>not here</html>"), RejectedDataError, "rejected"),
        (replaced(b"[" * 60_000), RejectedDataError, "rejected"),
        (replaced(b" " * 70_000), RejectedDataError, "larger than 65,536 bytes"),
        (another_nodes, RejectedDataError, "and not this one"),
    ],
)
def test_what_is_no_statement_of_this_node_is_none(
    node: MeshNode, web: MemoryTransport, damage: Damage, error: type[PPPError], words: str
) -> None:
    damage(node, "statement.json")
    with pytest.raises(error, match=words):
        fetch_published(web, node.url, own=node.key.id)


def test_a_statement_that_was_changed_proves_nothing(node: MeshNode, web: MemoryTransport) -> None:
    name = f"{node.url}statement.json"
    web.files[name] = web.files[name].replace(b'"sequence":3', b'"sequence":9')
    with pytest.raises(RejectedDataError, match="its signature is not that of node"):
        fetch_published(web, node.url, own=node.key.id)


def batch_of(node: MeshNode) -> str:
    return min(url.removeprefix(node.url) for url in node.published() if url.endswith(".json.gz"))


@pytest.mark.parametrize("name", ["statements/2.json", "files.json", "batch"])
@pytest.mark.parametrize("damage", [missing, replaced(b"{}")])
def test_what_is_damaged_there_leaves_the_chain_as_it_is(
    node: MeshNode, web: MemoryTransport, empty: Store, name: str, damage: Damage
) -> None:
    damage(node, batch_of(node) if name == "batch" else name)
    if (name, damage) == ("statements/2.json", missing):
        assert get_back(node, web, empty).statements == 1
        return
    with pytest.raises((PeerError, RejectedDataError)):
        get_back(node, web, empty)
    assert newest_statement(empty.db) is None, "so the next comparison still says that something is missing"


def test_a_comparison_changes_nothing(node: MeshNode, web: MemoryTransport, empty: Store) -> None:
    before: Any = dump(empty.db)
    with pytest.raises(StateError):
        compare(node, web, empty)
    assert dump(empty.db) == before
