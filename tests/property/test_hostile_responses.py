"""A server that may send any bytes: a request returns a response or raises a `TransferError`, within its limits."""

import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Final

import pytest
from hostile_http import hostile_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession

MAX_BYTES: Final = 500
BODY: Final = b"a body of a few bytes"
NUMBERS: Final = st.sampled_from([b"0", b"1", b"15", b"-1", b"9" * 30, b"ffffffffffffffffff", b"+5", b"1e3", b"", b"x"])
HEADERS: Final = st.one_of(
    NUMBERS.map(lambda number: b"Content-Length: " + number),
    st.sampled_from(
        [
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: identity",
            b"Content-Encoding: gzip",
            b"Content-Encoding: br",
            b"Connection: close",
            b"Connection: Upgrade",
            b"Set-Cookie: a=b; Domain=.",
            b"Location: /again",
            b"Location: //[",
            b"Location: \xff\xfe",
            b" folded",
            b": none",
            b"none",
        ]
    ),
    st.binary(max_size=20),
)
STATUS: Final = st.one_of(
    st.sampled_from([b"200 OK", b"100 Continue", b"101 Switching", b"204 None", b"206 Part", b"302 Found"]),
    st.sampled_from([b"304 Same", b"404 None", b"999", b"0200", b"-1", b"2000 X", b"abc", b""]),
)
BODIES: Final = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [BODY, gzip.compress(BODY, mtime=0), gzip.compress(BODY, mtime=0)[:-2], gzip.compress(bytes(5000), mtime=0)]
    ),
    st.lists(st.tuples(NUMBERS, st.binary(max_size=15)), max_size=4).map(
        lambda chunks: b"".join(size + b"\r\n" + data + b"\r\n" for size, data in chunks) + b"0\r\n\r\n"
    ),
)
RESPONSES: Final = st.one_of(
    st.builds(
        lambda version, status, headers, body: (
            version + b" " + status + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body
        ),
        st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2", b"ICY", b""]),
        STATUS,
        st.lists(HEADERS, max_size=5),
        BODIES,
    ),
    st.binary(max_size=60),
)


class AnyServer:
    """Sends the bytes that it was last given."""

    def __init__(self) -> None:
        self.response = b""

    def talk(self, connection: socket.socket, _: threading.Event) -> None:
        connection.sendall(self.response)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[AnyServer, str]]:
    any_server = AnyServer()
    with hostile_server(any_server.talk) as url:
        yield any_server, url


@pytest.mark.fuzz
@pytest.mark.attack("bounded-input")
@given(responses=st.lists(RESPONSES, min_size=1, max_size=3), accept_gzip=st.booleans())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_response(server: tuple[AnyServer, str], responses: list[bytes], accept_gzip: bool) -> None:  # noqa: FBT001
    any_server, url = server
    any_server.response = b"".join(responses)
    limits = TransferLimits(total_s=5.0)
    with BoundedSession("the-pypi-place/0 (fuzz)", limits=limits) as session:
        try:
            response = session.get(url, max_bytes=MAX_BYTES, accept_gzip=accept_gzip, max_redirects=2)
        except TransferError as error:
            message = str(error)
        else:
            message = ""
            assert len(response.body) <= MAX_BYTES
            assert response.status == 200 or not response.body
        assert message.isprintable()
