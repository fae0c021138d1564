"""Fetch the index's release feed, with all the limits that an untrusted server needs, and parse it into releases.

A feed only tells early what is new: it is not complete. An entry that cannot be used is reported and skipped, never
fatal. feedparser gets bytes only, so that it can read neither the network nor the disk.
"""

import io
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import feedparser
import requests
import urllib3

from ppp.model.credentials import Credentials
from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError
from ppp.model.release import InvalidReleaseError, Release

MAX_REDIRECTS: Final = 5
CHUNK_BYTES: Final = 64 * 1024
#: A longer ETag or Last-Modified is not stored, because it would be sent with every request.
MAX_VALIDATOR_LENGTH: Final = 256
HINT: Final = "check PPP_FEED_URL and the network; a watchlist works without a feed"

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
    """An HTTP response: header names in lower case; decoded chunks, each yielded as soon as it arrives."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Getter(Protocol):
    """The port to HTTP."""

    def get(self, url: str, *, headers: Mapping[str, str]) -> AbstractContextManager[FeedResponse]:
        """Request a URL; raise `FeedUnreachableError`, also later from the chunks if the connection fails."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsGetter:
    """The port over requests. Timeouts in seconds: to connect, and between two reads."""

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0

    @contextmanager
    def get(self, url: str, *, headers: Mapping[str, str]) -> Iterator[FeedResponse]:
        """See `Getter.get`."""
        with requests.Session() as session, _network_errors(url):
            session.max_redirects = MAX_REDIRECTS
            # By default, requests would send any server the password that the operator's ~/.netrc has for its host.
            session.auth = _without_netrc
            with session.get(
                url,
                headers={**headers, "Accept-Encoding": "gzip"},
                timeout=(self.connect_timeout_s, self.read_timeout_s),
                stream=True,
            ) as response:
                yield FeedResponse(
                    status=response.status_code,
                    headers={name.lower(): value for name, value in response.headers.items()},
                    chunks=_chunks(response.raw),
                )


def _without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _chunks(raw: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    # read1 returns what has arrived; with iter_content, a server that sends byte by byte could exceed every deadline.
    while chunk := raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except requests.Timeout as error:
        raise FeedUnreachableError(f"the feed {url} did not answer in time", hint=HINT) from error
    # requests raises `ValueError` for a redirect whose target is not valid text.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise FeedUnreachableError(f"the feed {url} cannot be reached: {_reason(error)}", hint=HINT) from error


def _reason(error: BaseException) -> str:
    # The innermost error names the cause; those around it only name Python objects.
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0][:200]


def fetch(
    url: str,
    *,
    getter: Getter,
    user_agent: str,
    credentials: Credentials | None = None,
    etag: str | None = None,
    last_modified: str | None = None,
    limits: FeedLimits = FeedLimits(),
    clock: Callable[[], float] = time.monotonic,
) -> ReleaseFeed | NotModified:
    """Request a feed and parse it; with the `etag` or `last_modified` of an earlier response, only if it changed.

    Raises `FeedUnreachableError` (no response, a late one, or an error status), `FeedTooLargeError` (reading stopped at
    `limits.max_bytes`) or `FeedMalformedError` (not a feed, or a feed without any release). `clock` is in seconds.
    """
    started = clock()
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {"User-Agent": user_agent, "Accept": "application/rss+xml, application/xml;q=0.9"}
    headers |= {name: value for name, value in conditions.items() if value}
    headers |= credentials.headers(url) if credentials else {}
    with getter.get(url, headers=headers) as response:
        if response.status == requests.codes.not_modified and (etag or last_modified):
            return NotModified()
        if response.status != requests.codes.ok:
            raise FeedUnreachableError(f"the feed {url} answered with status {response.status}", hint=HINT)
        body = bytearray()
        for chunk in response.chunks:
            body += chunk
            if len(body) > limits.max_bytes:
                raise FeedTooLargeError(
                    f"the feed {url} is larger than {limits.max_bytes} bytes", hint="check that PPP_FEED_URL is a feed"
                )
            if clock() - started > limits.deadline_s:
                raise FeedUnreachableError(f"the feed {url} took longer than {limits.deadline_s:g} s", hint=HINT)
    releases, rejected = parse(bytes(body), place=url)
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
    hint = "check that PPP_FEED_URL is a feed of releases"
    # One encoding, so that feedparser sees the same text as this check; entities could expand beyond any limit.
    if not _is_utf8(document) or b"<!ENTITY" in document:
        raise FeedMalformedError(f"{place} is not a feed: it is not UTF-8, or defines entities", hint=hint)
    try:
        parsed = feedparser.parse(
            io.BytesIO(document),
            response_headers={"content-type": "application/rss+xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # feedparser passes on the errors of many libraries
        raise FeedMalformedError(f"the feed {place} cannot be parsed: {_reason(error)}", hint=hint) from error
    # Nothing else of an entry is used.
    entries = [(str(e.get("title") or ""), str(e.get("link") or "")) for e in parsed.entries]
    problem = _reason(parsed.bozo_exception) if parsed.bozo else ""
    if not entries:
        raise FeedMalformedError(
            f"{place} is not a feed, or an empty one" + (f": {problem}" if problem else ""), hint=hint
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
            f"no entry of {place} names a release ({len(entries)} entries, the last: {rejected[-1]})", hint=hint
        )
    return tuple(releases), tuple(rejected)


def _is_utf8(document: bytes) -> bool:
    try:
        document.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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
