"""The public server, asked for files outside of the web root, and for a file in thousands of pieces."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

import pytest

from ppp.mesh.serve import create_app
from ppp.web_server import create_server, open_socket

SECRET: Final = b"the node's secret key"
MIB: Final = 1024 * 1024
#: Generous: a flood of ranges used to take minutes.
MAX_S: Final = 20.0


@pytest.fixture(scope="module", name="port")
def _port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server whose web root has secrets beside and below it, and links to them."""
    data = tmp_path_factory.mktemp("data")
    (public := data / "public").mkdir()
    for place in (data / "node.key", data / "ppp.db", data / "public.key"):
        place.write_bytes(SECRET)
    (public / "current.json").write_bytes(b"{}")
    (public / "index.html").write_bytes(b"front")
    (public / "large.db").write_bytes(bytes(8 * MIB))
    (public / "link").symlink_to(data / "node.key")
    (public / "folder").symlink_to(data)
    os.mkfifo(public / "pipe")
    running = create_server(create_app(public, trusted=set, on_announce=print))
    with open_socket("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        running.should_exit = True
        thread.join(30)


def answer(port: int, target: bytes, *headers: bytes) -> bytes:
    """Return the whole response to a request for any target, sent as it is."""
    lines = [b"GET " + target + b" HTTP/1.1", b"Host: node.example", b"Connection: close", *headers]
    with socket.create_connection(("127.0.0.1", port), timeout=MAX_S) as client:
        client.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        found = bytearray()
        while data := client.recv(65536):
            found += data
    return bytes(found)


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize(
    "target",
    [
        b"/../node.key",
        b"/..%2fnode.key",
        b"/%2e%2e/node.key",
        b"/%2e%2e%2fnode.key",
        b"/..%5cnode.key",
        b"/%252e%252e%252fnode.key",
        b"/.%00./node.key",
        b"/..;/node.key",
        b"/x/../../node.key",
        b"//../node.key",
        b"/../public.key",
        b"/../ppp.db",
        b"/current.json/../../node.key",
        b"http://node.example/../node.key",
        b"/link",
        b"/folder/node.key",
        b"/folder/ppp.db",
        b"/proc/self/environ",
        b"//etc/passwd",
        b"/%2fetc%2fpasswd",
        b"/\xc0\xae\xc0\xae/node.key",
        b"/%c0%ae%c0%ae/node.key",
        b"/%uff0e%uff0e/node.key",
        b"/current.json%00.key",
        b"/pipe",
    ],
    ids=ascii,
)
def test_nothing_outside_the_web_root_is_served(port: int, target: bytes) -> None:
    found = answer(port, target)
    assert SECRET not in found
    assert b"root:" not in found
    assert found[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 405"}, found[:200]
    assert answer(port, b"/current.json").endswith(b"{}")


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize(
    "ranges",
    [
        b",".join(b"%d-%d" % (n, n) for n in range(0, 10_000, 2)),
        b",".join([b"0-"] * 15_000),
        b",".join([b"-1"] * 15_000),
        b"0-" + b"9" * 40_000,
        b"9" * 5_000 + b"-",
        b"," * 50_000,
        b"5-1,1-0,-0,a-b,0x1-2",
        b"-",
        b"0-0," + b" " * 40_000,
    ],
    ids=["apart", "all", "last", "digits", "large", "commas", "invalid", "empty", "spaces"],
)
def test_many_ranges_cost_no_more_than_the_file(port: int, ranges: bytes) -> None:
    started = time.monotonic()
    found = answer(port, b"/large.db", b"Range: bytes=" + ranges)
    assert time.monotonic() - started < MAX_S
    assert int(found[9:12]) in {200, 206, 400, 416, 431}, found[:200]
    assert len(found) < 9 * MIB
    assert answer(port, b"/current.json").endswith(b"{}")


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize(
    "header",
    [b"If-Range: " + b"x" * 30_000, b"If-None-Match: " + b'"a",' * 10_000, b"If-Modified-Since: " + b"9" * 30_000],
    ids=["if-range", "if-none-match", "if-modified-since"],
)
def test_conditions_of_any_form_are_answered(port: int, header: bytes) -> None:
    found = answer(port, b"/current.json", header, b"Range: bytes=0-0")
    assert int(found[9:12]) in {200, 206, 304, 400, 431}, found[:200]
