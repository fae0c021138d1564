"""Fetch the index's release feed, with all the limits that an untrusted server needs, and parse it into releases.

A feed only tells early what is new: it is not complete. An entry that cannot be used is reported and skipped, never
fatal. feedparser reads the entries, in whatever form the feed has them; of a document it gets what `feed_filter` lets
through.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import feedparser

from ppp.bounded_http.limits import TransferError, TransferLimits, TransferTimeoutError, TransferTooLargeError
from ppp.bounded_http.session import BoundedSession, keeps_tls
from ppp.model.credentials import Credentials
from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError
from ppp.model.release import InvalidReleaseError, Release
from ppp.watch.feed_filter import RefusedFeedError, filter_feed

MAX_REDIRECTS: Final = 5
#: A longer ETag or Last-Modified is not stored, because it would be sent with every request.
MAX_VALIDATOR_LENGTH: Final = 256
HINT: Final = "check PPP_FEED_URL and the network; a watchlist works without a feed"
NOT_A_FEED_HINT: Final = "check that PPP_FEED_URL is a feed of releases"

_LINK: Final = re.compile(r"/project/([^/]+)/([^/]+)/?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """The limits of a feed: bytes after decoding, and seconds from the request to the last byte."""

    max_bytes: int = 5_000_000
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry:
    """A release of a feed, and when the feed says that it was published, in epoch seconds (None if it does not)."""

    release: Release
    at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFeed:
    """A feed that was read: its entries, oldest first, a line for each part that could not be used, and its times.

    `times` are those of all entries that have one, also of those that could not be used.
    """

    entries: tuple[ReleaseEntry, ...]
    rejected: tuple[str, ...]
    times: tuple[int, ...]
    etag: str | None = None
    last_modified: str | None = None

    @property
    def releases(self) -> tuple[Release, ...]:
        """The releases of the entries."""
        return tuple(entry.release for entry in self.entries)


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
            with BoundedSession(user_agent, limits=timeouts, credentials=self.credentials) as session:
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
    return replace(
        parse(response.body, place=url),
        etag=_validator(response.headers.get("etag")),
        last_modified=_validator(response.headers.get("last-modified")),
    )


def _validator(text: str | None) -> str | None:
    usable = text and len(text) <= MAX_VALIDATOR_LENGTH and text.isascii() and text.isprintable()
    return text if usable else None


def parse(document: bytes, *, place: str) -> ReleaseFeed:
    """Return what a feed has, oldest first without duplicates.

    Raises `FeedMalformedError`, naming `place`, if no entry names a release.
    """
    entries, problem = _read_entries(document, place)
    if not entries:
        raise FeedMalformedError(
            f"{place} is not a feed, or an empty one" + (f": {problem}" if problem else ""), hint=NOT_A_FEED_HINT
        )
    found: dict[Release, ReleaseEntry] = {}
    rejected = [f"the feed is not well-formed ({problem}); the readable part was used"] if problem else []
    for title, link, time in reversed(entries):  # a feed lists the newest first
        try:
            release = _release(title, link)
        except InvalidReleaseError as error:
            rejected.append(f"entry {title[:100]!r}: {error.message}")
        else:
            found.setdefault(release, ReleaseEntry(release=release, at=_time(time)))
    if not found:
        raise FeedMalformedError(
            f"no entry of {place} names a release ({len(entries)} entries, the last: {rejected[-1]})",
            hint=NOT_A_FEED_HINT,
        )
    times = (_time(time) for _, _, time in entries)
    return ReleaseFeed(
        entries=tuple(found.values()), rejected=tuple(rejected), times=tuple(at for at in times if at is not None)
    )


def _read_entries(document: bytes, place: str) -> tuple[list[tuple[str, str, str]], str]:
    """Return title, link and time of each entry that is whole, and what is wrong with the document, or nothing."""
    try:
        filtered = filter_feed(document)
    except RefusedFeedError as error:
        raise FeedMalformedError(f"{place} is not a feed: it {error}", hint=NOT_A_FEED_HINT) from error
    parsed = feedparser.parse(
        io.BytesIO(filtered.document),
        response_headers={"content-type": "application/xml; charset=utf-8"},
        sanitize_html=False,
        resolve_relative_uris=False,
    )
    # One entry for each that the filter kept; if the two parsers disagree, none has a time.
    agree = len(parsed.entries) == len(filtered.times)
    times = filtered.times if agree else [""] * len(parsed.entries)
    # Nothing else of an entry is used.
    entries = zip(parsed.entries, times, strict=True)
    return [(str(e.get("title") or ""), str(e.get("link") or ""), time) for e, time in entries], filtered.problem


def _time(text: str) -> int | None:
    """Return a time of a feed, in the form of mails or of ISO 8601, in epoch seconds; None if it is none."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            at = read(text.strip())
            return max(int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()), 0)
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


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
