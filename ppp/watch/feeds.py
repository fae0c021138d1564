"""Fetch the index's release feed, with all the limits that an untrusted server needs, and parse it into releases.

A feed only tells early what is new: it is not complete. An entry that cannot be used is reported and skipped, never
fatal. The parser is expat itself: it needs time in proportion to the document, whatever is in it. Parsers that read
more of a feed than titles and links can be kept busy for hours by a line in some other element.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit
from xml.parsers import expat

from ppp.bounded_http.limits import TransferError, TransferLimits, TransferTimeoutError, TransferTooLargeError
from ppp.bounded_http.session import BoundedSession, keeps_tls
from ppp.model.credentials import Credentials
from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError
from ppp.model.release import InvalidReleaseError, Release

MAX_REDIRECTS: Final = 5
#: A longer ETag or Last-Modified is not stored, because it would be sent with every request.
MAX_VALIDATOR_LENGTH: Final = 256
#: The index's feed has 100 entries, and elements five deep.
MAX_ENTRIES: Final = 10_000
MAX_DEPTH: Final = 100
#: How much of a title or link is read, in characters.
MAX_TEXT: Final = 1000
HINT: Final = "check PPP_FEED_URL and the network; a watchlist works without a feed"
NOT_A_FEED_HINT: Final = "check that PPP_FEED_URL is a feed of releases"

_LINK: Final = re.compile(r"/project/([^/]+)/([^/]+)/?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """The limits of a feed: bytes after decoding, and seconds from the request to the last byte."""

    max_bytes: int = 5_000_000
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFeed:
    """A feed that was read: its releases, oldest first, and a line for each part that could not be used."""

    releases: tuple[Release, ...]
    rejected: tuple[str, ...]
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The feed has not changed since the ETag or Last-Modified that was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedResponse:
    """An HTTP response: header names in lower case, and the decoded body of a status 200."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Getter(Protocol):
    """The port to HTTP."""

    def get(self, url: str, *, headers: Mapping[str, str], limits: FeedLimits) -> FeedResponse:
        """Request a URL; raise `FeedUnreachableError`, or `FeedTooLargeError` once the body exceeds its limit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGetter:
    """The port over `BoundedSession`. Timeouts in seconds: to connect, and between two reads.

    Credentials are sent to their origin alone.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0
    credentials: Credentials | None = None

    def get(self, url: str, *, headers: Mapping[str, str], limits: FeedLimits) -> FeedResponse:
        """See `Getter.get`."""
        timeouts = TransferLimits(
            connect_s=self.connect_timeout_s, read_s=self.read_timeout_s, total_s=limits.deadline_s
        )
        user_agent = headers.get("User-Agent", "")
        try:
            with BoundedSession(user_agent, limits=timeouts, authorize=self._authorize) as session:
                response = session.get(
                    url,
                    max_bytes=limits.max_bytes,
                    headers=headers,
                    accept_gzip=True,
                    max_redirects=MAX_REDIRECTS,
                    allow_redirect=keeps_tls,
                )
        except TransferTooLargeError as error:
            raise FeedTooLargeError(f"the feed {url} {error}", hint="check that PPP_FEED_URL is a feed") from error
        except TransferTimeoutError as error:
            raise FeedUnreachableError(f"the feed {url} did not answer in time: it {error}", hint=HINT) from error
        except TransferError as error:
            raise FeedUnreachableError(f"the feed {url} {error}", hint=HINT) from error
        return FeedResponse(status=response.status, headers=response.headers, body=response.body)

    def _authorize(self, url: str) -> str | None:
        return self.credentials.headers(url).get("Authorization") if self.credentials else None


def fetch(
    url: str,
    *,
    getter: Getter,
    user_agent: str,
    etag: str | None = None,
    last_modified: str | None = None,
    limits: FeedLimits = FeedLimits(),
) -> ReleaseFeed | NotModified:
    """Request a feed and parse it; with the `etag` or `last_modified` of an earlier response, only if it changed.

    Raises `FeedUnreachableError` (no response, a late one, or an error status), `FeedTooLargeError` (reading stopped at
    `limits.max_bytes`) or `FeedMalformedError` (not a feed, or a feed without any release).
    """
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {"User-Agent": user_agent, "Accept": "application/rss+xml, application/xml;q=0.9"}
    headers |= {name: value for name, value in conditions.items() if value}
    response = getter.get(url, headers=headers, limits=limits)
    if response.status == HTTPStatus.NOT_MODIFIED and (etag or last_modified):
        return NotModified()
    if response.status != HTTPStatus.OK:
        raise FeedUnreachableError(f"the feed {url} answered with status {response.status}", hint=HINT)
    releases, rejected = parse(response.body, place=url)
    return ReleaseFeed(
        releases=releases,
        rejected=rejected,
        etag=_validator(response.headers.get("etag")),
        last_modified=_validator(response.headers.get("last-modified")),
    )


def _validator(text: str | None) -> str | None:
    usable = text and len(text) <= MAX_VALIDATOR_LENGTH and text.isascii() and text.isprintable()
    return text if usable else None


def parse(document: bytes, *, place: str) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return a feed's releases, oldest first without duplicates, and a line for each part that could not be used.

    Raises `FeedMalformedError`, naming `place`, if no entry names a release.
    """
    entries, problem = _read_entries(document, place)
    if not entries:
        raise FeedMalformedError(
            f"{place} is not a feed, or an empty one" + (f": {problem}" if problem else ""), hint=NOT_A_FEED_HINT
        )
    releases: dict[Release, None] = {}
    rejected = [f"the feed is not well-formed ({problem}); the readable part was used"] if problem else []
    for title, link in reversed(entries):  # a feed lists the newest first
        try:
            releases.setdefault(_release(title, link))
        except InvalidReleaseError as error:
            rejected.append(f"entry {title[:100]!r}: {error.message}")
    if not releases:
        raise FeedMalformedError(
            f"no entry of {place} names a release ({len(entries)} entries, the last: {rejected[-1]})",
            hint=NOT_A_FEED_HINT,
        )
    return tuple(releases), tuple(rejected)


def _read_entries(document: bytes, place: str) -> tuple[list[tuple[str, str]], str]:
    """Return title and link of each entry that is whole, and what is wrong with the document, or nothing."""
    reader = _EntryReader()
    try:
        # All at once: in pieces, expat would begin anew at each piece of a long name or comment.
        reader.parser().Parse(document, True)  # noqa: FBT003 - a positional parameter
    except _RefusedError as error:
        raise FeedMalformedError(f"{place} is not a feed: it {error}", hint=NOT_A_FEED_HINT) from error
    except expat.ExpatError as error:
        return reader.entries, str(error)
    return reader.entries, ""


class _RefusedError(Exception):
    """A document is not parsed any further; the message says what it has."""


@dataclass(slots=True)
class _EntryReader:
    """Collects the title and the link of each `<item>`; nothing else of an entry is used."""

    entries: list[tuple[str, str]] = field(default_factory=list)
    _depth: int = 0
    _entry: dict[str, str] | None = None
    #: The element of the entry whose text is being read.
    _element: str = ""

    def parser(self) -> expat.XMLParserType:
        """Return a parser that reports to this object; it takes a document for UTF-8 whatever that says."""
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._add_text
        # It could declare entities, which expand beyond any limit.
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        return parser

    def _refuse_doctype(self, *_: object) -> None:
        raise _RefusedError("declares a document type")

    def _start(self, name: str, _: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _RefusedError(f"has elements more than {MAX_DEPTH} deep")
        if name == "item":
            if len(self.entries) >= MAX_ENTRIES:
                raise _RefusedError(f"has more than {MAX_ENTRIES} entries")
            self._entry = {"title": "", "link": ""}
        elif self._entry is not None and name in self._entry:
            self._element = name

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == self._element:
            self._element = ""
        elif name == "item" and self._entry is not None:
            self.entries.append((self._entry["title"].strip(), self._entry["link"].strip()))
            self._entry = None

    def _add_text(self, text: str) -> None:
        if self._entry is not None and self._element and len(self._entry[self._element]) < MAX_TEXT:
            self._entry[self._element] += text[:MAX_TEXT]


def _release(title: str, link: str) -> Release:
    # The title and the link must agree: each alone could name anything.
    match title.split():
        case [name, version]:
            titled = Release.parse(name, version)
        case _:
            raise InvalidReleaseError("its title is not a name and a version", hint="")
    try:
        match = _LINK.search(urlsplit(link).path)
    except ValueError:
        match = None
    if not match:
        raise InvalidReleaseError(f"its link {link[:100]!r} names no release", hint="")
    linked = Release.parse(unquote(match[1]), unquote(match[2]))
    if linked != titled:
        raise InvalidReleaseError(f"its title says {titled}, its link {linked}", hint="")
    return titled
