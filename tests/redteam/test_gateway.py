"""What package code can do through its one socket: to other cells, to the index, and to this machine's disk.

Each attack talks to a cell's own socket, as the code in a cell can, past pip and the forwarder. A neighbour's requests
are answered meanwhile.
"""

import hashlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import pytest
from local_gateway import SocketConnection, ask, gateway_to
from local_index import JSON_TYPE, LocalIndex, reply
from projects import module_project

from ppp.check.gateway.cells import CellLimits
from ppp.check.gateway.gateway import Gateway
from ppp.check.gateway.relay import MAX_CONNECTIONS

pytestmark = pytest.mark.nginx

PROJECT: Final = module_project("quiet", "")
HTML: Final = {"Content-Type": "text/html"}
SHA256: Final = hashlib.sha256(PROJECT.build()).hexdigest()
FILE: Final = f"/-/quiet/{SHA256}/{PROJECT.filename}"
#: How long a neighbour may have to wait for an answer, in seconds: much longer than it takes without an attack.
PATIENCE_S: Final = 10
#: More than this the gateway may not write, whatever it is asked.
MAX_LOG_BYTES: Final = 64 * 1024


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as opened:
        opened.add(PROJECT)
        yield opened


@pytest.fixture
def running(index: LocalIndex, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_to(index, tmp_path) as running:
        yield running


@pytest.fixture
def attacker(running: Gateway) -> Iterator[Path]:
    with running.cell_socket() as path:
        yield path


@pytest.fixture
def neighbour(running: Gateway) -> Iterator[Path]:
    with running.cell_socket() as path:
        yield path


def assert_served(running: Gateway, cell: Path) -> None:
    """Check that a cell gets a page and a file."""
    started = time.monotonic()
    assert ask(cell, f"{running.path}quiet/", Accept=JSON_TYPE)[0] == 200
    assert ask(cell, FILE) == (200, PROJECT.build())
    assert time.monotonic() - started < PATIENCE_S


def connect(path: Path) -> socket.socket:
    """Return a new connection; raise `BlockingIOError` if the queue of the socket is full."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(0)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def exchange(path: Path, request: bytes) -> bytes:
    """Send bytes, and return what comes back until the connection is closed."""
    received = bytearray()
    with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
        connection.settimeout(PATIENCE_S)
        connection.connect(str(path))
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            received += data
    return bytes(received)


# ---------------------------------------------------------------- connections


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize(
    "first",
    [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n", b"\r\n", b"\0" * 100, f"GET {FILE} HTTP/1.1\r\n\r\n".encode()],
    ids=["silent", "one byte", "half a header", "empty line", "zeros", "unread answers"],
)
def test_thousands_of_connections_of_one_cell_leave_room_for_its_neighbour(
    running: Gateway, attacker: Path, neighbour: Path, first: bytes
) -> None:
    with ExitStack() as stack:
        opened = 0
        for _ in range(2500):
            with suppress(OSError):
                connection = stack.enter_context(connect(attacker))
                opened += 1
                connection.send(first)
        assert opened >= MAX_CONNECTIONS
        for _ in range(3):
            assert_served(running, neighbour)


@pytest.mark.attack("separate-cells")
def test_a_cell_that_closed_its_connections_is_served_again(running: Gateway, attacker: Path) -> None:
    for _ in range(3):
        with ExitStack() as stack:
            for _ in range(50):
                with suppress(OSError):
                    stack.enter_context(connect(attacker)).send(b"G")
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            assert_served(running, attacker)
        except BlockingIOError:
            # The connections that wait in the queue are seen to be closed one after the other.
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.mark.attack("separate-cells")
def test_slow_pages_of_one_cell_leave_room_for_its_neighbour(
    index: LocalIndex, running: Gateway, attacker: Path, neighbour: Path
) -> None:
    def wait(_: object) -> None:
        time.sleep(PATIENCE_S)

    with ExitStack() as stack:
        for number in range(MAX_CONNECTIONS):
            index.set_response(f"/simple/slow{number}/", wait)
            connection = stack.enter_context(connect(attacker))
            connection.send(f"GET {running.path}slow{number}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(0.3)
        started = time.monotonic()
        assert ask(neighbour, f"{running.path}quiet/")[0] == 200
        assert time.monotonic() - started < PATIENCE_S / 2
    slow = [path for path in index.request_counts if "slow" in path]
    assert len(slow) == CellLimits().pages_at_once


@pytest.mark.attack("separate-cells")
@pytest.mark.parametrize("greeting", ["PROXY TCP6 ::2 :: 0 0\r\n", "PROXY UNKNOWN\r\n", "X-Cell: ::2\r\n"])
def test_no_cell_can_take_another_ones_address(
    running: Gateway, attacker: Path, neighbour: Path, greeting: str
) -> None:
    """What a cell sends counts against that cell: the neighbour has the address ::2."""
    cells = running.page_server.cells
    for number in range(cells.limits.failures + 5):
        request = f"GET {running.path}absent{number}/ HTTP/1.1\r\nHost: x\r\nX-Cell: ::2\r\nConnection: close\r\n\r\n"
        exchange(attacker, f"{greeting if number % 2 else ''}{request}".encode())
    cells.check("::2")
    assert_served(running, neighbour)


# ---------------------------------------------------------------- what reaches the index


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 20",
        "Content-Length: 99999999999",
        "Transfer-Encoding: chunked",
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Content-Length: 0\r\nContent-Length: 20",
        "Expect: 100-continue\r\nContent-Length: 20",
        "Connection: Content-Length\r\nContent-Length: 20",
        "Upgrade: websocket\r\nConnection: Upgrade",
        "Cookie: a=b\r\nAuthorization: Basic eDp5\r\nProxy-Authorization: Basic eDp5\r\nReferer: http://x/",
    ],
)
def test_nothing_of_a_request_but_its_path_reaches_the_index(
    index: LocalIndex, running: Gateway, attacker: Path, headers: str
) -> None:
    smuggled = b"14\r\nGET /simple/secret/ HTTP/1.1\r\nHost: x\r\n\r\n0\r\n\r\n"
    for path in (f"{running.path}quiet/", FILE):
        exchange(attacker, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n{headers}\r\n\r\n".encode() + smuggled)
    assert not [path for path in index.request_counts if "secret" in path]
    for sent in index.request_headers:
        assert sent.keys() <= {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection", "Cache-Control"}
        assert sent["Host"] == index.host


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/simple/quiet/",
        "/files/quiet/{name}",
        "/feed",
        "/-/quiet/{sha}/../../../feed",
        "/-/quiet/{sha}/..%2f..%2f..%2ffeed",
        "/-/quiet/{sha}/%2e%2e/%2e%2e/%2e%2e/feed",
        "/-/quiet/{other}/{name}",
        "/-/unlisted/{sha}/{name}",
        "/-/quiet/{sha}/{name}.metadata",
        "/-/../page/0000000000000000/quiet/json",
        "/page/0000000000000000/quiet/json",
        "/store/{sha}/{name}",
        "//store/{sha}/{name}",
        "/-/store/{sha}/{name}",
        "{view}quiet/../../store/{sha}/{name}",
        "{view}QUIET/",
        "{view}quiet%0d%0aX:%20y/",
        "{view}..%2f..%2ffeed/",
        "http://169.254.169.254/latest/",
        "http://{host}/feed",
        "*",
    ],
)
def test_only_pages_and_the_files_on_them_can_be_got(
    index: LocalIndex, running: Gateway, attacker: Path, neighbour: Path, path: str
) -> None:
    index.set_response("/feed", reply(b"not for cells"))
    assert_served(running, neighbour)
    index.request_counts.clear()
    values = {"sha": SHA256, "other": SHA256[::-1], "name": PROJECT.filename, "view": running.path, "host": index.host}
    for method in ("GET", "HEAD"):
        answer = exchange(attacker, f"{method} {path.format(**values)} HTTP/1.1\r\nHost: {index.host}\r\n\r\n".encode())
        assert not answer.startswith(b"HTTP/1.1 2"), answer
        assert b"not for cells" not in answer
    assert set(index.request_counts) <= {"/simple/unlisted/", "/simple/store/"}, "a page, to see what it lists"


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "TRACE", "OPTIONS", "PRI", "get"])
def test_nothing_but_reading_is_possible(index: LocalIndex, running: Gateway, attacker: Path, method: str) -> None:
    for path in (f"{running.path}quiet/", FILE, f"{index.host}"):
        answer = exchange(attacker, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".encode())
        assert not answer.startswith(b"HTTP/1.1 2"), answer
    assert index.request_counts == {}


# ---------------------------------------------------------------- disk, and the index's patience


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("where", ["page", "file"])
def test_arguments_make_no_new_entries_in_the_caches(
    index: LocalIndex, running: Gateway, attacker: Path, tmp_path: Path, where: str
) -> None:
    assert_served(running, attacker)
    before = stored(tmp_path)
    index.request_counts.clear()
    path = FILE if where == "file" else f"{running.path}quiet/"
    for number in range(300):
        assert ask(attacker, f"{path}?x={number}", Accept=JSON_TYPE)[0] == 200
    for name in ("other.whl", "quiet-9.whl", "x"):
        ask(attacker, f"/-/quiet/{SHA256}/{name}")
    assert stored(tmp_path) == before
    assert index.request_counts == {}


def stored(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.attack("bounded-input")
def test_pages_that_do_not_exist_are_asked_for_a_limited_number_of_times(
    index: LocalIndex, running: Gateway, attacker: Path, neighbour: Path
) -> None:
    limit = running.page_server.cells.limits.failures
    answers = set()
    for number in range(limit + 50):
        try:
            answers.add(ask(attacker, f"{running.path}absent{number}/")[0])
        except http.client.RemoteDisconnected:
            answers.add(0)
    assert answers == {404, 0}
    assert sum(index.request_counts.values()) == limit
    with pytest.raises(http.client.RemoteDisconnected):
        ask(attacker, f"{running.path}quiet/")
    assert_served(running, neighbour)


@pytest.mark.attack("bounded-input")
def test_files_that_the_index_does_not_serve_are_asked_for_a_limited_number_of_times(
    index: LocalIndex, running: Gateway, attacker: Path
) -> None:
    index.set_response(f"/files/quiet/{PROJECT.filename}", reply(b"wrong"))
    limit = running.page_server.cells.limits.failures
    for _ in range(limit + 20):
        with pytest.raises(http.client.RemoteDisconnected):
            ask(attacker, FILE)
    assert index.request_counts[f"/files/quiet/{PROJECT.filename}"] == limit


@pytest.mark.attack("bounded-input")
def test_requests_write_no_log(index: LocalIndex, running: Gateway, attacker: Path) -> None:
    index.set_response("/simple/broken/", reply(status=500))
    requests = [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 8000 + b"\r\n",
        b"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"PROXY TCP4 x\r\n",
        b"\x16\x03\x01\x02\x00",
        f"GET {running.path}broken/ HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        f"GET {FILE} HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".encode(),
        f"GET {FILE} HTTP/1.1\r\nHost: x\r\nRange: bytes={'0-0,' * 1000}\r\n\r\n".encode(),
        f"GET /-/quiet/{'0' * 64}/x HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ]
    for _ in range(40):
        for request in requests:
            exchange(attacker, request)
    run = running.socket.parent
    assert sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) < MAX_LOG_BYTES


@pytest.mark.attack("bounded-input")
def test_a_body_is_not_stored(running: Gateway, attacker: Path) -> None:
    run = running.socket.parent
    for path in (f"{running.path}quiet/", FILE, "/"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(attacker))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000000\r\n\r\n".encode())
            for _ in range(200):
                connection.sendall(b"x" * 65536)
    assert sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) < MAX_LOG_BYTES


# ---------------------------------------------------------------- bytes


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("wrong", [b"", b"other", PROJECT.build() + b"\n", PROJECT.build()[:-1]])
def test_a_file_that_was_wrong_once_is_right_for_the_next_cell(
    index: LocalIndex, attacker: Path, neighbour: Path, wrong: bytes
) -> None:
    path = f"/files/quiet/{PROJECT.filename}"
    index.set_response(path, reply(wrong))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(attacker, FILE)
    index.set_response(path, reply(PROJECT.build()))
    assert ask(neighbour, FILE) == (200, PROJECT.build())


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("change", ["overwritten", "cut", "removed", "a link", "a folder"])
def test_a_stored_file_that_has_changed_is_fetched_again(
    attacker: Path, neighbour: Path, tmp_path: Path, change: str
) -> None:
    assert ask(attacker, FILE) == (200, PROJECT.build())
    (path,) = (tmp_path / "stored" / SHA256).iterdir()
    content = path.read_bytes()
    path.unlink()
    match change:
        case "overwritten":
            path.write_bytes(b"x" * len(content))
        case "cut":
            path.write_bytes(content[:-1])
        case "a link":
            path.symlink_to("/etc/passwd")
        case "a folder":
            path.mkdir()
    assert ask(neighbour, FILE) == (200, PROJECT.build())


@pytest.mark.attack("same-bytes")
def test_the_page_decides_which_file_is_right_not_the_cache(index: LocalIndex, tmp_path: Path) -> None:
    """A file of the same name with another hash is another file, in the next run too."""
    other = b"another file of this name"
    with gateway_to(index, tmp_path) as running, running.cell_socket() as cell:
        assert_served(running, cell)
    page = f'<a href="/files/quiet/new#sha256={hashlib.sha256(other).hexdigest()}">{PROJECT.filename}</a>'
    index.set_response("/simple/quiet/", reply(page.replace("/new", f"/{PROJECT.filename}").encode(), headers=HTML))
    index.set_response(f"/files/quiet/{PROJECT.filename}", reply(other))
    with gateway_to(index, tmp_path, page_lifetime="1s") as running, running.cell_socket() as cell:
        time.sleep(1.1)
        deadline = time.monotonic() + PATIENCE_S
        while (url := first_file(running, cell)) == FILE and time.monotonic() < deadline:
            time.sleep(0.2)
        assert ask(cell, url) == (200, other)


def first_file(running: Gateway, cell: Path) -> str:
    running.limit_to_tags(["py3-none-any"])
    _, page = ask(cell, f"{running.path}quiet/", Accept=JSON_TYPE)
    return str(json.loads(page)["files"][0]["url"])


@pytest.mark.attack("separate-cells")
def test_a_keepalive_connection_of_an_ended_cell_is_closed(running: Gateway) -> None:
    with running.cell_socket() as cell:
        connection = SocketConnection(cell)
        connection.request("GET", f"{running.path}quiet/")
        connection.getresponse().read()
    assert connection.sock is not None
    assert connection.sock.recv(1) == b""
    connection.close()
