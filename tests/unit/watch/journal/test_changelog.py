"""The changelog over real HTTP, from a server on loopback that answers as it is told."""

import gzip
import threading
import xmlrpc.client
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hostile_http import DRIPS, FLOODS, answer, flood, hostile_server, once
from sleeping_clock import SleepingClock

from ppp.bounded_http.limits import TransferLimits
from ppp.model.credentials import Credentials
from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError
from ppp.watch.journal.changelog import Changelog
from ppp.watch.journal.port import Action, Journal, JournalKind, JournalPage
from ppp.watch.journal.throttling import Pace, Throttle

AT = 1_714_003_200
AGENT = "the-pypi-place/0 (watch@node.example)"
Row = tuple[str, str | None, int, str, int]
Reply = tuple[int, Mapping[str, str], bytes]


def row(serial: int, name: str = "six", action: str = "new release") -> Row:
    return name, f"1.{serial}", AT + serial, action, serial


def reply(value: Any, **headers: str) -> Reply:
    body = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True).encode()
    return 200, {name.replace("_", "-"): text for name, text in headers.items()}, body


def fault(text: str, code: int = -32500) -> Reply:
    return 200, {}, xmlrpc.client.dumps(xmlrpc.client.Fault(code, text), methodresponse=True).encode()


@dataclass(kw_only=True)
class ChangelogServer:
    """What a server has and got: `first` are replies that come before the rightful ones."""

    rows: list[Row] = field(default_factory=list)
    first: list[Reply] = field(default_factory=list)
    limit: int = 50_000
    calls: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, arguments: tuple[Any, ...]) -> Reply:
        self.calls.append((method, arguments))
        if self.first:
            return self.first.pop(0)
        if method == "changelog_last_serial":
            return reply(max((r[4] for r in self.rows), default=0))
        return reply([r for r in self.rows if r[4] > arguments[0]][: self.limit])


def handler_for(server: ChangelogServer) -> type[BaseHTTPRequestHandler]:
    class ChangelogHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            arguments, method = xmlrpc.client.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, headers, body = server.answer(str(method), arguments)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ChangelogHandler


@pytest.fixture
def server() -> Iterator[ChangelogServer]:
    served = ChangelogServer(rows=[row(n) for n in range(1, 8)])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(served)) as http:
        served.url = f"http://127.0.0.1:{http.server_port}/pypi"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield served
        http.shutdown()
        thread.join()


@contextmanager
def changelog_of(url: str, **options: Any) -> Iterator[tuple[Changelog, SleepingClock]]:
    clock = SleepingClock()
    throttle = Throttle(pace=Pace(budget_s=100), clock=clock, sleep=clock.sleep)
    settings: dict[str, Any] = {"throttle": throttle, "wall_clock": lambda: float(AT)}
    yield Changelog(url=url, user_agent=AGENT, **{**settings, **options}), clock


def serials(page: JournalPage) -> list[int | None]:
    return [event.serial for event in page.events]


def test_it_is_a_journal(server: ChangelogServer) -> None:
    with changelog_of(server.url) as (changelog, _):
        journal: Journal = changelog
        assert journal.kind is JournalKind.CHANGELOG
        assert journal.last_serial() == 7


def test_a_page(server: ChangelogServer) -> None:
    server.rows += [("Six", None, AT, "add Owner bob", 8), ("-", "1", AT, "new release", 9)]
    with changelog_of(server.url) as (changelog, clock):
        page = changelog.page_after(5)
    assert serials(page) == [6, 7]
    assert page.events[0].action is Action.NEW_RELEASE
    assert (page.events[0].version, page.events[0].at) == ("1.6", AT + 6)
    assert [rejected.serial for rejected in page.rejected] == [9]
    assert (page.last_serial, page.has_more) == (9, False)
    assert server.calls == [("changelog_last_serial", ()), ("changelog_since_serial", (5,))]
    assert server.headers[0]["user-agent"] == AGENT
    assert server.headers[0]["content-type"] == "text/xml"
    assert clock.slept == [1.0]


def test_pages_follow_one_another_and_the_last_serial_is_asked_for_once(server: ChangelogServer) -> None:
    server.limit = 3
    found, serial, has_more = [], 0, True
    with changelog_of(server.url) as (changelog, _):
        while has_more:
            page = changelog.page_after(serial)
            found += serials(page)
            assert page.last_serial is not None
            serial, has_more = page.last_serial, page.has_more
    assert found == [1, 2, 3, 4, 5, 6, 7]
    assert len(server.calls) == 4


def test_nothing_new(server: ChangelogServer) -> None:
    with changelog_of(server.url) as (changelog, _):
        assert changelog.page_after(7) == JournalPage(last_serial=7)
        assert changelog.page_after(70) == JournalPage(last_serial=70)


def test_serials_of_more_than_32_bits(server: ChangelogServer) -> None:
    # Python's own client writes none, but a server may.
    server.first = [
        (
            200,
            {},
            b"<methodResponse><params><param><value><i8>8589934592</i8></value></param></params></methodResponse>",
        )
    ]
    with changelog_of(server.url) as (changelog, _):
        assert changelog.last_serial() == 2**33
        with pytest.raises(JournalMalformedError, match="no event after serial 8589934590"):
            changelog.page_after(2**33 - 2)
    assert server.calls[-1] == ("changelog_since_serial", (2**33 - 2,))


def test_a_serial_that_never_advances(server: ChangelogServer) -> None:
    server.first = [reply(9), reply([row(5), row(5)])]
    with (
        changelog_of(server.url) as (changelog, _),
        pytest.raises(
            JournalMalformedError, match="has no event after serial 5 in 2 rows, although its last serial is 9"
        ),
    ):
        changelog.page_after(5)


TOO_MANY = "HTTPTooManyRequests: The action could not be performed because there were too many requests by the client."


@pytest.mark.parametrize(
    ("refusal", "slept"),
    [
        (fault(TOO_MANY), 2.0),
        ((429, {"Retry-After": "17"}, b"slow down"), 17.0),
        ((503, {}, b"<html>busy</html>"), 2.0),
        ((429, {"RateLimit": '"xmlrpc";r=0;t=23', "RateLimit-Policy": '"xmlrpc";q=10;w=60'}, b""), 23.0),
    ],
)
def test_a_refused_request_is_repeated_later(server: ChangelogServer, refusal: Reply, slept: float) -> None:
    server.first = [refusal]
    with changelog_of(server.url) as (changelog, clock):
        assert changelog.last_serial() == 7
    assert clock.slept == [slept]


def test_a_limit_that_is_announced_is_waited_for(server: ChangelogServer) -> None:
    server.first = [reply(7, RateLimit='"xmlrpc";r=0;t=30')]
    with changelog_of(server.url) as (changelog, clock):
        assert serials(changelog.page_after(6)) == [7]
    assert clock.slept == [30.0]


@pytest.mark.parametrize(
    ("refusal", "retry_after_s"), [(fault(TOO_MANY), 60.0), ((429, {"Retry-After": "4000"}, b""), 4000.0)]
)
def test_a_journal_that_refuses_for_long_is_left(server: ChangelogServer, refusal: Reply, retry_after_s: float) -> None:
    server.first = [refusal] * 100
    with changelog_of(server.url) as (changelog, clock), pytest.raises(JournalThrottledError) as caught:
        changelog.last_serial()
    assert caught.value.retry_after_s == retry_after_s
    assert sum(clock.slept) <= 100


@pytest.mark.parametrize("status", [301, 400, 403, 404, 405, 410, 500, 502])
def test_another_status_is_a_refusal(server: ChangelogServer, status: int) -> None:
    server.first = [(status, {"Location": "/elsewhere"}, b"")]
    with changelog_of(server.url) as (changelog, _), pytest.raises(JournalUnreachableError, match=f"status {status}"):
        changelog.last_serial()


def test_another_fault_is_a_refusal(server: ChangelogServer) -> None:
    server.first = [fault("server error; requested\x1b method not found".replace("\x1b", ""), code=-32601)]
    with (
        changelog_of(server.url) as (changelog, _),
        pytest.raises(JournalUnreachableError, match="refuses changelog_last_serial: fault -32601: server error"),
    ):
        changelog.last_serial()


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html><body>Maintenance</body></html>", "is a page of HTML"),
        (reply([row(n) for n in range(10, 60)])[2][:-500], "is cut short"),
        (reply("twelve")[2], "is no list of rows"),
        (reply({"a": 1})[2], "is no list of rows"),
        (reply([[1] * 50_000])[2], "more than 32 values"),
        (b'<!DOCTYPE x [<!ENTITY a "aa">]>' + reply([])[2].partition(b"?>")[2], "declares a document type"),
    ],
)
def test_what_is_no_page(server: ChangelogServer, body: bytes, reason: str) -> None:
    server.first = [reply(100), (200, {}, body)]
    with changelog_of(server.url) as (changelog, _), pytest.raises(JournalMalformedError, match=reason) as caught:
        changelog.page_after(5)
    assert "PPP_JOURNAL_URL" in caught.value.hint


@pytest.mark.parametrize("value", [-1, 2**31 - 1, "7", None, [[1]], []])
def test_what_is_no_serial(server: ChangelogServer, value: object) -> None:
    server.first = [reply(value)]
    with changelog_of(server.url) as (changelog, _):
        if value == 2**31 - 1:
            assert changelog.last_serial() == value
            return
        with pytest.raises(JournalMalformedError, match="has no serial"):
            changelog.last_serial()


def start(value: object) -> bytes:
    return reply(value)[2].partition(b"</data></array></value>\n</param>")[0]


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"<methodResponse>", b"<params></params>"),
        (b"<methodResponse><!--", b"x"),
        (b"<methodResponse>", b" text "),
        (
            start([row(1)]),
            reply([row(1)])[2].partition(b"<data>\n")[2].partition(b"</data></array></value>\n</param>")[0],
        ),
    ],
    ids=["elements", "a comment", "text", "rows"],
)
def test_a_body_without_end_is_cut(begin: bytes, part: bytes) -> None:
    with (
        hostile_server(flood(b"HTTP/1.1 200 OK\r\n\r\n" + begin, part)) as url,
        changelog_of(url, max_page_bytes=1_000_000) as (changelog, _),
        pytest.raises((JournalMalformedError, JournalUnreachableError), match=r"larger than|more than|has no serial"),
    ):
        changelog.last_serial()


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("name", sorted(DRIPS))
def test_a_server_that_drips(name: str) -> None:
    limits = TransferLimits(connect_s=1, read_s=0.2, total_s=0.3)
    with (
        hostile_server(DRIPS[name]) as url,
        changelog_of(url, limits=limits) as (changelog, _),
        pytest.raises(JournalUnreachableError),
    ):
        changelog.last_serial()


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", sorted(FLOODS))
def test_a_server_that_floods(name: str) -> None:
    with (
        hostile_server(FLOODS[name]) as url,
        changelog_of(url, max_page_bytes=100_000) as (changelog, _),
        pytest.raises((JournalUnreachableError, JournalMalformedError)),
    ):
        changelog.last_serial()


def test_nobody_listens() -> None:
    with (
        changelog_of("http://127.0.0.1:9/pypi") as (changelog, _),
        pytest.raises(JournalUnreachableError, match="Connection refused"),
    ):
        changelog.last_serial()


def test_credentials_are_sent_to_their_origin(server: ChangelogServer) -> None:
    credentials = Credentials(origin=server.url.removesuffix("/pypi"), user="me", password="secret-1")
    with changelog_of(server.url, credentials=credentials) as (changelog, _):
        changelog.last_serial()
    assert server.headers[0]["authorization"] == "Basic bWU6c2VjcmV0LTE="


def test_a_compressed_page_is_limited_after_decompression() -> None:
    body = answer(gzip.compress(b"<methodResponse>" + b" " * 5_000_000), "Content-Encoding: gzip")
    with (
        hostile_server(once(body)) as url,
        changelog_of(url, max_page_bytes=1_000_000) as (changelog, _),
        pytest.raises(JournalMalformedError, match="larger than 1,000,000 bytes"),
    ):
        changelog.last_serial()


def test_of_a_page_that_fails_nothing_is_used(server: ChangelogServer) -> None:
    """The cursor is the caller's, and the same page can be asked for again."""
    whole = reply([row(n) for n in range(6, 8)])[2]
    server.first = [reply(7), (200, {}, whole[:-100])]
    with changelog_of(server.url) as (changelog, _):
        with pytest.raises(JournalMalformedError):
            changelog.page_after(5)
        assert serials(changelog.page_after(5)) == [6, 7]
