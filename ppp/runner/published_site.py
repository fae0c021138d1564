"""Files of a site that a node publishes, which are not trusted: how they are asked for is the same for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Self

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession
from ppp.model.errors import PeerError
from ppp.model.printable import printable_reason

MAX_REDIRECTS: Final = 3
LIMITS: Final = TransferLimits(total_s=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSite:
    """The public folder of a node, at `url`, which ends in a slash."""

    session: BoundedSession
    url: str

    @classmethod
    @contextmanager
    def connect(cls, url: str, *, user_agent: str) -> Iterator[Self]:
        """Open a session whose connection is kept alive from one file to the next."""
        with BoundedSession(user_agent, limits=LIMITS) as session:
            yield cls(session=session, url=url.removesuffix("/") + "/")

    def place(self, path: str) -> str:
        """Return the address of a file, printable."""
        return printable_reason(f"{self.url}{path}")

    def get(self, path: str, *, max_bytes: int) -> bytes | None:
        """Return a file; None if the node has none. Raise `PeerError` if it does not answer."""
        try:
            response = self.session.get(
                f"{self.url}{path}", max_bytes=max_bytes, max_redirects=MAX_REDIRECTS, accept_gzip=True
            )
        except TransferError as error:
            raise PeerError(f"{self.place(path)} {error}", hint="check the address and the network") from error
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status != HTTPStatus.OK:
            raise PeerError(f"{self.place(path)} answered {response.status}", hint="try again later")
        return response.body
