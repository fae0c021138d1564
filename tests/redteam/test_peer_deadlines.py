"""A peer, or anybody on the way to it, that never ends: it is left at its deadline, and meanwhile nothing waits for it.

The attacker serves the web root of a trusted peer, and decides when each byte is sent.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from hostile_http import CERTIFICATE, DRIPS, FLOODS, TLS_DRIPS, file_server, hostile_server, silent_port
from memory_transport import MemoryTransport
from mesh_nodes import NOW, MeshNode, mesh_nodes

from ppp.bounded_http.limits import TransferLimits
from ppp.ledger.batches import seal
from ppp.ledger.lock import writer_lock
from ppp.ledger.peers import list_peers
from ppp.ledger.store import Store
from ppp.mesh.fetch import HttpTransport
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import add
from ppp.mesh.sync import LedgerAccess, SyncFailure, SyncReport, sync
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.record import Record

#: The deadline of a peer; and a generous bound by which its synchronization must have ended.
DEADLINE_S: Final = 1.0
ENDED_S: Final = 10.0
OWN: Final = NodeKey.from_seed(b"\x01" * 32)
PEER: Final = NodeKey.from_seed(b"\x02" * 32)

pytestmark = pytest.mark.attack("deadlines")


@contextmanager
def locked_ledger(data: Path) -> Iterator[Store]:
    """Open a ledger as commands do."""
    with writer_lock(data, wait_s=ENDED_S), Store.open(data) as store:
        yield store


def synchronize(data: Path, url: str, *, peer_s: float = DEADLINE_S) -> tuple[SyncReport | SyncFailure, float]:
    """Synchronize with the peer at a URL; also return how many seconds that took."""
    access = LedgerAccess(open=lambda: locked_ledger(data), own=OWN.id)
    with access.open() as store:
        peer = next((p for p in list_peers(store.db)), None) or add(store, OWN, url, PEER.id, now=NOW)
    transport = HttpTransport(user_agent="the-pypi-place/0 (redteam)", peer_s=peer_s)
    started = time.monotonic()
    outcome = sync(access, peer, transport, now=NOW)
    return outcome, time.monotonic() - started


def assert_left(data: Path, url: str) -> str:
    """Check that a peer is left at its deadline, with the reason stored; return the reason."""
    outcome, seconds = synchronize(data, url)
    assert isinstance(outcome, SyncFailure)
    assert seconds < ENDED_S
    with Store.open(data) as store:
        assert list_peers(store.db)[0].sync_error == str(outcome.error)
    return outcome.error.message


@pytest.mark.parametrize("name", DRIPS)
def test_a_peer_that_drips(name: str, tmp_path: Path) -> None:
    with hostile_server(DRIPS[name]) as url:
        assert "when the 1 seconds of this peer were over" in assert_left(tmp_path, url) or name == "redirects"


@pytest.mark.parametrize("name", TLS_DRIPS)
def test_a_peer_that_drips_within_tls(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with hostile_server(TLS_DRIPS[name], tls=True) as url:
        assert_left(tmp_path, url)


def test_a_peer_that_accepts_no_connection(tmp_path: Path) -> None:
    with silent_port() as url:
        assert_left(tmp_path, url)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", FLOODS)
def test_a_peer_that_sends_without_end(name: str, tmp_path: Path) -> None:
    with hostile_server(FLOODS[name]) as url:
        assert_left(tmp_path, url)


@pytest.mark.parametrize("name", ["continue", "header-line", "silence"])
def test_an_announcement_to_a_peer_that_drips(name: str) -> None:
    transport = HttpTransport(user_agent="redteam", limits=TransferLimits(total_s=DEADLINE_S))
    started = time.monotonic()
    with hostile_server(DRIPS[name]) as url, pytest.raises(PeerError):
        transport.post(f"{url}announce", b"{}")
    assert time.monotonic() - started < ENDED_S


# Each request in time, and all of them never.


@pytest.fixture
def slow_peer(tmp_path: Path, record: Callable[..., Record]) -> Iterator[str]:
    """A peer with 24 batches that takes 0.05 seconds for each file."""
    web = MemoryTransport()
    with mesh_nodes(tmp_path / "theirs", web) as make, file_server(web.files, delay_s=0.05) as url:
        there: MeshNode = make(2)
        there.url = url
        for number in range(24):
            there.add(record(f"package-{number}", node=there.key.id))
            seal(there.store, node=there.key.id, sign=there.key.sign, verify=lambda _: None)
        there.publish()
        yield url


def test_many_files_that_each_come_in_time(tmp_path: Path, slow_peer: str) -> None:
    data = tmp_path / "ours"
    merged = 0
    for _ in range(20):
        outcome, seconds = synchronize(data, slow_peer, peer_s=1.5)
        assert seconds < ENDED_S
        # What came in time is kept, and the next one goes on from there.
        assert outcome.records > 0
        merged += outcome.records
        if isinstance(outcome, SyncReport):
            break
    assert (merged, isinstance(outcome, SyncReport)) == (24, True)


# Nothing waits for a peer.


@pytest.mark.parametrize("name", ["trailers", "continue", "silence"])
def test_the_ledger_is_free_while_a_peer_drips(name: str, tmp_path: Path) -> None:
    with hostile_server(DRIPS[name]) as url:
        thread = threading.Thread(target=assert_left, args=(tmp_path, url))
        thread.start()
        time.sleep(DEADLINE_S / 2)
        with writer_lock(tmp_path), Store.open(tmp_path) as store:
            add(store, OWN, "http://other.example/", "cd" * 32, now=NOW)
        assert thread.is_alive()
        thread.join(ENDED_S)
        assert not thread.is_alive()


def test_a_session_after_its_deadline_sends_nothing_more() -> None:
    with file_server({}) as url, HttpTransport(user_agent="redteam", peer_s=0.0).connect() as connection:
        started = time.monotonic()
        for _ in range(1000):
            with pytest.raises((PeerError, RejectedDataError), match="when the 0 seconds of this peer were over"):
                connection.get(f"{url}statement.json", max_bytes=100)
        assert time.monotonic() - started < ENDED_S
