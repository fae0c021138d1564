"""The feeds of packages that a node publishes: read from its `p/<package>/atom.xml`, which is not trusted."""

from typing import Final

from ppp.model.errors import RejectedDataError
from ppp.publish.feeds.entries import FeedEntry
from ppp.publish.feeds.read_atom import MAX_BYTES, InvalidFeedError, read_atom
from ppp.runner.published_site import PublishedSite

HINT: Final = "nothing was written: ask another node"


class PublishedFeeds(PublishedSite):
    """Reads feeds from the public folder of a node."""

    __slots__ = ()

    def read(self, package: str) -> list[FeedEntry] | None:
        """Return the entries of a package's feed, newest first; None if the node has none.

        Raise `PeerError` if it does not answer, and `RejectedDataError` if what it sends is not such a feed.
        """
        path = f"p/{package}/atom.xml"
        body = self.get(path, max_bytes=MAX_BYTES)
        if body is None:
            return None
        try:
            return read_atom(body, package)
        except InvalidFeedError as error:
            raise RejectedDataError(f"{self.place(path)} rejected: {error}", hint=HINT) from error
