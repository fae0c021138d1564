"""The simple index as a journal over real HTTP, from a server on loopback."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hostile_http import FLOODS, flood, hostile_server
from sleeping_clock import SleepingClock

from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError
from ppp.watch.journal.index import ProjectIndex
from ppp.watch.journal.port import (
    NO_VALIDATORS,
    Action,
    ChangedProject,
    JournalKind,
    JournalPage,
    ProjectJournal,
    Validators,
)
from ppp.watch.journal.throttling import Throttle

NOW = 1_714_010_000
SINCE = 1_714_003_200
JSON = "application/vnd.pypi.simple.v1+json"
ETAG = '"v1"'


def project_list(projects: Mapping[str, object], serial: object = 100) -> dict[str, Any]:
    listed = [{"name": name} if n is None else {"name": name, "_last-serial": n} for name, n in projects.items()]
    meta = {"api-version": "1.1"} if serial is None else {"_last-serial": serial, "api-version": "1.1"}
    return {"meta": meta, "projects": listed}


def project_page(serial: int | None, *names: str, **more: object) -> dict[str, Any]:
    files = [{"filename": name, "upload-time": "2024-04-25T01:00:00Z", "yanked": False} for name in names]
    return {"meta": {} if serial is None else {"_last-serial": serial}, "files": files, **more}


@dataclass(kw_only=True)
class IndexServer:
    """Pages by path; `headers` go with each answer, `first` are statuses and headers that come before."""

    pages: dict[str, object] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    url: str = ""

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        self.requests.append((f"{method} {path}", headers))
        if self.first:
            return (*self.first.pop(0), b"")
        if headers.get("if-none-match") == ETAG:
            return 304, {}, b""
        if path not in self.pages:
            return 404, {}, b"no such page"
        page = self.pages[path]
        body = page if isinstance(page, bytes) else json.dumps(page).encode()
        return 200, {"Content-Type": JSON, **self.headers}, body


def handler_for(server: IndexServer) -> type[BaseHTTPRequestHandler]:
    class JournalIndexHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = {name.lower(): value for name, value in self.headers.items()}
            status, headers, body = server.answer(self.command, self.path, sent)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    return JournalIndexHandler


@pytest.fixture
def server() -> Iterator[IndexServer]:
    served = IndexServer(pages={"/simple/": project_list({"old": 10, "Six": 60, "zope.interface": 55, "numpy": 100})})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler_for(served)) as http:
        served.url = f"http://127.0.0.1:{http.server_port}/simple/"
        thread = threading.Thread(target=http.serve_forever, args=(0.02,))
        thread.start()
        yield served
        http.shutdown()
        thread.join()


def index_of(url: str, **options: Any) -> ProjectIndex:
    clock = SleepingClock()
    throttle = Throttle(clock=clock, sleep=clock.sleep)
    return ProjectIndex(url=url, user_agent="agent", throttle=throttle, wall_clock=lambda: float(NOW), **options)


SIX = ChangedProject(serial=60, package="six")


def test_projects_that_changed(server: IndexServer) -> None:
    server.headers = {"ETag": ETAG}
    journal: ProjectJournal = index_of(server.url)
    assert isinstance(journal, ProjectJournal)
    assert journal.kind is JournalKind.INDEX
    assert journal.page_after(50) == JournalPage(
        to_read=(ChangedProject(serial=55, package="zope-interface"), SIX, ChangedProject(serial=100, package="numpy")),
        last_serial=100,
        validators=Validators(etag=ETAG),
    )
    assert "simple.v1+json" in server.requests[0][1]["accept"]


def test_an_unchanged_index_is_not_read_again(server: IndexServer) -> None:
    validators = Validators(etag=ETAG)
    page = index_of(server.url).page_after(100, validators=validators)
    assert page == JournalPage(last_serial=100, validators=validators, unchanged=True)


def test_of_very_many_projects_those_with_the_smallest_serials_come_first(server: IndexServer) -> None:
    server.pages["/simple/"] = project_list({f"p{n}": 1000 - n for n in range(100)}, serial=1000)
    server.headers = {"ETag": ETAG}
    page = index_of(server.url, max_changed=10).page_after(0)
    assert [project.serial for project in page.to_read] == list(range(901, 911))
    assert (page.last_serial, page.has_more, page.validators) == (910, True, NO_VALIDATORS)
    rest = index_of(server.url, max_changed=100).page_after(910)
    assert (len(rest.to_read), rest.last_serial, rest.has_more) == (90, 1000, False)


def test_unusable_projects_are_rejected(server: IndexServer) -> None:
    server.pages["/simple/"] = project_list({"-x-": 70, "<b>": 71, "late": None, "text": "9", "big": 2**70, "six": 60})
    page = index_of(server.url).page_after(50)
    assert page.to_read == (SIX,)
    assert [rejected.serial for rejected in page.rejected] == [70, 71, None, None, None]
    assert all(rejected.reason.isprintable() for rejected in page.rejected)


@pytest.mark.parametrize(("headers", "serial"), [({"X-PyPI-Last-Serial": "90"}, 90), ({}, 60)])
def test_where_the_index_does_not_say_its_serial(server: IndexServer, headers: dict[str, str], serial: int) -> None:
    server.pages["/simple/"] = project_list({"six": 60}, serial=None)
    server.headers = headers
    assert index_of(server.url).page_after(50).last_serial == serial
    assert index_of(server.url).last_serial() == serial


def test_the_last_serial_is_in_a_header(server: IndexServer) -> None:
    server.headers = {"X-PyPI-Last-Serial": "123"}
    assert index_of(server.url).last_serial() == 123
    assert [request for request, _ in server.requests] == ["HEAD /simple/"]


def test_an_index_that_went_back_keeps_what_was_asked(server: IndexServer) -> None:
    page = index_of(server.url).page_after(5_000)
    assert (page.to_read, page.last_serial) == ((), 5_000)


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"<!DOCTYPE html><html><a href='six/'>six</a></html>", "is HTML .* only JSON has the serials"),
        (project_list({"six": None, "seven": None}), "names projects without serials"),
        (b'{"meta": {}, "projects": [', "is cut short"),
        (b"", "is empty"),
        ({"meta": {}}, "has no list 'projects'"),
    ],
)
def test_what_is_no_index(server: IndexServer, page: object, reason: str) -> None:
    server.pages["/simple/"] = page
    with pytest.raises(JournalMalformedError, match=reason):
        index_of(server.url).page_after(50)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_status_that_is_a_refusal(server: IndexServer, status: int) -> None:
    server.first = [(status, {})] * 2
    with pytest.raises(JournalUnreachableError, match=f"status {status}"):
        index_of(server.url).page_after(50)


def test_throttling_is_obeyed(server: IndexServer) -> None:
    server.first = [(429, {"Retry-After": "9"}), (503, {})]
    index = index_of(server.url)
    assert index.page_after(99).last_serial == 100
    server.first = [(429, {"Retry-After": "9999"})]
    with pytest.raises(JournalThrottledError):
        index.page_after(99)


def test_a_project_page(server: IndexServer) -> None:
    server.pages["/simple/six/"] = project_page(61, "six-1.17.0.tar.gz")
    page = index_of(server.url).project_page(SIX, since=SINCE)
    assert page is not None
    assert [(event.serial, event.action, event.at) for event in page.events] == [
        (60, Action.NEW_RELEASE, SINCE + 3600),
        (60, Action.ADD_FILE, SINCE + 3600),
    ]
    assert page.last_serial == 61


def test_a_project_that_is_quarantined(server: IndexServer) -> None:
    server.pages["/simple/six/"] = project_page(60, **{"project-status": {"status": "quarantined"}})
    page = index_of(server.url).project_page(SIX, since=SINCE)
    assert page is not None
    assert [(event.action, event.at) for event in page.events] == [(Action.PROJECT_QUARANTINED, NOW)]


@pytest.mark.parametrize("in_header", [True, False])
def test_a_page_that_is_older_than_the_index_is_asked_for_again(server: IndexServer, in_header: bool) -> None:  # noqa: FBT001
    server.pages["/simple/six/"] = project_page(None if in_header else 59, "six-1.17.0.tar.gz")
    server.headers = {"X-PyPI-Last-Serial": "59"} if in_header else {}
    assert index_of(server.url).project_page(SIX, since=SINCE) is None


def test_a_page_without_a_serial_is_taken_as_it_is(server: IndexServer) -> None:
    server.pages["/simple/six/"] = project_page(None, "six-1.17.0.tar.gz")
    page = index_of(server.url).project_page(SIX, since=SINCE)
    assert page is not None
    assert page.last_serial == 60


def test_a_missing_page_of_a_project_that_is_listed_is_asked_for_again(server: IndexServer) -> None:
    assert index_of(server.url).project_page(SIX, since=SINCE) is None


def test_a_project_that_is_listed_no_longer_was_removed(server: IndexServer) -> None:
    server.pages["/simple/"] = project_list({"old": 10, "numpy": 100})
    page = index_of(server.url).project_page(SIX, since=SINCE)
    assert page is not None
    assert [(event.action, event.version, event.serial) for event in page.events] == [(Action.REMOVE_PROJECT, "", 60)]


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", sorted(FLOODS))
def test_a_server_that_floods(name: str) -> None:
    with (
        hostile_server(FLOODS[name]) as url,
        pytest.raises((JournalUnreachableError, JournalMalformedError)),
    ):
        index_of(url, max_index_bytes=100_000).page_after(1)


@pytest.mark.attack("bounded-input")
def test_an_index_without_end_is_cut() -> None:
    part = b'{"name": "six", "_last-serial": 60}, '
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"projects": ['
    with hostile_server(flood(start, part)) as url, pytest.raises(JournalMalformedError, match="larger than"):
        index_of(url, max_index_bytes=1_000_000, max_changed=10).page_after(1)
