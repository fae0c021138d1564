"""The relay: what it forwards, how many connections at a time, and how it ends."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from ppp.check.gateway.relay import relay

ADDRESS = "::7"
GREETING = b"PROXY TCP6 ::7 :: 0 0\r\n"


class Upstream:
    """A server that answers each connection with all it has received, once the other side has sent everything."""

    def __init__(self, path: Path) -> None:
        self.received: list[bytes] = []
        self.open = 0
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            received = bytearray()
            while data := connection.recv(65536):
                self.open += not received
                received += data
            self.received += [bytes(received)] if received else []
            connection.sendall(received)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    opened = Upstream(tmp_path / "upstream")
    yield opened
    opened.close()


@contextmanager
def connection(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as opened:
        opened.connect(str(path))
        opened.settimeout(10)
        yield opened


def exchange(path: Path, request: bytes) -> bytes:
    with connection(path) as opened:
        opened.sendall(request)
        opened.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: opened.recv(65536), b""))


def test_bytes_are_forwarded_both_ways_behind_the_address_of_the_cell(upstream: Upstream, tmp_path: Path) -> None:
    request = b"x" * 3_000_000
    with relay(tmp_path / "cell", tmp_path / "upstream", address=ADDRESS):
        assert exchange(tmp_path / "cell", request) == GREETING + request
        assert exchange(tmp_path / "cell", b"") == GREETING
    assert upstream.received == [GREETING + request, GREETING]


def test_connections_above_the_limit_wait_until_another_one_ends(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "cell"
    with relay(path, tmp_path / "upstream", address=ADDRESS, limit=2), ExitStack() as stack:
        first, _, third = (stack.enter_context(connection(path)) for _ in range(3))
        third.sendall(b"third")
        third.shutdown(socket.SHUT_WR)
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.recv(1)
        assert upstream.open == 2
        first.close()
        third.settimeout(10)
        assert third.recv(100) == GREETING + b"third"


def test_at_the_end_every_connection_is_closed_and_none_accepted(upstream: Upstream, tmp_path: Path) -> None:
    path = tmp_path / "cell"
    with ExitStack() as stack:
        with relay(path, tmp_path / "upstream", address=ADDRESS, limit=2):
            opened = [stack.enter_context(connection(path)) for _ in range(4)]
            assert upstream.received == []
        for one in opened:
            with suppress(ConnectionResetError):
                assert one.recv(100) in {b"", GREETING}
        with pytest.raises(ConnectionRefusedError), connection(path):
            pass


def test_without_a_server_there_is_no_relay(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), relay(tmp_path / "cell", tmp_path / "absent", address=ADDRESS):
        pass
    assert not (tmp_path / "cell").exists()
