"""Nodes that share the work: what one checks, what it leaves to others, and what leaves its queue when they did it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from memory_store import store_in_memory
from recording_reporter import RecordingReporter

from ppp import config
from ppp.ledger.peers import Peer, add_peer
from ppp.ledger.queue_groups import read_queue
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.errors import ConfigError
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.model.release import Release
from ppp.runner.context import Context, LocalNode
from ppp.runner.shards.check import make_plan
from ppp.runner.sharing import leave_to_others, work_share
from ppp.watch.shares import Share, owners, parse_shard

NOW: Final = 1_714_003_200
HERE: Final = "py312-slim"
OWN, FIRST, SECOND = (NodeKey.from_seed(bytes([number]) * 32) for number in (1, 2, 3))
NODES: Final = (OWN.id, FIRST.id, SECOND.id)
Make = Callable[..., Record]
NodeWith = Callable[..., LocalNode]


@pytest.fixture
def store() -> Iterator[Store]:
    with store_in_memory() as opened:
        yield opened


@pytest.fixture
def node_with(store: Store, tmp_path: Path) -> NodeWith:
    def make(*peers: NodeKey, nodes: tuple[str, ...] = NODES, replicas: int = 1) -> LocalNode:
        for peer in peers:
            add_peer(store, Peer(node=peer.id, url=f"https://{peer.id[:8]}.example/", added_at=1))
        settings = {"PPP_SHARE_NODES": ", ".join(nodes), "PPP_REPLICAS": str(replicas)}
        context = Context(
            config=config.load(settings, data=tmp_path / "data"),
            reporter=RecordingReporter(),
            environ={},
            stop=threading.Event(),
            clock=lambda: NOW,
        )
        return LocalNode(context=context, store=store, key=OWN)

    return make


def package_of(*keys: NodeKey, replicas: int = 1) -> str:
    """Return a package whose release 1.0 these nodes check."""
    wanted = {key.id for key in keys}
    names = (f"package-{number}" for number in range(1_000))
    return next(name for name in names if {*owners(NODES, name, "1.0", replicas=replicas)} == wanted)


def queue(store: Store, package: str, source: str = "journal", at: int = NOW) -> None:
    cell = Cell(release=Release(package=package, version="1.0"), environment=HERE)
    store.queue.enqueue([cell], source=source, now=at)


def merged(store: Store, record: Record) -> None:
    """Add a record as merging does: without a look at the queue."""
    with store.db.atomic():
        store.insert_record(record, None)


def test_a_node_that_is_not_among_those_that_share_is_an_error(node_with: NodeWith) -> None:
    settings = node_with(nodes=(FIRST.id, SECOND.id)).context.config
    with pytest.raises(ConfigError, match=f"PPP_SHARE_NODES does not name this node, {OWN.id}"):
        work_share(settings, OWN.id)
    with pytest.raises(ConfigError, match="which has no key yet"):
        work_share(settings, None)


def test_without_the_setting_there_is_only_the_shard(tmp_path: Path) -> None:
    alone, shard = config.load({}, data=tmp_path), parse_shard("1/2")
    assert work_share(alone, OWN.id) is None
    share = work_share(alone, OWN.id, shard=shard)
    assert share is not None
    assert (share.node, share.shard) == (None, shard)


def test_with_both_the_shard_is_of_the_node_s_share(node_with: NodeWith) -> None:
    share = work_share(node_with(replicas=2).context.config, OWN.id, shard=parse_shard("1/2"))
    assert share is not None
    assert share.node == Share(own=OWN.id, nodes=NODES, replicas=2)
    assert share.shard == parse_shard("1/2")


@pytest.mark.parametrize(
    ("fields", "source", "left"),
    [
        ({}, "journal", 0),
        ({"result": "FAIL"}, "watchlist", 0),
        # It may have been checked before this node learnt of it.
        ({"observed_at": NOW - 9_000}, "journal", 0),
        ({"result": "ERROR"}, "journal", 1),
        ({"environment": "py39-slim"}, "journal", 1),
        ({"version": "2.0"}, "journal", 1),
        ({}, "named", 1),
        ({}, "dependency", 1),
        # Not trusted (any more).
        ({"node": SECOND.id}, "journal", 1),
    ],
)
def test_what_another_node_has_checked_leaves_the_queue(
    node_with: NodeWith, record: Make, fields: dict[str, Any], source: str, left: int
) -> None:
    node, package = node_with(FIRST), package_of(FIRST)
    store = node.store
    queue(store, package, source)
    assert leave_to_others(node) == 0
    merged(store, record(package, **{"version": "1.0", "environment": HERE, "node": FIRST.id} | fields))
    assert leave_to_others(node) == 1 - left
    assert store.queue.length() == left


def test_what_is_in_this_node_s_share_waits_for_as_many_verdicts_as_there_are_to_be(
    node_with: NodeWith, record: Make, store: Store
) -> None:
    node, package = node_with(FIRST, SECOND, replicas=2), package_of(OWN, FIRST, replicas=2)
    queue(store, package)
    merged(store, record(package, "1.0", HERE, node=FIRST.id))
    assert leave_to_others(node) == 0
    # The shares were others when it was checked.
    merged(store, record(package, "1.0", HERE, node=SECOND.id))
    assert leave_to_others(node) == 1


def test_what_this_node_has_checked_before_leaves_only_for_something_newer(
    node_with: NodeWith, record: Make, store: Store
) -> None:
    node, package = node_with(FIRST), package_of(FIRST)
    store.add_record(record(package, "1.0", HERE, node=OWN.id, observed_at=NOW - 500))
    merged(store, record(package, "1.0", HERE, node=FIRST.id, observed_at=NOW - 1))
    queue(store, package, "watchlist")
    assert leave_to_others(node) == 0
    merged(store, record(package, "1.0", HERE, node=FIRST.id, observed_at=NOW))
    assert leave_to_others(node) == 1


def test_a_cell_that_a_run_works_on_stays(node_with: NodeWith, record: Make, store: Store) -> None:
    node, package = node_with(FIRST), package_of(FIRST)
    queue(store, package)
    store.db.execute("UPDATE queue SET lease = 'run', leased_until = ?", (NOW + 100,))
    merged(store, record(package, "1.0", HERE, node=FIRST.id))
    assert leave_to_others(node) == 0


def test_a_node_that_shares_the_work_and_is_not_trusted_is_reported(node_with: NodeWith) -> None:
    node = node_with(FIRST)
    leave_to_others(node)
    reporter = node.context.reporter
    assert isinstance(reporter, RecordingReporter)
    (warning,) = reporter.warnings
    assert SECOND.id in warning
    assert FIRST.id not in warning
    assert "ppp peer add" in warning


def test_the_queue_says_what_is_left_to_others_and_a_plan_has_none_of_it(node_with: NodeWith, store: Store) -> None:
    node = node_with(FIRST, SECOND)
    mine, theirs, asked = package_of(OWN), package_of(FIRST), package_of(SECOND)
    queue(store, mine)
    queue(store, theirs)
    queue(store, asked, "named")
    share = work_share(node.context.config, OWN.id)
    assert share is not None
    groups = read_queue(store.db, node=OWN.id, now=NOW, elsewhere=share.elsewhere)
    assert {(group.example.release.package, group.elsewhere) for group in groups} == {
        (mine, None),
        (theirs, "node"),
        (asked, None),
    }
    plan = make_plan(node, [HERE], shards=2, cells=10)
    assert {planned.cell.release.package for planned in plan.cells} == {mine, asked}
