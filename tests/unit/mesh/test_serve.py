"""Serving files and accepting announcements, with the real server on loopback."""

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from ppp.episode_audio import AUDIO_FILES
from ppp.mesh.node import NodeKey
from ppp.mesh.serve import METRICS_INTERVAL_S, AnnouncementQueue, create_app, prefers_json
from ppp.mesh.statement import Statement, sign_statement
from ppp.model.errors import LedgerBusyError, ListenError, PeerError, PPPError, PublishError
from ppp.web_server import create_server, local_url, open_socket

NOW = 1_714_089_600
KEY = NodeKey.from_seed(b"k" * 32)
OTHER = NodeKey.from_seed(b"o" * 32)
WAIT_S = 10


def an_envelope(key: NodeKey, *, signed_by: NodeKey | None = None) -> bytes:
    statement = Statement(
        node=key.id,
        sequence=1,
        previous=None,
        issued_at=NOW,
        expires_at=NOW + 1,
        current_sha256="aa" * 32,
        files_sha256="bb" * 32,
        root="cc" * 32,
        records=0,
        images={},
        pip_version="26.0.1",
    )
    return sign_statement(statement, signed_by or key)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A node that serves, and the fetches that it started."""

    def __init__(self, public: Path) -> None:
        self.public = public
        self.fetched: list[str] = []
        self.told = threading.Semaphore(0)
        self.url = ""
        self.problems: list[str] = []
        self.clock = Clock()
        self.metrics_reads = 0
        self.metrics_error: PPPError | None = None

    def metrics(self) -> CollectorRegistry:
        self.metrics_reads += 1
        if self.metrics_error:
            raise self.metrics_error
        registry = CollectorRegistry()
        Gauge("reads", "How often they were read.", registry=registry).set(self.metrics_reads)
        return registry

    def on_announce(self, node: str) -> None:
        self.fetched.append(node)
        self.told.release()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    public = tmp_path / "public"
    (public / "p").mkdir(parents=True)
    (public / "index.html").write_text("<!doctype html><title>PPP</title>")
    (public / "p" / "index.html").write_text("package")
    (public / "current.json").write_text('{"a": 1}')
    (public / "feed.xml").write_text("<rss/>")
    (public / "x.sig").write_text("00\n")
    (tmp_path / "node.key").write_text("secret")
    (public / "link").symlink_to(tmp_path / "node.key")
    node = Served(public)
    application = create_app(
        public,
        trusted=lambda: {KEY.id},
        on_announce=node.on_announce,
        problems=lambda: node.problems,
        metrics=node.metrics,
        interval_s=0,
        body_timeout_s=0.3,
        clock=node.clock,
    )
    running = create_server(application)
    with open_socket("127.0.0.1", 0) as listening:
        node.url = local_url(listening)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        yield node
        running.should_exit = True
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_files_are_served_with_their_types(served: Served) -> None:
    types = {
        "": "text/html; charset=utf-8",
        "p/": "text/html; charset=utf-8",
        "current.json": "application/json",
        "feed.xml": "application/xml",
        "x.sig": "text/plain; charset=utf-8",
    }
    for path, media_type in types.items():
        answer = requests.get(served.url + path, timeout=WAIT_S)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers


#: As pip and a browser send it.
PIP_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
BROWSER_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


def test_a_simple_index_is_json_for_clients_that_prefer_it(served: Served) -> None:
    folder = served.public / "simple/py312-alpine/six"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html>")
    (folder / "index.v1_json").write_text("{}")
    (served.public / "simple/index.html").write_text("<!doctype html>")
    url = f"{served.url}simple/py312-alpine/six/"
    as_json, as_html = "application/vnd.pypi.simple.v1+json", "text/html; charset=utf-8"
    for accept, media_type in {PIP_ACCEPT: as_json, BROWSER_ACCEPT: as_html, "*/*": as_html}.items():
        answer = requests.get(url, headers={"Accept": accept}, timeout=WAIT_S)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, media_type)
        assert answer.headers["Vary"] == "Accept"
    assert requests.get(f"{url}index.v1_json", timeout=WAIT_S).headers["Content-Type"] == as_json
    # There is no JSON of the page about all indexes, and none of other pages.
    for path in ("simple/", "p/"):
        answer = requests.get(served.url + path, headers={"Accept": PIP_ACCEPT}, timeout=WAIT_S)
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, as_html)
    for path in ("simple/absent/", "simple/../node.key/", "simple/%00/", "p/%00/", "%00", f"simple/{'x' * 300}/"):
        assert requests.get(served.url + path, headers={"Accept": PIP_ACCEPT}, timeout=WAIT_S).status_code == 404


@pytest.mark.parametrize(
    ("accept", "prefers"),
    [
        (PIP_ACCEPT, True),
        ("APPLICATION/VND.PYPI.SIMPLE.V1+JSON", True),
        (BROWSER_ACCEPT, False),
        ("", False),
        ("application/json", False),
        ("application/vnd.pypi.simple.v1+json;q=0", False),
        ("application/vnd.pypi.simple.v1+json;q=nan", False),
        ("application/vnd.pypi.simple.v1+json;q=0.2, text/html", False),
        ("application/vnd.pypi.simple.v1+json;q=1e9", False),
        (",;,;q=;=" * 1_000, False),
    ],
)
def test_the_form_is_chosen_by_weight(accept: str, *, prefers: bool) -> None:
    assert prefers_json(accept) is prefers


def test_ranges_head_and_not_modified_are_answered(served: Served) -> None:
    url = f"{served.url}current.json"
    part = requests.get(url, headers={"Range": "bytes=1-3"}, timeout=WAIT_S)
    assert (part.status_code, part.content, part.headers["Content-Range"]) == (206, b'"a"', "bytes 1-3/8")
    head = requests.head(url, timeout=WAIT_S)
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "8", b"")
    again = requests.get(url, headers={"If-None-Match": head.headers["ETag"]}, timeout=WAIT_S)
    assert again.status_code == 304


@pytest.mark.parametrize(("name", "media_type"), AUDIO_FILES.items())
def test_podcast_players_get_types_lengths_and_ranges(served: Served, name: str, media_type: str) -> None:
    folder = served.public / "episodes" / "2024-04-25"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(bytes(range(200)))
    url = f"{served.url}episodes/2024-04-25/{name}"
    head = requests.head(url, timeout=WAIT_S)
    assert head.headers["Content-Type"].partition(";")[0] == media_type
    assert (head.headers["Content-Length"], head.headers["Accept-Ranges"]) == ("200", "bytes")
    tail = requests.get(url, headers={"Range": "bytes=190-"}, timeout=WAIT_S)
    assert (tail.status_code, tail.content) == (206, bytes(range(190, 200)))


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize("path", ["../node.key", "%2e%2e/node.key", "p/../../node.key", "link", "//etc/passwd", "nope"])
def test_nothing_outside_the_web_root_is_served(served: Served, path: str) -> None:
    host, port = served.url.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as talk:
        talk.sendall(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: talk.recv(65536), b""))
    assert answer.split(b" ")[1] == b"404"
    assert b"secret" not in answer


def test_a_trusted_peers_announcement_starts_a_fetch(served: Served) -> None:
    answer = requests.post(f"{served.url}announce", data=an_envelope(KEY), timeout=WAIT_S)
    assert (answer.status_code, answer.text) == (202, "it will be fetched\n")
    assert served.told.acquire(timeout=WAIT_S)
    assert served.fetched == [KEY.id]


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (an_envelope(OTHER), 403, f"`ppp peer add URL --key {OTHER.id}`"),
        (an_envelope(KEY, signed_by=OTHER), 403, "its signature is not that of node"),
        (b"", 400, "not valid JSON"),
        (b"[" * 60_000, 400, "nests deeper"),
        (b'{"a": 1, "a": 1}', 400, "an object has a duplicate key"),
        (b'{"signed": {}}', 400, "is invalid by statement.schema.json"),
        (b"x" * 65_537, 413, "more than 65536 bytes"),
    ],
)
def test_any_other_announcement_is_rejected(served: Served, body: bytes, status: int, reason: str) -> None:
    answer = requests.post(f"{served.url}announce", data=body, timeout=WAIT_S)
    assert answer.status_code == status
    assert reason in answer.text
    assert served.fetched == []


def test_an_announcement_is_posted(served: Served) -> None:
    assert requests.get(f"{served.url}announce", timeout=WAIT_S).status_code == 404
    assert requests.post(f"{served.url}current.json", data=b"x", timeout=WAIT_S).status_code == 405


def test_ipv6_is_served() -> None:
    try:
        listening = open_socket("[::1]", 0)
    except ListenError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        assert local_url(listening).startswith("http://[::1]:")


def test_an_address_in_use_is_reported() -> None:
    with open_socket("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(ListenError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: .*--port"):
            open_socket("127.0.0.1", port)
    for host, bad_port in (("127.0.0.1", 70_000), ("127.0.0.1", -1), ("203.0.113.1", 0)):
        with pytest.raises(ListenError, match="cannot listen on"):
            open_socket(host, bad_port)


def test_without_a_web_root_there_is_nothing_to_serve(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="nothing to serve"):
        create_app(tmp_path / "none", trusted=set, on_announce=print)


@pytest.mark.attack("open-to-readers")
def test_an_announcement_that_never_ends_times_out(served: Served) -> None:
    host, port = served.url.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=WAIT_S) as talk:
        talk.sendall(f"POST /announce HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n{{".encode())
        assert talk.recv(65536).split(b" ")[1] == b"408"
    assert served.fetched == []


def worked(announced: AnnouncementQueue, steps: Callable[[], None]) -> None:
    thread = threading.Thread(target=announced.work)
    thread.start()
    try:
        steps()
    finally:
        announced.close()
        thread.join(WAIT_S)
    assert not thread.is_alive()


@pytest.mark.attack("open-to-readers")
def test_many_announcements_of_one_node_are_one_fetch_each_interval() -> None:
    clock = Clock()
    fetched: list[tuple[str, float]] = []
    told = threading.Semaphore(0)

    def fetch(node: str) -> None:
        fetched.append((node, clock.now))
        told.release()

    announced = AnnouncementQueue(fetch, interval_s=60, clock=clock)

    def steps() -> None:
        announced.add("a")
        assert told.acquire(timeout=WAIT_S)
        for _ in range(100):
            announced.add("a")
        announced.add("b")
        assert told.acquire(timeout=WAIT_S)
        assert not told.acquire(timeout=0.05)
        clock.now += 60
        announced.add("a")
        assert told.acquire(timeout=WAIT_S)

    worked(announced, steps)
    assert fetched == [("a", 1000.0), ("b", 1000.0), ("a", 1060.0)]


def test_fetches_do_not_overlap_and_a_failure_loses_none(caplog: pytest.LogCaptureFixture) -> None:
    going: list[str] = []
    overlaps: list[str] = []
    told = threading.Semaphore(0)

    def fetch(node: str) -> None:
        overlaps.extend(going)
        going.append(node)
        threading.Event().wait(0.01)
        going.remove(node)
        told.release()
        if node == "a":
            raise PeerError("a is down", hint="wait")
        if node == "b":
            raise RuntimeError("a mistake of ours")

    announced = AnnouncementQueue(fetch, interval_s=0, clock=Clock())

    def steps() -> None:
        for node in "abc":
            announced.add(node)
        for _ in "abc":
            assert told.acquire(timeout=WAIT_S)

    with caplog.at_level(logging.WARNING):
        worked(announced, steps)
    assert overlaps == []
    messages: Any = [r.getMessage() for r in caplog.records]
    assert messages == [
        "the fetch announced by a failed: a is down (wait)",
        "fetching from b failed",
    ]


def test_an_announcement_outlasts_a_busy_ledger() -> None:
    clock = Clock()
    fetched: list[float] = []
    told = threading.Semaphore(0)

    def fetch(_: str) -> None:
        fetched.append(clock.now)
        told.release()
        if len(fetched) < 2:
            raise LedgerBusyError("another PPP is writing", hint="wait for it")

    announced = AnnouncementQueue(fetch, interval_s=60, clock=clock)

    def steps() -> None:
        announced.add("a")
        assert told.acquire(timeout=WAIT_S)
        assert not told.acquire(timeout=0.05)
        clock.now += 60
        announced.add("b")
        assert told.acquire(timeout=WAIT_S)
        assert told.acquire(timeout=WAIT_S)

    worked(announced, steps)
    assert fetched == [1000.0, 1060.0, 1060.0]


def test_whether_the_node_is_well_is_asked_anew_each_time(served: Served) -> None:
    for problems, status, text in ([], 200, "ok\n"), (["watch is late", "render \x1b"], 503, "watch is late; render "):
        served.problems = problems
        answer = requests.get(f"{served.url}healthz", timeout=WAIT_S)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (status, "no-store")
        assert answer.text.startswith(text)
        assert "\x1b" not in answer.text


def reads(answer: requests.Response) -> float:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    (family,) = text_string_to_metric_families(answer.text)
    return family.samples[0].value


@pytest.mark.attack("open-to-readers")
def test_metrics_are_read_once_in_an_interval(served: Served) -> None:
    for _ in range(5):
        assert reads(requests.get(f"{served.url}metrics", timeout=WAIT_S)) == 1
    served.clock.now += METRICS_INTERVAL_S
    assert reads(requests.get(f"{served.url}metrics", timeout=WAIT_S)) == 2
    assert served.metrics_reads == 2
    assert requests.post(f"{served.url}metrics", data=b"x", timeout=WAIT_S).status_code == 405


@pytest.mark.attack("open-to-readers")
def test_metrics_that_cannot_be_read_name_no_file(served: Served) -> None:
    served.metrics_error = LedgerBusyError("/var/lib/private/ppp.db is locked", hint="wait for it")
    answer = requests.get(f"{served.url}metrics", timeout=WAIT_S)
    assert (answer.status_code, answer.text) == (503, "no metrics now\n")
    served.metrics_error = None
    assert reads(requests.get(f"{served.url}metrics", timeout=WAIT_S)) == 2


@pytest.mark.attack("open-to-readers")
@pytest.mark.parametrize("headers", [{"Accept": b"\xff"}, {"Accept-Encoding": b"\xff"}])
def test_a_request_for_metrics_that_is_not_text(served: Served, headers: dict[str, bytes]) -> None:
    assert requests.get(f"{served.url}metrics", headers=headers, timeout=WAIT_S).status_code == 400
