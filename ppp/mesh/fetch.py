"""The port to other nodes, and its one adapter over HTTP: limited in bytes and time, and never led to another host.

Any network failure becomes a `PeerError`; more bytes than the caller allowed become a `RejectedDataError`.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ppp.mesh.untrusted import printable_line, reject
from ppp.model.errors import PeerError

MAX_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 64 * 1024
_OK: Final = 200
_HINT: Final = "the peer may be down or at another address; the next `ppp peer sync` tries again"


class PeerConnection(Protocol):
    """An open session with one peer."""

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Return the bytes of a file.

        Raise `PeerError` if it cannot be fetched, `RejectedDataError` if it is larger than `max_bytes`.
        """
        ...


class Fetcher(Protocol):
    """What a synchronisation needs of the network."""

    def connect(self) -> AbstractContextManager[PeerConnection]:
        """Open a session with one peer; it is closed when the context ends."""
        ...


class Poster(Protocol):
    """What an announcement needs of the network."""

    def post(self, url: str, body: bytes) -> int:
        """Send a body and return the HTTP status; raise `PeerError` if there is no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """Both ports over requests. Limits in seconds: to connect, between two reads, and for one whole response."""

    user_agent: str
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    total_s: float = 300.0

    @contextmanager
    def connect(self) -> Iterator[PeerConnection]:
        """Open a session whose connection is kept alive from one file to the next."""
        with self._session() as session:
            yield _HttpConnection(transport=self, session=session)

    def post(self, url: str, body: bytes) -> int:
        """Send a JSON body and return the status; the body of the response is not read."""
        with (
            self._session() as session,
            _network_errors(url),
            session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                stream=True,
                allow_redirects=False,
                timeout=self.timeout_s,
            ) as response,
        ):
            return response.status_code

    @property
    def timeout_s(self) -> tuple[float, float]:
        """The time to connect and the time between two reads, as requests takes them."""
        return self.connect_timeout_s, self.read_timeout_s

    def _session(self) -> requests.Session:
        session = requests.Session()
        # By default, requests would send a peer the password that the operator's ~/.netrc has for its host.
        session.auth = _no_credentials
        # A session is reused for many files: a peer must not mark its visitors.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # The hash is that of the plain bytes, and a compressed response could expand without limit.
        session.headers.update({"User-Agent": self.user_agent, "Accept-Encoding": "identity"})
        return session


@dataclass(frozen=True, slots=True, kw_only=True)
class _HttpConnection:
    """A `PeerConnection` over one `requests.Session`."""

    transport: HttpTransport
    session: requests.Session

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Fetch a file; follow redirects only within the same scheme, host and port."""
        deadline = time.monotonic() + self.transport.total_s
        with _network_errors(url):
            for _ in range(MAX_REDIRECTS + 1):
                with self.session.get(
                    url, stream=True, allow_redirects=False, timeout=self.transport.timeout_s
                ) as response:
                    if not response.is_redirect:
                        return _body(response, url, max_bytes=max_bytes, deadline=deadline)
                    url = _next_hop(url, response.headers["Location"])
        raise PeerError(f"{printable_line(url)} redirects more than {MAX_REDIRECTS} times", hint=_HINT)


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response, url: str, *, max_bytes: int, deadline: float) -> bytes:
    if response.status_code != _OK:
        raise PeerError(f"{printable_line(url)} answered {response.status_code}", hint=_HINT)
    # Some servers send a file that is gzip already with `Content-Encoding: gzip`; its bytes are the file all the same.
    allowed = {"identity", "gzip", "x-gzip"} if urlsplit(url).path.endswith(".gz") else {"identity"}
    if response.headers.get("Content-Encoding", "identity") not in allowed:
        raise PeerError(f"{printable_line(url)} was sent compressed", hint="its server must send files as they are")
    body = bytearray()
    # read1 returns what has arrived, so that the deadline also ends a response that trickles in.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > max_bytes:
            reject(printable_line(url), f"it is larger than {max_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise PeerError(f"{printable_line(url)} took too long", hint=_HINT)
    return bytes(body)


def _next_hop(url: str, location: str) -> str:
    hop = urljoin(url, location)
    here, there = urlsplit(url), urlsplit(hop)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise PeerError(
            f"{printable_line(url)} redirects to another host, {printable_line(hop)}",
            hint="add the peer at that address if it moved",
        )
    return hop


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise PeerError(f"{printable_line(url)} cannot be reached: {_reason(error)}", hint=_HINT) from error


def _reason(error: BaseException) -> str:
    # requests wraps errors of urllib3, which wraps those of the system: the innermost one names the cause.
    while inner := error.__cause__ or error.__context__:
        error = inner
    return printable_line(str(error) or type(error).__name__)
