"""No connection outlives its session, however a request failed and whoever still holds the error."""

import gc
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import pytest
from hostile_http import CHUNKED, DRIPS, FLOODS, OK, TLS_DRIPS, Talk, answer, hostile_server, once

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession

LIMITS: Final = TransferLimits(total_s=0.25, read_s=0.2, connect_s=0.2)
#: How long the end of a connection takes at most: it is closed before the session's `close` returns.
SEEN_S: Final = 5.0


class UnwantedError(Exception):
    """A caller does not want what it is given."""


def refuse(*_: object) -> None:
    raise UnwantedError


def redirect(target: bytes) -> Talk:
    return once(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + target + b"\r\n\r\n")


#: What a server sends, and how a request for it is made; all of them fail.
FAILURES: Final[Mapping[str, tuple[Talk, Mapping[str, Any]]]] = {
    **{f"slow {name}": (talk, {}) for name, talk in DRIPS.items() if name not in {"redirects", "silence"}},
    "silence": (once(b""), {}),
    **{f"endless {name}": (talk, {}) for name, talk in FLOODS.items()},
    "bad chunk": (once(CHUNKED + b"zz\r\nx\r\n"), {}),
    "two lengths": (once(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), {}),
    "no status": (once(b"hello\r\n\r\n"), {}),
    "too large": (once(answer(bytes(50_000))), {}),
    "redirect refused": (redirect(b"http://other.example/"), {"max_redirects": 1}),
    "redirect to no page": (redirect(b"ftp://other.example/"), {"max_redirects": 1}),
    "too many redirects": (redirect(b"/"), {"max_redirects": 1}),
    "encoding": (once(answer(b"x" * 9, "Content-Encoding: br")), {"accept_raw": ("identity",)}),
    "no gzip": (once(answer(b"x" * 9, "Content-Encoding: gzip")), {"accept_gzip": True}),
    "write raises": (once(answer(b"x" * 9)), {"write": refuse}),
    "begin raises": (once(answer(b"x" * 9)), {"begin": refuse}),
}


class EndsSeen:
    """Counts connections that began, and those whose other end was closed."""

    def __init__(self) -> None:
        self.begun = 0
        self.seen = threading.Semaphore(0)

    def watch(self, talk: Talk) -> Talk:
        """Return a server that talks so, and then waits for the end of the connection."""

        def talk_and_wait(connection: socket.socket, over: threading.Event) -> None:
            self.begun += 1
            with suppress(OSError):
                talk(connection, over)
            connection.settimeout(SEEN_S)
            with suppress(ConnectionError):
                while connection.recv(65_536):
                    pass
            self.seen.release()

        return talk_and_wait


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_ends(talk: Talk, options: Mapping[str, Any], *, tls: bool = False) -> None:
    """Make a request that fails, hold its error, close the session, and check that the server sees the end."""
    ends = EndsSeen()
    with no_garbage_collection(), hostile_server(ends.watch(talk), tls=tls) as url:
        session = BoundedSession("tests", limits=LIMITS)
        with pytest.raises((TransferError, UnwantedError)) as held:
            session.get(url, max_bytes=1000, **options)
        session.close()
        assert ends.begun > 0
        assert all(ends.seen.acquire(timeout=SEEN_S) for _ in range(ends.begun)), held


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_request_leaves_no_connection(name: str) -> None:
    check_ends(*FAILURES[name])


def test_a_tls_handshake_that_never_ends_leaves_no_connection() -> None:
    check_ends(TLS_DRIPS["handshake"], {}, tls=True)


def test_a_kept_connection_ends_with_its_session_while_its_pool_is_held() -> None:
    ends = EndsSeen()
    with no_garbage_collection(), hostile_server(ends.watch(once(answer(b"x")))) as url:
        session = BoundedSession("tests", limits=LIMITS)
        assert session.get(url, max_bytes=10).body == b"x"
        pools = session._session.get_adapter(url).poolmanager.pools  # type: ignore[attr-defined]
        held = [pools.get(key) for key in pools.keys()]  # noqa: SIM118
        session.close()
        assert ends.seen.acquire(timeout=SEEN_S), held
