"""The public server while strangers hold connections: silent, slow to send, slow to read, or simply very many."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from ppp.client_limits import ClientLimits
from ppp.mesh.serve import create_app
from ppp.web_server import create_server, open_socket

LIMITS: Final = ClientLimits(request_s=2.0, send_s=2.0, connections=60, per_address=20)
#: Generous: everything that the limits end must have ended by then.
ENDED_S: Final = 15.0
#: An answer "at once": far below the deadlines would be flaky on a busy machine, so not much below them.
WAIT_S: Final = 10.0
LARGE: Final = 24_000_000
ATTACKER, VISITOR = "127.0.0.1", "127.0.0.2"

pytestmark = pytest.mark.attack("open-to-readers")


class Server:
    """A running server, and its clients."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._clients = ExitStack()

    def connect(self, address: str = ATTACKER, *, receive_buffer: int | None = None) -> socket.socket:
        """Return a connection from an address of this machine; it stays open until the test ends."""
        client = self._clients.enter_context(socket.socket())
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(WAIT_S)
        client.bind((address, 0))
        client.connect(("127.0.0.1", self.port))
        return client

    def status(self, address: str) -> int:
        """Return the status of an ordinary request."""
        with self.connect(address) as client:
            client.sendall(b"GET /current.json HTTP/1.1\r\nHost: node.example\r\nConnection: close\r\n\r\n")
            return int(client.recv(65536).split(b" ")[1])

    def close(self) -> None:
        """Close all connections."""
        self._clients.close()


@contextmanager
def serving(public: Path, limits: ClientLimits = LIMITS) -> Iterator[Server]:
    """Run the public server in a thread."""
    running = create_server(create_app(public, trusted=set, on_announce=print, body_timeout_s=60), limits=limits)
    with open_socket("127.0.0.1", 0) as listening:
        server = Server(listening.getsockname()[1])
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield server
        finally:
            server.close()
            running.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@pytest.fixture(name="public")
def _public(tmp_path: Path) -> Path:
    folder = tmp_path / "public"
    folder.mkdir()
    (folder / "current.json").write_text("{}")
    (folder / "large.db").write_bytes(b"x" * LARGE)
    return folder


@pytest.fixture(name="server")
def _server(public: Path) -> Iterator[Server]:
    with serving(public) as server:
        yield server


def is_closed(client: socket.socket) -> bool:
    """Return whether the server closes a connection within `ENDED_S`; what it sends before that is discarded."""
    client.settimeout(ENDED_S)
    until = time.monotonic() + ENDED_S
    try:
        while time.monotonic() < until:
            if not client.recv(65536):
                return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return False


def drip(client: socket.socket, parts: Iterator[bytes], *, every_s: float = 0.2) -> bool:
    """Send small parts until the server closes the connection; return whether it did so within `ENDED_S`."""
    until = time.monotonic() + ENDED_S
    client.settimeout(every_s)
    for part in parts:
        try:
            client.sendall(part)
            if not client.recv(65536):
                return True
        except TimeoutError:
            pass
        except ConnectionError:
            return True
        if time.monotonic() > until:
            return False
    return False


@pytest.mark.parametrize("count", [200, 1000])
def test_silent_connections_of_one_address_do_not_block_another(server: Server, count: int) -> None:
    silent = [server.connect() for _ in range(count)]
    assert server.status(VISITOR) == 200
    assert is_closed(silent[0]), "after the deadline of a request"
    assert is_closed(silent[-1])
    assert server.status(ATTACKER) == 200


def test_silent_connections_of_many_addresses_do_not_block_another(server: Server) -> None:
    for host in range(3, 23):
        for _ in range(10):
            server.connect(f"127.0.1.{host}")
    assert server.status(VISITOR) == 200


HEAD: Final = b"GET /current.json HTTP/1.1\r\nHost: node.example\r\n"


@pytest.mark.parametrize(
    ("first", "part"),
    [
        (b"", b"\r\n"),
        (b"G", b"E"),
        (HEAD, b"X-Slow: 1\r\n"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"extension"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: 1\r\n"),
        (b"POST /announce HTTP/1.1\r\nHost: node.example\r\nContent-Length: 60000\r\n\r\n", b"{"),
        (b"POST /announce HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 60000\r\n\r\n", b"{"),
        (HEAD + b"\r\n" + HEAD, b"X-Second: 1\r\n"),
    ],
    ids=["line-ends", "method", "headers", "body", "chunks", "extension", "trailers", "announce", "continue", "second"],
)
def test_a_request_that_drips_is_ended(server: Server, first: bytes, part: bytes) -> None:
    client = server.connect()
    client.sendall(first)
    assert drip(client, (part for _ in range(1000)))


@pytest.mark.parametrize("close", [b"close", b"keep-alive"])
@pytest.mark.parametrize("path", [b"large.db", b"current.json"])
def test_a_response_that_nobody_reads_is_ended(server: Server, path: bytes, close: bytes) -> None:
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\nConnection: %b\r\n\r\n" % (path, close)
    readers = [server.connect(receive_buffer=4096) for _ in range(LIMITS.per_address)]
    for client in readers:
        client.sendall(request * (200 if close == b"keep-alive" else 1))
    until = time.monotonic() + 2 * ENDED_S
    while (status := server.status(ATTACKER) if _can_ask(server) else 503) != 200 and time.monotonic() < until:
        time.sleep(0.3)
    assert status == 200, "their connections are free again"


def _can_ask(server: Server) -> bool:
    with suppress(ConnectionError, IndexError):
        return server.status(ATTACKER) == 200
    return False


def test_a_slow_but_steady_reader_gets_everything(server: Server) -> None:
    client = server.connect(receive_buffer=64 * 1024)
    client.sendall(b"GET /large.db HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    received = 0
    while part := client.recv(256 * 1024):
        received += len(part)
        time.sleep(len(part) / 5_000_000)
    assert received > LARGE


def test_behind_a_proxy_all_clients_have_one_address(public: Path) -> None:
    limits = ClientLimits(request_s=60, connections=60, per_address=0)
    with serving(public, limits) as server:
        for _ in range(50):
            server.connect()
        assert server.status(ATTACKER) == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /current.json HTTP/1.1\r\nHost: a\r\nRange: bytes=%b\r\nConnection: close\r\n\r\n"
        % b",".join(b"%d-%d" % (at, at) for at in range(1500)),
        b"GET /" + b"a/../" * 3000 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET /" + b"%2e%2e%2f" * 1500 + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 100,
        b"GET / HTTP/1.1\r\n" + b"A: 1\r\n" * 2500 + b"\r\n",
        b"A" * 1_000_000,
    ],
    ids=["ranges", "dots", "encoded-dots", "tls", "many-headers", "no-end"],
)
def test_a_strange_request_harms_nobody(server: Server, request_bytes: bytes) -> None:
    client = server.connect()
    with suppress(ConnectionError):
        client.sendall(request_bytes)
    assert is_closed(client)
    assert server.status(VISITOR) == 200


def test_the_command_has_these_limits(public: Path) -> None:
    arguments = ["serve", "--mesh", "--port", "0", "--data", str(public.parent)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ppp", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        server = Server(int(process.stdout.readline().rstrip("/\n").rpartition(":")[2]))
        for _ in range(500):
            server.connect()
        assert server.status(VISITOR) == 200
        server.close()
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
