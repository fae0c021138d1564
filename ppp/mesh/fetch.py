"""The port to other nodes, and its one adapter over HTTP: bounded in bytes and in time, and it stays where it was sent.

Whatever the network does becomes a `PeerError`; more bytes than were asked for become a `RefusedError`.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ppp.mesh.untrusted import printable_line, refuse
from ppp.model.errors import PeerError

MAX_REDIRECTS: Final = 3
CHUNK_BYTES: Final = 64 * 1024
_OK: Final = 200
_HINT: Final = "the peer may be down or behind another address; the next `ppp sync` tries again"


class Fetcher(Protocol):
    """What synchronising needs of the network."""

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Give a file's bytes; raise `PeerError` if it cannot be had, `RefusedError` if it is larger than that."""
        ...


class Poster(Protocol):
    """What announcing needs of the network."""

    def post(self, url: str, body: bytes) -> int:
        """Send a body; give the HTTP status; raise `PeerError` if nobody answers."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """Both ports over requests. Seconds: to connect, of silence, and for one whole answer."""

    user_agent: str
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    total_s: float = 300.0

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Fetch a file; follow redirects only within its own scheme, host and port."""
        deadline = time.monotonic() + self.total_s
        with self._session() as session, _network_errors(url):
            for _ in range(MAX_REDIRECTS + 1):
                with session.get(
                    url,
                    stream=True,
                    allow_redirects=False,
                    timeout=(self.connect_timeout_s, self.read_timeout_s),
                ) as response:
                    if not response.is_redirect:
                        return _body(response, url, max_bytes=max_bytes, deadline=deadline)
                    url = _next_hop(url, response.headers["Location"])
        raise PeerError(f"{printable_line(url)} redirects more than {MAX_REDIRECTS} times", hint=_HINT)

    def post(self, url: str, body: bytes) -> int:
        """Send a body of JSON; give the status, reading nothing of the answer."""
        with (
            self._session() as session,
            _network_errors(url),
            session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                stream=True,
                allow_redirects=False,
                timeout=(self.connect_timeout_s, self.read_timeout_s),
            ) as response,
        ):
            return response.status_code

    def _session(self) -> requests.Session:
        session = requests.Session()
        # Or requests would hand a peer whatever the operator's ~/.netrc says by default.
        session.auth = _no_credentials
        # Unpacked bytes are what was hashed; a compressed answer could also be a bomb.
        session.headers.update({"User-Agent": self.user_agent, "Accept-Encoding": "identity"})
        return session


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _body(response: requests.Response, url: str, *, max_bytes: int, deadline: float) -> bytes:
    if response.status_code != _OK:
        raise PeerError(f"{printable_line(url)} answered {response.status_code}", hint=_HINT)
    # A server may call a file that is a gzip itself encoded so: its bytes are the file all the same.
    itself = {"identity", "gzip", "x-gzip"} if urlsplit(url).path.endswith(".gz") else {"identity"}
    if response.headers.get("Content-Encoding", "identity") not in itself:
        raise PeerError(f"{printable_line(url)} came compressed", hint="its server must send files as they are")
    body = bytearray()
    # read1 gives what is there already, so that a server which trickles meets the deadline all the same.
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > max_bytes:
            refuse(printable_line(url), f"it is larger than {max_bytes:,} bytes")
        if time.monotonic() > deadline:
            raise PeerError(f"{printable_line(url)} took too long", hint=_HINT)
    return bytes(body)


def _next_hop(url: str, location: str) -> str:
    hop = urljoin(url, location)
    here, there = urlsplit(url), urlsplit(hop)
    if (here.scheme, here.netloc) != (there.scheme, there.netloc):
        raise PeerError(
            f"{printable_line(url)} redirects elsewhere, to {printable_line(hop)}",
            hint="pin the peer at that address if it moved",
        )
    return hop


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise PeerError(f"{printable_line(url)} cannot be reached: {_reason(error)}", hint=_HINT) from error


def _reason(error: BaseException) -> str:
    # requests wraps urllib3, which wraps the system: the innermost knows.
    while inner := error.__cause__ or error.__context__:
        error = inner
    return printable_line(str(error) or type(error).__name__)
