"""The feeds of packages that a node publishes: read from its `p/<package>/atom.xml`, which is not trusted."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.printable import printable_reason
from ppp.publish.feeds.entries import FeedEntry
from ppp.publish.feeds.read_atom import MAX_BYTES, InvalidFeedError, read_atom

MAX_REDIRECTS: Final = 3
HINT: Final = "nothing was written: ask another node"
LIMITS: Final = TransferLimits(total_s=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFeeds:
    """Reads feeds from the public folder of a node, at `url`, which ends in a slash."""

    session: BoundedSession
    url: str

    @classmethod
    @contextmanager
    def connect(cls, url: str, *, user_agent: str) -> Iterator[Self]:
        """Open a session whose connection is kept alive from one package to the next."""
        with BoundedSession(user_agent, limits=LIMITS) as session:
            yield cls(session=session, url=url)

    def read(self, package: str) -> list[FeedEntry] | None:
        """Return the entries of a package's feed, newest first; None if the node has none.

        Raise `PeerError` if it does not answer, and `RejectedDataError` if what it sends is not such a feed.
        """
        url = f"{self.url}p/{package}/atom.xml"
        place = printable_reason(url)
        try:
            response = self.session.get(url, max_bytes=MAX_BYTES, max_redirects=MAX_REDIRECTS, accept_gzip=True)
        except TransferError as error:
            raise PeerError(f"{place} {error}", hint="check the address and the network") from error
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise PeerError(f"{place} answered {response.status}", hint="try again later")
        try:
            return read_atom(response.body, package)
        except InvalidFeedError as error:
            raise RejectedDataError(f"{place} rejected: {error}", hint=HINT) from error
