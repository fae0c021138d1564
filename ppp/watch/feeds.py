"""The index's release feed: fetched with every bound a stranger's server calls for, then parsed into `Release`s.

A feed is a hint for freshness, never the record: what it holds and cannot be used is told, and never fatal. Only bytes
go to feedparser, which so reaches neither the network nor the disk.
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

from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError
from ppp.model.release import InvalidReleaseError, Release

MAX_REDIRECTS: Final = 5
CHUNK_BYTES: Final = 64 * 1024
#: A validator longer than this is not kept: it would travel back with every request.
MAX_VALIDATOR_LENGTH: Final = 256
HINT: Final = "check PPP_FEED_URL and the network; a watchlist works without a feed"

_LINK: Final = re.compile(r"/project/([^/]+)/([^/]+)/?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """What a feed may cost: bytes once decoded, and seconds from the request to the last byte."""

    max_bytes: int = 5_000_000
    deadline_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFeed:
    """A feed that was read: its releases, oldest first; a line for each thing in it that could not be used."""

    releases: tuple[Release, ...]
    rejected: tuple[str, ...]
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The feed is the one whose ETag or Last-Modified was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedResponse:
    """An HTTP answer: header names in lower case; chunks decoded, each given as soon as it is there."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class Getter(Protocol):
    """The port to HTTP."""

    def get(self, url: str, *, headers: Mapping[str, str]) -> AbstractContextManager[FeedResponse]:
        """Ask for an address; raise `FeedUnreachableError` at once, or from the chunks, when the talk breaks off."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestsGetter:
    """The port over requests; both timeouts are in seconds, the second for each silence."""

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 20.0

    @contextmanager
    def get(self, url: str, *, headers: Mapping[str, str]) -> Iterator[FeedResponse]:
        """See `Getter.get`."""
        with requests.Session() as session, _network_errors(url):
            session.max_redirects = MAX_REDIRECTS
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


def _chunks(raw: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    # read1 gives what is there: with requests' own iter_content a server that trickles would outlast every deadline.
    while chunk := raw.read1(CHUNK_BYTES, decode_content=True):
        yield chunk


@contextmanager
def _network_errors(url: str) -> Iterator[None]:
    try:
        yield
    except requests.Timeout as error:
        raise FeedUnreachableError(f"the feed {url} did not answer in time", hint=HINT) from error
    # A `ValueError` is what requests raises of a redirect to what is no text.
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise FeedUnreachableError(f"the feed {url} cannot be reached: {_reason(error)}", hint=HINT) from error


def _reason(error: BaseException) -> str:
    # The innermost error is the one that means something: what wraps it names objects and addresses in memory.
    while inner := error.__cause__ or error.__context__:
        error = inner
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0][:200]


def fetch(
    url: str,
    *,
    getter: Getter,
    user_agent: str,
    etag: str | None = None,
    last_modified: str | None = None,
    limits: FeedLimits = FeedLimits(),
    clock: Callable[[], float] = time.monotonic,
) -> ReleaseFeed | NotModified:
    """Ask for a feed, conditionally where a validator of an earlier answer is given, and parse it.

    Raises `FeedUnreachableError` (no answer, not in time, not with success), `FeedTooLargeError` (reading stopped at
    `limits.max_bytes`) or `FeedMalformedError` (no feed, or none that names a release).
    """
    started = clock()
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {"User-Agent": user_agent, "Accept": "application/rss+xml, application/xml;q=0.9"}
    headers |= {name: value for name, value in conditions.items() if value}
    with getter.get(url, headers=headers) as answer:
        if answer.status == requests.codes.not_modified and (etag or last_modified):
            return NotModified()
        if answer.status != requests.codes.ok:
            raise FeedUnreachableError(f"the feed {url} answered with status {answer.status}", hint=HINT)
        body = bytearray()
        for chunk in answer.chunks:
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
        etag=_validator(answer.headers.get("etag")),
        last_modified=_validator(answer.headers.get("last-modified")),
    )


def _validator(text: str | None) -> str | None:
    usable = text and len(text) <= MAX_VALIDATOR_LENGTH and text.isascii() and text.isprintable()
    return text if usable else None


def parse(document: bytes, *, place: str) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Give a feed's releases, oldest first and each once, and a line for each thing in it that could not be used.

    Raises `FeedMalformedError`, naming `place`, where nothing in it names a release.
    """
    hint = "check that PPP_FEED_URL is a feed of releases"
    # One encoding, so that what is looked for here is what feedparser sees; entities could swell beyond any cap.
    if not _is_utf8(document) or b"<!ENTITY" in document:
        raise FeedMalformedError(f"{place} is not a feed: it is not UTF-8, or defines entities", hint=hint)
    try:
        found = feedparser.parse(
            io.BytesIO(document),
            response_headers={"content-type": "application/rss+xml; charset=utf-8"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # feedparser lets errors of many libraries through
        raise FeedMalformedError(f"the feed {place} cannot be parsed: {_reason(error)}", hint=hint) from error
    # Only these two words of an entry go on, as text.
    entries = [(str(e.get("title") or ""), str(e.get("link") or "")) for e in found.entries]
    trouble = _reason(found.bozo_exception) if found.bozo else ""
    if not entries:
        raise FeedMalformedError(
            f"{place} is not a feed, or an empty one" + (f": {trouble}" if trouble else ""), hint=hint
        )
    releases: dict[Release, None] = {}
    rejected = [f"the feed is not well-formed ({trouble}); what could be read was taken"] if trouble else []
    for title, link in reversed(entries):  # the newest stands first
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
    # Two witnesses: a title alone could name anything, and so could a link.
    match title.split():
        case [name, version]:
            titled = Release.parse(name, version)
        case _:
            raise InvalidReleaseError("its title is not a name and a version", hint="")
    try:
        place = _LINK.search(urlsplit(link).path)
    except ValueError:
        place = None
    if not place:
        raise InvalidReleaseError(f"its link {link[:100]!r} names no release", hint="")
    linked = Release.parse(unquote(place[1]), unquote(place[2]))
    if linked != titled:
        raise InvalidReleaseError(f"its title says {titled}, its link {linked}", hint="")
    return titled
