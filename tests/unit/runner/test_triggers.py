"""Re-checks are queued by one rule: a run and a plan for shards queue the same of the same ledger."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from cell_environments import ALPINE, SLIM, tiny_matrix
from fake_runtime import CellScript, FakeRuntime
from memory_store import store_in_memory
from recording_reporter import RecordingReporter
from sample_record import SAMPLE_RECORD

from ppp import config
from ppp.check.index.client import SimpleIndex
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.matrix import Platform
from ppp.model.queue_policy import QueuePolicy
from ppp.model.record import DistributionFile, Installed, Network, Record, Result
from ppp.model.release import Release
from ppp.runner.check import check_queue
from ppp.runner.context import Context, LocalNode
from ppp.runner.environments import ReadyEnvironments
from ppp.runner.request import RunRequest, Sources
from ppp.runner.shards.check import plan_queue

NOW: Final = 1_714_003_200
KEY: Final = NodeKey.from_seed(b"\1" * 32)
PEER: Final = NodeKey.from_seed(b"\2" * 32)
#: What environments have now: the digest of `fake_runtime`, and the pip of the shipped matrix.
NOW_THERE: Final[dict[str, Any]] = {"image_digest": f"sha256:{'5a' * 32}", "pip_version": tiny_matrix().pip.version}
BEFORE: Final[dict[str, Any]] = {"image_digest": f"sha256:{'11' * 32}", "pip_version": "25.0"}
FILE: Final = DistributionFile(filename="x.zip", sha256="12" * 32, size=1)
Ledger = Callable[[Store], None]


def record(package: str, version: str = "1.0", *, at: int = NOW, needs: str = "", **fields: Any) -> Record:
    """Return a verdict of this node on a release that installed `needs`, a requirement like `base==1.0`."""
    name, _, of = needs.partition("==")
    installed = (Installed(name=name, version=of, sha256=None),) if needs else ()
    usual = {"node": KEY.id, "environment": SLIM.id, "file": FILE, "observed_at": at, "installed": installed}
    release = Release(package=package, version=version)
    return replace(SAMPLE_RECORD, **{"release": release, **usual, **NOW_THERE, **fields})


def landed(store: Store) -> None:
    """Two releases landed, of which one has a dependent that has it already."""
    for package, needs in (("a", "base==1.0"), ("b", "base==2.0"), ("c", "other==1.0"), ("d", "base==1.0")):
        store.add_record(record(package, needs=needs, at=NOW - 9))
    store.add_record(record("base", "2.0"))
    store.add_record(record("other", "1.1", result=Result.FAIL, cause="crash"))


def withdrawn(store: Store) -> None:
    store.add_record(record("a", needs="base==2.0", at=NOW - 9))
    store.add_record(record("base", "2.0", at=NOW - 5))
    store.add_record(record("base", "2.0", result=Result.NA, cause="withdrawn", at=NOW))


def changed(store: Store) -> None:
    """Two cells failed in another image, and with another pip; the newest result is of what is there now."""
    failed: dict[str, Any] = {"result": Result.FAIL, "cause": "crash", "at": NOW - 9}
    store.add_record(record("a", **failed, image_digest=BEFORE["image_digest"]))
    store.add_record(record("b", **failed, pip_version=BEFORE["pip_version"]))
    store.add_record(record("c", **failed))
    store.add_record(record("d", **failed, environment=ALPINE.id, **BEFORE))
    for environment in (SLIM, ALPINE):
        store.add_record(record("new", environment=environment.id))


def everything(store: Store) -> None:
    changed(store)
    landed(store)


def of_a_peer(store: Store) -> None:
    """A peer's newer record, of another image, says nothing of this node's environments."""
    changed(store)
    store.add_record(record("z", node=PEER.id, at=NOW + 5, image_digest=f"sha256:{'22' * 32}"))


LEDGERS: Final[dict[str, Ledger]] = {
    "landed": landed,
    "withdrawn": withdrawn,
    "changed": changed,
    "everything": everything,
    "of a peer": of_a_peer,
}


@contextmanager
def node_of(fill: Ledger, folder: Path, *, has_checked: bool = True) -> Iterator[LocalNode]:
    """Yield a node whose ledger was filled; unless it is a new one, it has checked something in each environment."""
    context = Context(
        config=config.load({}, data=folder / "data"),
        reporter=RecordingReporter(),
        environ={},
        stop=threading.Event(),
        clock=lambda: NOW + 60,
    )
    with store_in_memory() as store:
        for environment in (SLIM, ALPINE) if has_checked else ():
            store.add_record(record("first", environment=environment.id, at=NOW - 99))
        fill(store)
        yield LocalNode(context=context, store=store, key=KEY)


def request(policy: QueuePolicy | None = None) -> RunRequest:
    matrix = tiny_matrix(SLIM, ALPINE)
    matrix = replace(matrix, queue=policy or matrix.queue)
    return RunRequest(matrix=matrix, environments=matrix.environments, sources=Sources(), jobs=1, minutes=0.0)


def queued_by_run(node: LocalNode, wanted: RunRequest, folder: Path, network: Network = Network.GATEWAY) -> list[Any]:
    """Return what a run that has no time to check anything queues."""
    runtime = FakeRuntime(wanted.matrix, CellScript())
    ready = ReadyEnvironments(
        index=SimpleIndex("https://index.example/simple/", cache=folder, user_agent="tests"),
        matrix=wanted.matrix,
        runtimes=dict.fromkeys(Platform, runtime),
        prepared={e.id: replace(runtime.prepare(e), network=network) for e in wanted.environments},
        unavailable={},
    )
    check_queue(node, ready, wanted, only=None)
    return queued(node)


def queued_by_plan(node: LocalNode, wanted: RunRequest) -> list[Any]:
    plan = plan_queue(node, wanted, shards=2, cells=100)
    rows = queued(node)
    assert {(str(one.cell), one.queued.source) for one in plan.cells} == {(str(row[0]), row[1]) for row in rows[0]}
    return rows


def queued(node: LocalNode) -> list[Any]:
    """Return the rows of the queue, of the triggers, and up to where landings were looked for."""
    statements = (
        "SELECT format('%s==%s in %s', package, version, environment), source, priority FROM queue ORDER BY 1",
        "SELECT * FROM triggers ORDER BY kind, name, version, environment",
        "SELECT * FROM landings_cursor ORDER BY 1",
    )
    return [node.store.db.execute(statement).fetchall() for statement in statements]


@pytest.mark.parametrize("budget", [100, 2, 0])
@pytest.mark.parametrize("name", [*LEDGERS])
def test_a_run_and_a_plan_queue_the_same(name: str, budget: int, tmp_path: Path) -> None:
    wanted = request(QueuePolicy(dependents=2, recheck_budget=budget))
    with node_of(LEDGERS[name], tmp_path) as one, node_of(LEDGERS[name], tmp_path) as other:
        for _ in range(3):  # what a budget had no room for comes later, in both
            assert queued_by_plan(one, wanted) == queued_by_run(other, wanted, tmp_path)
        assert bool(queued(one)[0]) is bool(budget)


@pytest.mark.parametrize(
    ("fill", "cells"),
    [
        (landed, {"a==1.0": "dependency", "c==1.0": "dependency", "d==1.0": "dependency"}),
        (withdrawn, {"a==1.0": "withdrawal"}),
        (changed, {"a==1.0": "image", "b==1.0": "pip", "d==1.0": "image"}),
        (of_a_peer, {"a==1.0": "image", "b==1.0": "pip", "d==1.0": "image"}),
    ],
)
def test_a_plan_queues_what_changed_since_shards_reported_it_and_once(
    fill: Ledger, cells: dict[str, str], tmp_path: Path
) -> None:
    with node_of(fill, tmp_path) as node:
        for _ in range(2):
            plan = plan_queue(node, request(), shards=2, cells=100)
            assert {str(one.cell.release): one.queued.source for one in plan.cells} == cells
        node.store.db.execute("DELETE FROM queue")
        assert plan_queue(node, request(), shards=2, cells=100).cells == ()


def test_without_a_gateway_neither_queues_anything(tmp_path: Path) -> None:
    def fill(store: Store) -> None:
        everything(store)
        for environment in (SLIM, ALPINE):
            store.add_record(record("last", environment=environment.id, at=NOW + 9, network=Network.OPEN))

    with node_of(fill, tmp_path) as one, node_of(fill, tmp_path) as other:
        run = queued_by_run(other, request(), tmp_path, Network.OPEN)
        assert queued_by_plan(one, request()) == run == [[], [], []]


def test_a_new_node_has_nothing_to_check_again(tmp_path: Path) -> None:
    def fill(store: Store) -> None:
        store.add_record(record("a", node=PEER.id, result=Result.FAIL, cause="crash", **BEFORE))

    with node_of(fill, tmp_path, has_checked=False) as node:
        assert queued_by_plan(node, request()) == [[], [], []]
