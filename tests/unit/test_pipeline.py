"""The pipeline: whichever step publishes, every record that the signed statement covers is in a signed batch.

`run` is checked in tests/e2e/test_run.py, where cells can be executed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from recording_reporter import RecordingReporter

from ppp import config, pipeline
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.mesh.fetch import PeerConnection
from ppp.mesh.node import load_or_create_key
from ppp.mesh.peer import add
from ppp.model.errors import PeerError
from ppp.model.record import Record
from ppp.runner.context import Context

RecordBuilder = Callable[..., Record]
NOW: Final = 1_714_089_600
PEER_URL: Final = "http://peer.example/"


@dataclass(frozen=True, slots=True)
class FolderFetcher:
    """Serves the public folder of a peer without a network; see `ppp.mesh.fetch.Fetcher`."""

    public: Path

    @contextmanager
    def connect(self) -> Iterator[PeerConnection]:
        yield self

    def get(self, url: str, *, max_bytes: int) -> bytes:
        path = self.public / url.removeprefix(PEER_URL)
        if not path.is_file():
            raise PeerError(f"no {url}", hint="publish first")
        return path.read_bytes()[:max_bytes]


def context_of(data: Path) -> Context:
    return Context(
        config=config.load({}, data=data),
        reporter=RecordingReporter(),
        environ={},
        stop=threading.Event(),
        clock=lambda: NOW,
    )


def node_with(data: Path, record: RecordBuilder, package: str) -> str:
    """Create a node with one record that no batch holds, and return the node's id."""
    data.mkdir()
    key, _ = load_or_create_key(data)
    with Store.open(data) as store:
        store.add_record(record(package, node=key.id))
    return key.id


@pytest.fixture
def ours(tmp_path: Path, record: RecordBuilder) -> Context:
    """A node with one record that is not sealed yet, which trusts a peer that has published another one."""
    peer = node_with(tmp_path / "theirs", record, "theirs")
    pipeline.publish(context_of(tmp_path / "theirs"))
    node_with(tmp_path / "ours", record, "ours")
    with Store.open(tmp_path / "ours") as store:
        add(store, load_or_create_key(tmp_path / "ours")[0], PEER_URL, peer, now=NOW)
    return context_of(tmp_path / "ours")


def sync(context: Context) -> None:
    pipeline.sync(context, FolderFetcher(context.config.data.parent / "theirs" / "public"))


def sync_announced(context: Context) -> None:
    peer, _ = load_or_create_key(context.config.data.parent / "theirs")
    fetcher = FolderFetcher(context.config.data.parent / "theirs" / "public")
    assert pipeline.sync_announced(context, fetcher, peer.id).records == 1


@pytest.mark.parametrize(
    ("step", "records"), [(pipeline.publish, 1), (pipeline.snapshot, 1), (sync, 2), (sync_announced, 2)]
)
def test_every_published_record_is_in_a_batch(ours: Context, step: Callable[[Context], object], records: int) -> None:
    step(ours)
    db = read_ledger(ours.config.data)
    try:
        assert db.execute("SELECT count(*) FROM records").fetchone() == (records,)
        assert db.execute("SELECT count(DISTINCT record) FROM batch_records").fetchone() == (records,)
        batches = [batch for (batch,) in db.execute("SELECT batch FROM batches").fetchall()]
    finally:
        db.close()
    assert (ours.config.public / "statement.json").is_file()
    published = {path.name.partition(".")[0] for path in (ours.config.public / "batches").iterdir()}
    assert published == set(batches)
