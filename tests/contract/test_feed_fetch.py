"""Fetching a feed through both adapters of the port: requests against a server on loopback, and the fake."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import pytest

from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError, PPPError
from ppp.model.release import Release
from ppp.watch.feeds import FeedLimits, FeedResponse, Getter, HttpGetter, NotModified, ReleaseFeed, fetch

AGENT = "the-pypi-place/0 (watch@node.example)"
DAY = 1_714_003_200
ETAG = '"a7c3"'
MODIFIED = formatdate(DAY, usegmt=True)


def rss(count: int) -> bytes:
    """Return a feed like the index's: newest first, `pkg-0` the newest."""
    items = "".join(
        f"<item><title>pkg-{n} 1.{n}</title><link>https://index.example/project/pkg-{n}/1.{n}/</link>"
        f"<description>Number {n} &amp; more</description><author>someone@maker.example</author>"
        f"<pubDate>{formatdate(DAY - n, usegmt=True)}</pubDate></item>\n"
        for n in range(count)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0" xmlns:atom="http://www.w3.org/2005/Atom">'
        "<channel><title>Recent updates</title><link>https://index.example/</link>"
        '<atom:link href="https://index.example/rss/updates.xml" rel="self" type="application/rss+xml"/>'
        f"<description>Recent updates to the index</description><language>en</language>\n{items}</channel></rss>\n"
    ).encode()


@dataclass(kw_only=True)
class FeedPage:
    """A site's response: `body` repeated `times`; with `cut_off`, it announces one byte more than it sends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    times: int = 1
    gzipped: bool = False
    chunked: bool = False
    cut_off: bool = False
    pause_s: float = 0.0


class Site(Protocol):
    """A site with one page, which counts the requests it got and the bytes it sent."""

    url: str
    page: FeedPage
    requests: list[dict[str, str]]
    sent: int

    @property
    def getter(self) -> Getter: ...


class RealSite:
    def __init__(self, url: str) -> None:
        self.url = url
        self.page = FeedPage()
        self.requests: list[dict[str, str]] = []
        self.sent = 0

    @property
    def getter(self) -> Getter:
        return HttpGetter(connect_timeout_s=5, read_timeout_s=5)


class FakeSite:
    url = "https://index.example/rss/updates.xml"

    def __init__(self) -> None:
        self.page = FeedPage()
        self.requests: list[dict[str, str]] = []
        self.sent = 0

    @property
    def getter(self) -> Getter:
        return self

    def get(self, url: str, *, headers: Mapping[str, str], limits: FeedLimits) -> FeedResponse:
        if url != self.url:
            raise FeedUnreachableError(f"the feed {url} cannot be reached: no such host", hint="name another")
        self.requests.append({name.lower(): value for name, value in headers.items()})
        status = 304 if matches(self.page, self.requests[-1]) else self.page.status
        return FeedResponse(
            status=status,
            headers={name.lower(): value for name, value in self.page.headers.items()},
            body=self._body(limits) if status == 200 else b"",
        )

    def _body(self, limits: FeedLimits) -> bytes:
        begun, body = time.monotonic(), b""
        for _ in range(self.page.times):
            time.sleep(self.page.pause_s)
            self.sent += len(self.page.body)
            body += self.page.body
            if len(body) > limits.max_bytes:
                raise FeedTooLargeError(f"the feed is larger than {limits.max_bytes:,} bytes", hint="name another")
            if time.monotonic() - begun > limits.deadline_s:
                raise FeedUnreachableError(f"it took longer than {limits.deadline_s:g} s", hint="try again")
        if self.page.cut_off:
            raise FeedUnreachableError("the feed broke off", hint="try again")
        return body


def matches(page: FeedPage, headers: Mapping[str, str]) -> bool:
    etag, since = headers.get("if-none-match"), headers.get("if-modified-since")
    return bool(
        (etag and etag == page.headers.get("ETag"))
        or (not etag and since and since == page.headers.get("Last-Modified"))
    )


def handler_for(site: RealSite) -> type[BaseHTTPRequestHandler]:
    class FeedHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            page = site.page
            site.requests.append({name.lower(): value for name, value in self.headers.items()})
            if matches(page, site.requests[-1]):
                self.send_response(304)
                self.send_header("Connection", "close")
                self.end_headers()
                return
            body = gzip.compress(page.body * page.times) if page.gzipped else page.body
            times = 1 if page.gzipped else page.times
            self.send_response(page.status)
            self.send_header("Connection", "close")
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.gzipped:
                self.send_header("Content-Encoding", "gzip")
            if page.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(len(body) * times + page.cut_off))
            self.end_headers()
            try:
                for _ in range(times):
                    time.sleep(page.pause_s)
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body) if page.chunked else body)
                    site.sent += len(body)
                if page.chunked:
                    self.wfile.write(b"0\r\n\r\n")
            except ConnectionError:
                pass  # the reader has had enough

        def log_message(self, *args: object) -> None:
            pass

    return FeedHandler


@pytest.fixture
def real_site(monkeypatch: pytest.MonkeyPatch) -> Iterator[RealSite]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    site = RealSite("")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(site)) as server:
        site.url = f"http://127.0.0.1:{server.server_port}/rss/updates.xml"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture(params=["real", "fake"])
def site(request: pytest.FixtureRequest) -> Site:
    return request.getfixturevalue("real_site") if request.param == "real" else FakeSite()


def ask(site: Site, **options: object) -> ReleaseFeed:
    answer = fetch(site.url, getter=site.getter, user_agent=AGENT, **options)  # type: ignore[arg-type]
    assert isinstance(answer, ReleaseFeed)
    return answer


@pytest.mark.parametrize("way", [{}, {"gzipped": True}, {"chunked": True}, {"gzipped": True, "chunked": True}])
def test_a_feed_as_the_index_serves_it(site: Site, way: dict[str, bool]) -> None:
    site.page = FeedPage(body=rss(100), headers={"ETag": ETAG, "Last-Modified": MODIFIED}, **way)
    feed = ask(site)
    assert feed.releases == tuple(Release(package=f"pkg-{n}", version=f"1.{n}") for n in reversed(range(100)))
    assert (feed.rejected, feed.etag, feed.last_modified) == ((), ETAG, MODIFIED)


def test_the_request_carries_the_user_agent(site: Site) -> None:
    site.page = FeedPage(body=rss(1))
    ask(site)
    assert site.requests[0]["user-agent"] == AGENT
    assert {"if-none-match", "if-modified-since"}.isdisjoint(site.requests[0])


@pytest.mark.parametrize(
    "sent", [{"etag": ETAG}, {"last_modified": MODIFIED}, {"etag": ETAG, "last_modified": MODIFIED}]
)
def test_an_unchanged_feed_is_not_read_again(site: Site, sent: dict[str, str]) -> None:
    site.page = FeedPage(body=rss(1), headers={"ETag": ETAG, "Last-Modified": MODIFIED})
    assert fetch(site.url, getter=site.getter, user_agent=AGENT, **sent) == NotModified()  # type: ignore[arg-type]
    assert site.sent == 0


def test_a_changed_feed_is_read_despite_the_condition(site: Site) -> None:
    site.page = FeedPage(body=rss(2), headers={"ETag": '"new"'})
    assert ask(site, etag=ETAG).etag == '"new"'


def test_not_modified_without_a_condition_is_an_error(site: Site) -> None:
    site.page = FeedPage(status=304)
    with pytest.raises(FeedUnreachableError, match="status 304"):
        ask(site)


@pytest.mark.parametrize("status", [204, 403, 404, 429, 500, 503])
def test_any_other_status_is_an_error(site: Site, status: int) -> None:
    site.page = FeedPage(status=status, body=rss(3) if status != 204 else b"")
    with pytest.raises(FeedUnreachableError, match=f"answered with status {status} .*PPP_FEED_URL"):
        ask(site)


@pytest.mark.attack("bounded-input")
def test_a_feed_of_50_mb_is_stopped_at_the_limit(site: Site) -> None:
    site.page = FeedPage(body=rss(3_000), times=100)
    assert len(site.page.body) * site.page.times > 50_000_000
    with pytest.raises(FeedTooLargeError, match="larger than 5,000,000 bytes"):
        ask(site)
    # What lies in the buffers of two sockets was sent, and not read.
    assert site.sent < 20_000_000


@pytest.mark.attack("bounded-input")
def test_a_small_response_that_unpacks_to_50_mb_is_stopped_at_the_limit(site: Site) -> None:
    site.page = FeedPage(body=b"\0" * 1_000_000, times=50, gzipped=True)
    with pytest.raises(FeedTooLargeError):
        ask(site)


def test_a_feed_of_exactly_the_limit_is_allowed(site: Site) -> None:
    site.page = FeedPage(body=rss(5))
    assert len(ask(site, limits=FeedLimits(max_bytes=len(site.page.body))).releases) == 5
    with pytest.raises(FeedTooLargeError):
        ask(site, limits=FeedLimits(max_bytes=len(site.page.body) - 1))


@pytest.mark.attack("deadlines")
def test_the_deadline_stops_a_feed_that_trickles(site: Site) -> None:
    site.page = FeedPage(body=b" ", times=1_000, pause_s=0.02)
    begun = time.monotonic()
    with pytest.raises(FeedUnreachableError, match=r"took longer than 0\.2 s"):
        ask(site, limits=FeedLimits(deadline_s=0.2))
    assert time.monotonic() - begun < 15, "all of it would take 20 s"


def test_a_feed_that_is_cut_off_is_unreachable(site: Site) -> None:
    site.page = FeedPage(body=rss(3), cut_off=True)
    with pytest.raises(FeedUnreachableError):
        ask(site)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("body", [b"", b"<html><body>Sign in</body></html>", rss(0)])
def test_an_invalid_feed_is_malformed(site: Site, body: bytes) -> None:
    site.page = FeedPage(body=body)
    with pytest.raises(FeedMalformedError, match="is not a feed, or an empty one"):
        ask(site)


def test_an_unreachable_host(site: Site) -> None:
    with pytest.raises(FeedUnreachableError) as caught:
        fetch("http://127.0.0.1:9/rss", getter=site.getter, user_agent=AGENT)
    assert "\n" not in str(caught.value)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("header", ["x" * 257, '"\x7f"'])
def test_an_unusable_etag_is_dropped(site: Site, header: str) -> None:
    site.page = FeedPage(body=rss(1), headers={"ETag": header})
    assert ask(site).etag is None


def told(get: Callable[[], object]) -> PPPError:
    with pytest.raises(FeedUnreachableError) as caught:
        get()
    return caught.value


def test_the_innermost_error_is_the_reason(real_site: RealSite) -> None:
    error = told(lambda: fetch("http://127.0.0.1:9/rss", getter=real_site.getter, user_agent=AGENT))
    assert error.message == "the feed http://127.0.0.1:9/rss cannot be reached: [Errno 111] Connection refused"


@pytest.mark.attack("deadlines")
def test_a_server_that_sends_no_body(real_site: RealSite) -> None:
    real_site.page = FeedPage(body=b" ", pause_s=0.3)
    getter = HttpGetter(connect_timeout_s=1, read_timeout_s=0.1)
    error = told(lambda: fetch(real_site.url, getter=getter, user_agent=AGENT))
    assert "timed out" in error.message


@pytest.mark.attack("deadlines")
def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/rss"
        getter = HttpGetter(connect_timeout_s=1, read_timeout_s=0.1)
        error = told(lambda: fetch(url, getter=getter, user_agent=AGENT))
    assert error.message.startswith(f"the feed {url} did not answer in time")


@pytest.mark.attack("deadlines")
def test_redirects_are_limited(real_site: RealSite) -> None:
    real_site.page = FeedPage(status=302, headers={"Location": "/rss/updates.xml"})
    error = told(lambda: ask(real_site))
    assert "redirects" in error.message
    assert len(real_site.requests) == 6


@pytest.mark.attack("only-gateway")
def test_a_redirect_to_another_scheme_is_not_followed(real_site: RealSite) -> None:
    real_site.page = FeedPage(status=302, headers={"Location": "file:///etc/hostname"})
    assert "redirects to another host" in told(lambda: ask(real_site)).message


@pytest.mark.attack("bounded-input")
def test_broken_compression_is_reported(real_site: RealSite) -> None:
    real_site.page = FeedPage(body=rss(1), headers={"Content-Encoding": "gzip"})
    assert "is not valid gzip" in told(lambda: ask(real_site)).message
