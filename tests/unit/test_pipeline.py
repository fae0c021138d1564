"""The pipeline: whichever step publishes, every record that the signed statement covers is in a signed batch.

`run` is checked in tests/e2e/test_run.py, where cells can be executed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest
from memory_store import open_store
from recording_reporter import RecordingReporter
from sample_record import SAMPLE_RECORD

from ppp import config, pipeline
from ppp.ledger.lock import writer_lock
from ppp.ledger.schema import read_ledger
from ppp.ledger.store import Store
from ppp.mesh.fetch import PeerConnection
from ppp.mesh.node import load_or_create_key
from ppp.mesh.peer import add
from ppp.mesh.sync import SyncFailure
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
    on_request: Callable[[], object] = lambda: None

    @contextmanager
    def connect(self) -> Iterator[PeerConnection]:
        yield self

    def get(self, url: str, *, max_bytes: int) -> bytes:
        self.on_request()
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
    with open_store(data) as store:
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


def test_a_site_whose_address_is_not_known_is_published_with_one_warning(ours: Context) -> None:
    unknown, known = RecordingReporter(), RecordingReporter()
    pipeline.publish(replace(ours, reporter=unknown))
    (warning,) = unknown.warnings
    assert warning.startswith("PPP_BASE_URL is not set: ")
    address = replace(ours.config, base_url="https://node.example/")
    pipeline.publish(replace(ours, config=address, reporter=known))
    assert known.warnings == []


def test_publishing_with_a_snapshot_takes_one_for_each_day_that_has_results(
    ours: Context, record: RecordBuilder
) -> None:
    def published() -> dict[str, bytes]:
        pipeline.publish(ours, snapshot=True)
        return {path.name: path.read_bytes() for path in (ours.config.public / "snapshots").glob("ppp-*-*-*.db")}

    pipeline.publish(ours)
    assert list((ours.config.public / "snapshots").glob("*.db")) == []
    first = published()
    assert len(first) == 1
    key, _ = load_or_create_key(ours.config.data)
    own = record("ours", node=key.id)
    for later, days in ((60, 1), (86_400, 2)):
        with Store.open(ours.config.data) as store:
            store.add_record(replace(own, observed_at=own.observed_at + later))
        second = published()
        assert (len(second), second.items() >= first.items()) == (days, True)


@pytest.mark.attack("deadlines")
def test_another_command_can_write_while_a_peer_is_asked(ours: Context) -> None:
    requests = []

    def write() -> None:
        with writer_lock(ours.config.data), Store.open(ours.config.data) as store:
            requests.append(store.queue.length())

    fetcher = FolderFetcher(ours.config.data.parent / "theirs" / "public", write)
    (report,) = pipeline.sync(ours, fetcher)
    assert report.records == 1
    assert len(requests) > 3


def test_what_a_failed_synchronization_merged_is_published(ours: Context) -> None:
    requests: list[None] = []

    def fail_late() -> None:
        requests.append(None)
        if len(requests) > 6:
            raise PeerError("the line broke", hint="")

    theirs = ours.config.data.parent / "theirs"
    with Store.open(theirs) as store:
        key, _ = load_or_create_key(theirs)
        store.add_record(replace(SAMPLE_RECORD, node=key.id))
    pipeline.publish(context_of(theirs))
    (failure,) = pipeline.sync(ours, FolderFetcher(theirs / "public", fail_late))
    assert isinstance(failure, SyncFailure)
    assert failure.records == 1
    assert len(list((ours.config.public / "batches").glob("*.sig"))) == 2
