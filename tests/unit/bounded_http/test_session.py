"""What a bounded session returns, and where it stops: tried on real servers on loopback."""

import gzip
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from hostile_http import (
    CERTIFICATE,
    CHUNKED,
    DRIPS,
    FLOODS,
    OK,
    TLS_DRIPS,
    Talk,
    answer,
    bomb,
    hostile_server,
    once,
    read_request,
    silent_port,
)

from ppp.bounded_http.limits import (
    ForbiddenRedirectError,
    TransferError,
    TransferLimits,
    TransferTimeoutError,
    TransferTooLargeError,
    UnexpectedEncodingError,
)
from ppp.bounded_http.session import BoundedSession, Response, same_origin
from ppp.model.credentials import Credentials, origin_of

#: A deadline, and a bound by which a request must have ended on a machine with much other work.
DEADLINE_S: Final = 0.4
ENDED_S: Final = 10.0
MAX_BYTES: Final = 1000


def session(**changes: Any) -> BoundedSession:
    limits = TransferLimits(**{"total_s": DEADLINE_S, **changes})
    return BoundedSession("the-pypi-place/0 (unit)", limits=limits)


def get(url: str, *, max_bytes: int = MAX_BYTES, **options: Any) -> Response:
    with session(total_s=ENDED_S) as requests:
        return requests.get(url, max_bytes=max_bytes, **options)


def fails(error: type[TransferError], request: Callable[[], object]) -> str:
    """Check that a request fails in time and with this error; return the message."""
    started = time.monotonic()
    with pytest.raises(error) as failure:
        request()
    assert time.monotonic() - started < ENDED_S
    assert str(failure.value).isprintable()
    return str(failure.value)


# Time.


@pytest.mark.parametrize("name", DRIPS)
def test_the_deadline_ends_a_request(name: str) -> None:
    with hostile_server(DRIPS[name]) as url, session() as requests:
        message = fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=10**6, max_redirects=1000))
        assert message == "took longer than 0.4 s"


@pytest.mark.parametrize("name", TLS_DRIPS)
def test_the_deadline_ends_a_request_over_tls(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(CERTIFICATE))
    with hostile_server(TLS_DRIPS[name], tls=True) as url, session() as requests:
        fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=MAX_BYTES))


def test_the_deadline_ends_a_connection_that_nobody_accepts() -> None:
    with silent_port() as url, session() as requests:
        fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=MAX_BYTES))


def test_the_deadline_ends_a_post() -> None:
    with hostile_server(DRIPS["header-line"]) as url, session() as requests:
        fails(TransferTimeoutError, lambda: requests.post(url, b"{}", content_type="application/json"))


def test_the_deadline_ends_a_tunnel_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile_server(DRIPS["header-lines"]) as proxy, session() as requests:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        fails(TransferTimeoutError, lambda: requests.get("https://node.example/", max_bytes=MAX_BYTES))


def test_the_deadline_ends_a_name_that_is_not_resolved() -> None:
    over = threading.Event()

    def resolve(*_: object) -> list[Any]:
        over.wait(30)
        return []

    limits = TransferLimits(total_s=DEADLINE_S)
    with BoundedSession("unit", limits=limits, resolve=resolve) as requests:
        fails(TransferTimeoutError, lambda: requests.get("http://node.example/", max_bytes=MAX_BYTES))
    over.set()


def test_many_addresses_that_do_not_answer_share_one_deadline() -> None:
    with silent_port() as url:
        port = int(url.rstrip("/").rpartition(":")[2])

        def resolve(*_: object) -> list[Any]:
            return [(2, 1, 6, "", ("127.0.0.1", port))] * 1000

        limits = TransferLimits(connect_s=0.05, total_s=DEADLINE_S)
        with BoundedSession("unit", limits=limits, resolve=resolve) as requests:
            fails(TransferTimeoutError, lambda: requests.get(f"http://node.example:{port}/", max_bytes=MAX_BYTES))


def test_a_name_that_does_not_exist_is_no_timeout() -> None:
    def resolve(*_: object) -> list[Any]:
        raise OSError("no such name")

    with BoundedSession("unit", resolve=resolve) as requests:
        message = fails(TransferError, lambda: requests.get("http://node.example/", max_bytes=MAX_BYTES))
    assert message == "cannot be reached: no such name"


def test_a_deadline_of_the_caller_shortens_that_of_the_session() -> None:
    with hostile_server(DRIPS["body"]) as url, session(total_s=60) as requests:
        fails(
            TransferTimeoutError,
            lambda: requests.get(url, max_bytes=10**6, deadline=time.monotonic() + DEADLINE_S),
        )
        fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=10**6, deadline=time.monotonic() - 1))


def test_a_server_that_sends_nothing_times_out_before_the_deadline() -> None:
    with hostile_server(DRIPS["silence"]) as url, session(total_s=60, read_s=0.2) as requests:
        assert "timed out" in fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=MAX_BYTES))


def test_nothing_is_left_open(recwarn: pytest.WarningsRecorder) -> None:
    threads = threading.active_count()
    with hostile_server(DRIPS["trailers"]) as url, session() as requests:
        fails(TransferTimeoutError, lambda: requests.get(url, max_bytes=MAX_BYTES))
    assert threading.active_count() == threads
    assert not recwarn.list


def test_the_deadline_ends_a_request_for_headers() -> None:
    with hostile_server(DRIPS["continue"]) as url, session() as requests:
        fails(TransferTimeoutError, lambda: requests.head(url))


# Bytes.


@pytest.mark.parametrize("name", FLOODS)
def test_a_response_without_end_is_not_read_on(name: str) -> None:
    with hostile_server(FLOODS[name]) as url, session(total_s=60) as requests:
        fails(TransferError, lambda: requests.get(url, max_bytes=100_000))


def test_a_body_larger_than_allowed_is_refused() -> None:
    with hostile_server(once(answer(b"x" * (MAX_BYTES + 1)))) as url:
        assert fails(TransferTooLargeError, lambda: get(url)) == "is larger than 1,000 bytes"


@pytest.mark.parametrize("size", [0, 1, MAX_BYTES])
def test_a_body_is_returned_unchanged(size: int) -> None:
    body = bytes(n % 256 for n in range(size))
    with hostile_server(once(answer(body, "X-Name: value"))) as url:
        response = get(url)
    assert (response.status, response.body, response.headers["x-name"]) == (200, body, "value")


def test_a_chunked_body_with_extensions_and_trailers_is_returned() -> None:
    with hostile_server(once(CHUNKED + b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-T: 1\r\n\r\n")) as url:
        assert get(url).body == b"abcde"


def test_interim_responses_are_skipped() -> None:
    with hostile_server(once(b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + answer(b"abc"))) as url:
        assert get(url).body == b"abc"


def test_a_body_that_is_cut_short_is_refused() -> None:
    with hostile_server(once(OK + b"Content-Length: 8\r\n\r\nhalf")) as url:
        assert "cannot be reached" in fails(TransferError, lambda: get(url))


def test_a_body_is_passed_on_while_it_arrives(tmp_path: Path) -> None:
    body = b"x" * 300_000
    with hostile_server(once(answer(body))) as url, (tmp_path / "file").open("wb") as file:
        response = get(url, max_bytes=len(body), write=file.write)
    assert response.body == b""
    assert (tmp_path / "file").read_bytes() == body


def test_an_error_of_the_callers_file_is_not_one_of_the_network() -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    with hostile_server(once(answer(b"abc"))) as url, pytest.raises(OSError, match="No space left"):
        get(url, write=full)


def close_at_the_second(asked: list[int], last_words: bytes = b"") -> Talk:
    """Answer the first request of a connection; close the connection once the second one was read."""

    def talk(connection: socket.socket, _: threading.Event) -> None:
        asked.append(1)
        connection.sendall(answer(b""))
        if read_request(connection):
            asked.append(2)
            connection.sendall(last_words)

    return talk


def get_of(requests: BoundedSession, url: str) -> Response:
    return requests.get(url, max_bytes=MAX_BYTES)


def post(requests: BoundedSession, url: str) -> Response:
    return requests.post(url, b"{}", content_type="text/xml", max_bytes=MAX_BYTES)


def test_the_answer_to_a_body_is_read_only_if_it_is_wanted() -> None:
    with hostile_server(once(answer(b"yes"))) as url, session() as requests:
        assert requests.post(url, b"{}", content_type="text/xml").body == b""
        assert requests.post(url, b"{}", content_type="text/xml", max_bytes=3).body == b"yes"
        parts: list[bytes] = []
        assert requests.post(url, b"{}", content_type="text/xml", max_bytes=3, write=parts.append).body == b""
        assert parts == [b"yes"]
        message = fails(TransferTooLargeError, lambda: requests.post(url, b"{}", content_type="text/xml", max_bytes=2))
    assert "larger than 2 bytes" in message


@pytest.mark.parametrize("send", [get_of, post], ids=["get", "post"])
def test_a_kept_connection_that_the_server_closes_is_replaced(send: Callable[[BoundedSession, str], Response]) -> None:
    """The server closes it only when it reads the second request: no client can know before."""
    asked: list[int] = []
    with hostile_server(close_at_the_second(asked)) as url, session(total_s=ENDED_S) as requests:
        assert [send(requests, url).status for _ in range(3)] == [200, 200, 200]
    assert asked == [1, 2, 1, 2, 1]


def test_the_server_of_these_tests_reads_a_body_that_comes_apart_from_its_headers() -> None:
    """Else it would take the body for a second request, and close a connection that nobody used again."""
    asked: list[int] = []
    with (
        hostile_server(close_at_the_second(asked)) as url,
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=ENDED_S) as connection,
    ):
        # As long as the server would need to answer too early.
        connection.settimeout(0.1)
        for part in (b"POST / HTTP/1.1\r\ncontent-length: 4\r", b"\n\r\n", b"ab"):
            connection.sendall(part)
            with pytest.raises(TimeoutError):
                connection.recv(1)
        connection.settimeout(ENDED_S)
        connection.sendall(b"cd")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert asked == [1]


def test_a_new_connection_that_the_server_closes_is_an_error() -> None:
    asked: list[int] = []

    def close(_connection: socket.socket, _over: threading.Event) -> None:
        asked.append(1)

    with hostile_server(close) as url:
        fails(TransferError, lambda: get(url))
    assert asked == [1]


def test_a_kept_connection_that_begins_a_response_is_not_replaced() -> None:
    asked: list[int] = []
    with hostile_server(close_at_the_second(asked, last_words=b"HTTP/1.1 2")) as url, session() as requests:
        assert post(requests, url).status == 200
        fails(TransferError, lambda: post(requests, url))
    assert asked == [1, 2]


def test_only_the_body_of_a_success_is_read() -> None:
    with hostile_server(once(answer(b"x" * 10**6, status="404 Not Found"))) as url:
        assert get(url).status == 404
        assert get(url).body == b""


# Compression.


def gzipped(body: bytes) -> Talk:
    return once(answer(body, "Content-Encoding: gzip"))


def test_a_compressed_body_is_decompressed_only_if_it_was_asked_for() -> None:
    packed = gzip.compress(b"abc" * 100)
    with hostile_server(gzipped(packed)) as url:
        assert get(url, accept_gzip=True).body == b"abc" * 100
        assert "content-encoding" not in get(url, accept_gzip=True).headers
        assert get(url).body == packed
        assert get(url).headers["content-encoding"] == "gzip"


def test_a_body_that_unpacks_to_the_limit_is_returned() -> None:
    with hostile_server(gzipped(bomb(10**6))) as url:
        assert get(url, accept_gzip=True, max_bytes=10**6).body == bytes(10**6)


def test_a_body_that_unpacks_to_more_is_refused() -> None:
    with hostile_server(gzipped(bomb(50_000_000))) as url:
        assert "is larger than 100,000 bytes" in fails(
            TransferTooLargeError, lambda: get(url, accept_gzip=True, max_bytes=100_000)
        )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"plain", "is not valid gzip"),
        (gzip.compress(b"abc", mtime=0)[:-1], "cut short"),
        (gzip.compress(b"abc", mtime=0) + b"more", "after the end"),
        (gzip.compress(b"abc", mtime=0) * 2, "after the end"),
        (b"", "cut short"),
    ],
)
def test_an_invalid_gzip_stream_is_refused(body: bytes, message: str) -> None:
    with hostile_server(gzipped(body)) as url:
        assert message in fails(TransferError, lambda: get(url, accept_gzip=True))


def test_an_encoding_that_was_not_asked_for_is_refused() -> None:
    with hostile_server(once(answer(b"abc", "Content-Encoding: br"))) as url:
        assert "was sent compressed, as br" in fails(UnexpectedEncodingError, lambda: get(url, accept_gzip=True))
        fails(UnexpectedEncodingError, lambda: get(url, accept_raw={"identity", "gzip"}))
        assert get(url, accept_raw={"br"}).body == b"abc"


# Redirects and credentials.


def moved(location: str) -> Talk:
    return once(answer(b"", f"Location: {location}", status="302 Found"))


def test_a_redirect_is_returned_unless_it_may_be_followed() -> None:
    with hostile_server(moved("/there")) as url:
        response = get(url)
        assert (response.status, response.headers["location"]) == (302, "/there")
        assert fails(ForbiddenRedirectError, lambda: get(url, max_redirects=2)) == "redirects more than 2 times"


@pytest.mark.parametrize("location", ["http://other.example/", "//other.example/", "file:///etc/passwd", "javascript:"])
def test_a_redirect_to_another_host_is_not_followed(location: str) -> None:
    with hostile_server(moved(location)) as url:
        assert "redirects to another host" in fails(ForbiddenRedirectError, lambda: get(url, max_redirects=2))


def test_a_redirect_that_the_caller_allows_is_followed() -> None:
    with hostile_server(once(answer(b"there"))) as there, hostile_server(moved(there)) as url:
        response = get(url, max_redirects=1, allow_redirect=lambda *_: True)
    assert (response.body, response.url) == (b"there", there)


def test_the_body_of_a_redirecting_response_is_not_read() -> None:
    with hostile_server(
        once(answer(bomb(50_000_000), "Location: http://other.example/", "Content-Encoding: gzip", status="302 Found"))
    ) as url:
        assert get(url).body == b""


def test_credentials_are_given_by_the_caller_anew_for_each_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    received: list[bytes] = []

    def record(response: bytes) -> Talk:
        def talk(connection: socket.socket, _: threading.Event) -> None:
            received.append(connection.recv(65_536))
            connection.sendall(response)

        return talk

    with hostile_server(record(answer(b"there")), reads_request=False) as there:
        redirect = answer(b"", f"Location: {there}", "Set-Cookie: visitor=1", status="302 Found")
        with hostile_server(record(redirect), reads_request=False) as url:
            place = url.replace("http://", "http://user:word@")
            credentials = Credentials(origin=origin_of(url) or "", user="right", password="one")
            with BoundedSession("unit", credentials=credentials) as requests:
                requests.get(place, max_bytes=MAX_BYTES, max_redirects=1, allow_redirect=lambda *_: True)
    first, second = (request.lower() for request in received)
    assert first.count(b"authorization") == 1
    assert f"authorization: basic {b64encode(b'right:one').decode()}\r\n".lower().encode() in first
    assert b"authorization" not in second
    assert b"cookie" not in second


def test_same_origin() -> None:
    assert same_origin("http://a.example/x", "http://a.example/y")
    for other in ("https://a.example/x", "http://a.example:80/x", "http://b.example/x"):
        assert not same_origin("http://a.example/x", other)


def test_an_address_of_ipv6_is_reached() -> None:
    with hostile_server(once(answer(b"abc")), host="::1") as url:
        assert url.startswith("http://[::1]:")
        assert get(url).body == b"abc"
