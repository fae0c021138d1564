"""The ports to other nodes: one suite for the fake, and for the real adapter against a server on loopback."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

import pytest
from memory_transport import MemoryTransport

from ppp.bounded_http.limits import TransferLimits
from ppp.mesh.fetch import HttpTransport
from ppp.model.errors import PeerError, RejectedDataError

AGENT = "the-pypi-place/0 (contract)"
FILES = {"a.json": b'{"a": 1}', "deep/b.sig": b"00\n", "empty": b"", "large": b"x" * 200_000}


class Handler(BaseHTTPRequestHandler):
    """A web root, with some paths that misbehave."""

    server: "Host"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        responses: dict[str, Callable[[], object]] = {
            "/near": lambda: self.redirect("/a.json"),
            "/relative": lambda: self.redirect("a.json"),
            "/round": lambda: self.redirect("/round"),
            "/far": lambda: self.redirect("http://127.0.0.2:1/a.json"),
            "/scheme": lambda: self.redirect("file:///etc/passwd"),
            "/host": lambda: self.redirect(f"http://localhost:{self.server.server_port}/a.json"),
            "/nowhere": lambda: self.redirect("http://[/"),
            "/gzip": lambda: self.answer(b"\x1f\x8b", {"Content-Encoding": "gzip"}),
            "/cut": lambda: self.answer(b"half", {"Content-Length": "8"}),
            "/trickle": self.trickle,
            "/silence": lambda: self.server.over.wait(5),
            "/chunked": self.chunked,
            "/endless": self.endless,
            "/cookie": lambda: self.answer(b"", {"Set-Cookie": "visitor=1", "Content-Length": "0"}),
            "/closing": lambda: self.answer(b"bye", {"Connection": "close", "Content-Length": "3"}),
            "/error": lambda: self.send_error(500),
        }
        path = self.path.removeprefix("/")
        if self.path in responses:
            responses[self.path]()
        elif path in FILES:
            self.answer(FILES[path], {"Content-Length": str(len(FILES[path]))})
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, self.headers["Content-Type"], body))
        self.send_response({"/announce": 202, "/moved": 302}.get(self.path, 403))
        if self.path == "/moved":
            self.send_header("Location", "/announce")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def redirect(self, location: str) -> None:
        self.answer(b"", {"Location": location, "Content-Length": "0"}, status=302)

    def answer(self, body: bytes, headers: dict[str, str], *, status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def trickle(self) -> None:
        self.answer(b"", {"Content-Length": "1000"})
        while not self.server.over.wait(0.02):
            self.wfile.write(b"x")
            self.wfile.flush()

    def chunked(self) -> None:
        self.answer(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"})

    def endless(self) -> None:
        self.answer(b"", {})
        while not self.server.over.is_set():
            self.wfile.write(b"x" * 65_536)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class Host(ThreadingHTTPServer):
    """The server, with the requests and bodies that it received, and the number of its connections."""

    daemon_threads = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.posted: list[tuple[str, str, bytes]] = []
        self.connections = 0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def process_request(self, *arguments: Any) -> None:
        self.connections += 1
        super().process_request(*arguments)

    def handle_error(self, *_: object) -> None:
        """Log nothing about clients that close their connection, as they should."""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as host:
        thread = threading.Thread(target=host.serve_forever, args=(0.02,))
        thread.start()
        yield host
        host.over.set()
        host.shutdown()
        thread.join()


def real(**changes: Any) -> HttpTransport:
    return HttpTransport(user_agent=AGENT, limits=TransferLimits(**{"connect_s": 5, "read_s": 5, **changes}))


def fetched(transport: Any, url: str, *, max_bytes: int) -> bytes:
    """Fetch one file over a session of its own."""
    with transport.connect() as connection:
        content: bytes = connection.get(url, max_bytes=max_bytes)
        return content


class Transport(Protocol):
    """A transport, and the URL of a web root that holds FILES."""

    transport: Any
    url: str


@pytest.fixture(params=["fake", "real"])
def place(request: pytest.FixtureRequest, host: Host) -> Transport:
    class Here:
        transport: Any = real()
        url = host.url

    if request.param == "fake":
        Here.transport = MemoryTransport()
        Here.url = "http://node.example/"
        Here.transport.files = {Here.url + path: data for path, data in FILES.items()}
        Here.transport.statuses = {f"{Here.url}announce": 202, f"{Here.url}a.json": 403}
    return Here()


# What both must do.


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_returned_unchanged(place: Transport, path: str) -> None:
    assert fetched(place.transport, place.url + path, max_bytes=200_000) == FILES[path]
    assert fetched(place.transport, place.url + path, max_bytes=len(FILES[path])) == FILES[path]


def test_a_missing_file_is_reported(place: Transport) -> None:
    with pytest.raises(PeerError, match="none answered 404"):
        fetched(place.transport, f"{place.url}none", max_bytes=10)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("path", ["a.json", "large"])
def test_a_file_larger_than_allowed_is_rejected(place: Transport, path: str) -> None:
    with pytest.raises(RejectedDataError, match=rf"{path} rejected: it is larger than 7 bytes"):
        fetched(place.transport, place.url + path, max_bytes=7)


def test_a_body_is_posted_and_the_status_given(place: Transport) -> None:
    assert place.transport.post(f"{place.url}announce", b"{}") == 202
    assert place.transport.post(f"{place.url}a.json", b"{}") == 403


def test_an_unreachable_host_is_reported(place: Transport) -> None:
    nobody = "http://127.0.0.1:1/"
    with pytest.raises(PeerError, match=r"http://127\.0\.0\.1:1/announce cannot be reached"):
        place.transport.post(f"{nobody}announce", b"{}")
    with pytest.raises(PeerError, match=r"http://127\.0\.0\.1:1/statement\.json"):
        fetched(place.transport, f"{nobody}statement.json", max_bytes=10)


# What only a real network can do.


def test_requests_carry_the_user_agent_and_accept_no_compression(host: Host) -> None:
    fetched(real(), f"{host.url}a.json", max_bytes=100)
    ((_, headers),) = host.asked
    assert headers["user-agent"] == AGENT
    assert headers["accept-encoding"] == "identity"
    real().post(f"{host.url}announce", b'{"a": 1}')
    assert host.posted == [("/announce", "application/json", b'{"a": 1}')]


@pytest.mark.attack("credentials")
def test_no_password_is_sent(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    fetched(real(), f"{host.url}a.json", max_bytes=100)
    ((_, headers),) = host.asked
    assert "authorization" not in headers


@pytest.mark.parametrize("path", ["near", "relative"])
def test_a_redirect_within_the_host_is_followed(host: Host, path: str) -> None:
    assert fetched(real(), host.url + path, max_bytes=100) == FILES["a.json"]


@pytest.mark.attack("credentials")
@pytest.mark.parametrize("path", ["far", "scheme", "host", "nowhere"])
def test_a_redirect_to_another_host_is_not_followed(host: Host, path: str) -> None:
    with pytest.raises(PeerError, match=rf"{path} (redirects to another host|cannot be reached: .*IPv6)"):
        fetched(real(), host.url + path, max_bytes=100)
    assert [asked for asked, _ in host.asked] == [f"/{path}"]


@pytest.mark.attack("deadlines")
def test_redirects_are_limited(host: Host) -> None:
    with pytest.raises(PeerError, match="redirects more than 3 times"):
        fetched(real(), f"{host.url}round", max_bytes=100)
    assert len(host.asked) == 4


@pytest.mark.attack("credentials")
def test_a_post_is_not_redirected(host: Host) -> None:
    assert real().post(f"{host.url}moved", b"{}") == 302
    assert [path for path, _, _ in host.posted] == ["/moved"]


def test_a_chunked_response_is_complete(host: Host) -> None:
    assert fetched(real(), f"{host.url}chunked", max_bytes=5) == b"abcde"
    with pytest.raises(RejectedDataError, match="larger than 4 bytes"):
        fetched(real(), f"{host.url}chunked", max_bytes=4)


@pytest.mark.attack("bounded-input")
def test_an_endless_response_is_stopped_at_the_limit(host: Host) -> None:
    with pytest.raises(RejectedDataError, match="larger than 1,000,000 bytes"):
        fetched(real(), f"{host.url}endless", max_bytes=1_000_000)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("path", "reason"), [("gzip", "was sent compressed"), ("cut", "cannot be reached"), ("error", "answered 500")]
)
def test_an_invalid_response_is_reported(host: Host, path: str, reason: str) -> None:
    with pytest.raises(PeerError, match=f"{path} {reason}") as error:
        fetched(real(), host.url + path, max_bytes=100)
    assert str(error.value).isprintable()


@pytest.mark.attack("deadlines")
def test_the_deadline_stops_a_server_that_trickles(host: Host) -> None:
    started = time.monotonic()
    with pytest.raises(PeerError, match=r"took longer than 0\.2 s"):
        fetched(real(total_s=0.2), f"{host.url}trickle", max_bytes=1000)
    assert time.monotonic() - started < 15, "all of it would take 20 s"


@pytest.mark.attack("deadlines")
def test_a_server_that_sends_nothing_times_out(host: Host) -> None:
    with pytest.raises(PeerError, match=r"cannot be reached: .*timed out"):
        fetched(real(read_s=0.2), f"{host.url}silence", max_bytes=10)


# One session for each peer.


def test_one_connection_serves_all_files_of_a_session(host: Host) -> None:
    with real().connect() as connection:
        for path in ("a.json", "large", "empty", "deep/b.sig", "chunked", "a.json"):
            assert connection.get(host.url + path, max_bytes=200_000)[:3] in {b"", b'{"a', b"xxx", b"00\n", b"abc"}
    assert len(host.asked) == 6
    assert host.connections == 1


def test_each_session_has_its_own_connection(host: Host) -> None:
    for _ in range(2):
        fetched(real(), f"{host.url}a.json", max_bytes=100)
    assert host.connections == 2


def test_a_session_survives_a_response_that_was_not_read(host: Host) -> None:
    with real().connect() as connection:
        with pytest.raises(RejectedDataError, match="larger than 7 bytes"):
            connection.get(f"{host.url}large", max_bytes=7)
        with pytest.raises(PeerError, match="answered 404"):
            connection.get(f"{host.url}none", max_bytes=7)
        assert connection.get(f"{host.url}a.json", max_bytes=100) == FILES["a.json"]


@pytest.mark.attack("credentials")
def test_a_session_sends_no_cookie_back(host: Host) -> None:
    with real().connect() as connection:
        connection.get(f"{host.url}cookie", max_bytes=100)
        connection.get(f"{host.url}a.json", max_bytes=100)
    assert [headers.get("cookie") for _, headers in host.asked] == [None, None]


def test_a_server_that_closes_its_connections_is_connected_to_again(host: Host) -> None:
    with real().connect() as connection:
        for _ in range(2):
            assert connection.get(f"{host.url}closing", max_bytes=100) == b"bye"
    assert host.connections == 2
