"""Sources of cell jobs: a list, and the queue by lease."""

import threading
from pathlib import Path
from typing import Final

from recording_reporter import RecordingReporter

from ppp import config
from ppp.ledger.queue import QueueFilter
from ppp.ledger.regressions import PriorResults
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.matrix import Cell
from ppp.model.release import Release
from ppp.runner.context import Context, LocalNode
from ppp.runner.job_sources import ListSource, QueueSource
from ppp.runner.jobs import CellJob

SLIM, ALPINE = "py312-slim", "py312-alpine"
NOW: Final = 1_714_003_200


def cell(environment: str) -> Cell:
    return Cell(release=Release(package="a", version="2.1.0"), environment=environment)


def test_a_list_gives_each_job_once_and_only_for_the_given_environments() -> None:
    one, two, three = (CellJob(cell=cell(environment), prior=PriorResults()) for environment in (SLIM, ALPINE, SLIM))
    source = ListSource([one, two, three])
    assert source.take([SLIM], 1) == [one]
    assert source.take([SLIM], 5) == [three]
    assert source.take([SLIM], 5) == []
    assert source.take([SLIM, ALPINE], 5) == [two]


def node_with(store: Store, data: Path, clock: list[int]) -> LocalNode:
    context = Context(
        config=config.load({}, data=data),
        reporter=RecordingReporter(),
        environ={},
        stop=threading.Event(),
        clock=lambda: clock[0],
    )
    return LocalNode(context=context, store=store, key=NodeKey.from_seed(b"\1" * 32))


def test_a_cell_can_be_taken_again_when_its_lease_has_ended(store: Store, tmp_path: Path) -> None:
    clock = [NOW]
    node = node_with(store, tmp_path / "data", clock)
    store.queue.enqueue([cell(SLIM)], source="feed", now=1)
    source = QueueSource(node=node, queue_filter=QueueFilter(environments=(SLIM,)), run="run", lease_s=100)
    (job,) = source.take([SLIM], 5)
    assert job.queued
    assert source.take([SLIM], 5) == []
    clock[0] += 100
    assert source.take([SLIM], 5) == [job]


def test_of_a_share_each_cell_is_taken_once_and_the_others_are_seldom_passed_over(store: Store, tmp_path: Path) -> None:
    releases = [Release(package=f"a{number}", version="1.0") for number in range(50)]
    cells = [Cell(release=release, environment=environment) for release in releases for environment in (SLIM, ALPINE)]
    store.queue.enqueue(cells, source="feed", now=1)
    asked: list[str] = []

    def share(package: str, _version: str, _source: str) -> bool:
        asked.append(package)
        return package.endswith("7")

    queue_filter = QueueFilter(environments=(SLIM, ALPINE), share=share)
    source = QueueSource(
        node=node_with(store, tmp_path / "data", [NOW]), queue_filter=queue_filter, run="run", lease_s=100
    )
    taken = [job.cell for _ in range(4) for job in source.take([ALPINE], 1)]
    taken += [job.cell for _ in range(9) for job in source.take([SLIM, ALPINE], 2)]
    assert sorted(taken, key=str) == sorted((c for c in cells if c.release.package.endswith("7")), key=str)
    assert len(asked) == len(cells)
    assert source.take([SLIM], 5) == []
