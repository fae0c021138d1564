"""The port to other nodes, and its one adapter over HTTP: limited in bytes and time, and never led to another host.

Any network failure becomes a `PeerError`; more bytes than the caller allowed become a `RejectedDataError`.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, NoReturn, Protocol
from urllib.parse import urlsplit

from ppp.bounded_http.limits import (
    ForbiddenRedirectError,
    TransferError,
    TransferLimits,
    TransferTooLargeError,
    UnexpectedEncodingError,
)
from ppp.bounded_http.session import BoundedSession
from ppp.mesh.untrusted import reject
from ppp.model.errors import PeerError
from ppp.model.printable import printable_reason

MAX_REDIRECTS: Final = 3
#: How long, in seconds, a synchronization with one peer may take. What was merged until then is kept, and the next one
#: goes on from there.
PEER_DEADLINE_S: Final = 600.0
#: The same for a synchronization that the peer's announcement started: those of other peers wait for it.
ANNOUNCED_DEADLINE_S: Final = 120.0
#: How long, in seconds, a peer may take to answer an announcement.
ANNOUNCE_DEADLINE_S: Final = 30.0
_HINT: Final = "the peer may be down or at another address; the next `ppp peer sync` tries again"


class UnavailableFileError(PeerError):
    """The peer answers, but does not give this file; others may be there."""

    exit_code = 41


class PeerConnection(Protocol):
    """An open session with one peer."""

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Return the bytes of a file.

        Raise `UnavailableFileError` if the peer does not give it, `RejectedDataError` if it is larger than `max_bytes`,
        or another `PeerError` if the peer cannot be reached, or its time is over.
        """
        ...


class Fetcher(Protocol):
    """What a synchronization needs of the network."""

    def connect(self) -> AbstractContextManager[PeerConnection]:
        """Open a session with one peer, whose time is limited; it is closed when the context ends."""
        ...


class Poster(Protocol):
    """What an announcement needs of the network."""

    def post(self, url: str, body: bytes) -> int:
        """Send a body and return the HTTP status; raise `PeerError` if there is no answer."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTransport:
    """Both ports over HTTP. `peer_s` limits, in seconds, a whole session with one peer, `limits` each request in it."""

    user_agent: str
    limits: TransferLimits = field(default_factory=TransferLimits)
    peer_s: float = PEER_DEADLINE_S

    @contextmanager
    def connect(self) -> Iterator[PeerConnection]:
        """Open a session whose connection is kept alive from one file to the next."""
        with BoundedSession(self.user_agent, limits=self.limits) as session:
            yield _HttpConnection(session=session, peer_s=self.peer_s, deadline=time.monotonic() + self.peer_s)

    def post(self, url: str, body: bytes) -> int:
        """Send a JSON body and return the status; the body of the response is not read."""
        with BoundedSession(self.user_agent, limits=self.limits) as session:
            try:
                deadline = time.monotonic() + ANNOUNCE_DEADLINE_S
                return session.post(url, body, content_type="application/json", deadline=deadline).status
            except TransferError as error:
                raise PeerError(f"{printable_reason(url)} {error}", hint=_HINT) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _HttpConnection:
    """A `PeerConnection` over one session of `peer_s` seconds; `deadline` is on the monotonic clock."""

    session: BoundedSession
    peer_s: float
    deadline: float

    def get(self, url: str, *, max_bytes: int) -> bytes:
        """Fetch a file; follow redirects only within the same scheme, host and port."""
        place = printable_reason(url)
        encodings = {"identity", "gzip", "x-gzip"} if urlsplit(url).path.endswith(".gz") else {"identity"}
        try:
            # The hash is that of the plain bytes, so no compression is asked for. Some servers send a file that is gzip
            # already with `Content-Encoding: gzip`; its bytes are the file all the same.
            response = self.session.get(
                url, max_bytes=max_bytes, deadline=self.deadline, max_redirects=MAX_REDIRECTS, accept_raw=encodings
            )
        except TransferTooLargeError as error:
            reject(place, f"it {error}")
        except ForbiddenRedirectError as error:
            _unavailable(place, str(error), hint="add the peer at that address if it moved")
        except UnexpectedEncodingError as error:
            _unavailable(place, str(error), hint="its server must send files as they are")
        except TransferError as error:
            if time.monotonic() < self.deadline:
                raise PeerError(f"{place} {error}", hint=_HINT) from error
            raise PeerError(
                f"{place} was not there when the {self.peer_s:g} seconds of this peer were over",
                hint="what came before it is stored; the next `ppp peer sync` goes on from there",
            ) from error
        if response.status != HTTPStatus.OK:
            _unavailable(place, f"answered {response.status}")
        return response.body


def _unavailable(place: str, why: str, *, hint: str = _HINT) -> NoReturn:
    raise UnavailableFileError(f"{place} {why}", hint=hint)
