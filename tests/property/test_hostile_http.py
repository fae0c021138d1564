"""A server that may send anything at all, at any pace: a body within its limit, or one of our errors, in time."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import pytest
from hostile_strings import unsafe_characters
from hypothesis import given, settings
from hypothesis import strategies as st

from ppp.bounded_http.limits import TransferLimits
from ppp.mesh.fetch import HttpTransport
from ppp.model.errors import PeerError, RejectedDataError

LIMITS: Final = TransferLimits(connect_s=2, read_s=0.3, total_s=0.5)
MAX_BYTES: Final = 10_000
#: Generous: without the limits, some of these last as long as the server likes.
MAX_S: Final = 15.0

_STATUS_LINES: Final = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n"] * 6
    + [b"HTTP/1.1 %d X\r\n" % status for status in (100, 101, 204, 301, 304, 404, 999)]
    + [b"HTTP/1.0 200\r\n", b"HTTP/9.9 200 OK\r\n", b"ICY 200 OK\r\n", b"HTTP/1.1 200 " + b"x" * 70_000, b"\r\n", b""]
)
_HEADERS: Final = st.sampled_from(
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\n",
        b"Content-Encoding: deflate, br, zstd, gzip\r\n",
        b"Connection: close\r\n",
        b"Location: /again\r\n",
        b"Location: //elsewhere.example/\r\n",
        b"Location: http://[\r\n",
        b"Location: \xff\xfe\x1b[2J\r\n",
        b"Set-Cookie: a=b\r\n" * 50,
        b"X: " + b"y" * 70_000 + b"\r\n",
        b"X: y\r\n" * 2_000,
        b" folded\r\n",
        b"no colon\r\n",
        b"\x00: \x00\r\n",
        b"",
    ]
)
_BODIES: Final = st.sampled_from(
    [
        b"hello",
        b"",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 70_000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0\r\n" + b"T: x\r\n" * 3_000,
        b"-5\r\nhello\r\n",
        b"ffffffffffffffffffff\r\nhello",
        b"5\r\nhello" * 3_000,
        b"1\r\nx\r\n" * 12_000,
        b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" * 5,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000,
        b"\x1f\x8b\x08\x00",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What the server sends to each connection: parts, after each of which it may wait; and whether it then closes."""

    parts: tuple[bytes, ...]
    waits: bool
    repeats: bool
    closes: bool


def _response(status: bytes, headers: list[bytes], body: bytes) -> bytes:
    return status + b"".join(headers) + b"\r\n" + body


SCRIPTS: Final = st.builds(
    Script,
    parts=st.lists(
        st.one_of(st.builds(_response, _STATUS_LINES, st.lists(_HEADERS, max_size=3), _BODIES), _BODIES, st.binary()),
        min_size=1,
        max_size=3,
    ).map(tuple),
    waits=st.sampled_from([False, False, False, True]),
    repeats=st.sampled_from([False, False, False, True]),
    closes=st.sampled_from([True, True, True, False]),
)


@contextmanager
def serving(script: Script) -> Iterator[int]:
    """Serve a script on a port of its own."""
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=_serve, args=(listening, script, stopped))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            thread.join()


def _serve(listening: socket.socket, script: Script, stopped: threading.Event) -> None:
    while not stopped.is_set():
        with suppress(TimeoutError), listening.accept()[0] as connection, suppress(OSError):
            connection.settimeout(1)
            connection.recv(65_536)
            _send(connection, script, stopped)


def _send(connection: socket.socket, script: Script, stopped: threading.Event) -> None:
    while True:
        for part in script.parts:
            connection.sendall(part)
            if script.waits:
                stopped.wait(0.02)
        if not script.repeats or stopped.is_set():
            break
    if not script.closes:
        stopped.wait(MAX_S)


@pytest.mark.fuzz
@pytest.mark.attack("deadlines")
@given(script=SCRIPTS, name=st.sampled_from(["statement.json", "batches/x.json.gz"]))
@settings(max_examples=40)
def test_a_server_that_sends_anything_is_left_in_time(script: Script, name: str) -> None:
    threads = threading.active_count()
    transport = HttpTransport(user_agent="tests", limits=LIMITS, peer_s=1)
    with serving(script) as port:
        started = time.monotonic()
        error: PeerError | RejectedDataError | None = None
        try:
            with transport.connect() as connection:
                assert len(connection.get(f"http://127.0.0.1:{port}/{name}", max_bytes=MAX_BYTES)) <= MAX_BYTES
        except (PeerError, RejectedDataError) as found:
            error = found
        assert time.monotonic() - started < MAX_S
    assert unsafe_characters(str(error or ""), keep="") == set()
    assert threading.active_count() <= threads
