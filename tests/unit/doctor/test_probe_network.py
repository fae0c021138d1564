"""Probing the network path to the index: a local index that answers correctly, and in every other way."""

import hashlib
import json
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

import pytest
from cell_environments import tiny_matrix
from hostile_http import DRIPS, drip_over_tls, hostile_server
from local_index import JSON_TYPE, LocalIndex, Responder, reply

from ppp.doctor import probe_network
from ppp.doctor.machine import IndexAccess, IndexFacts, Reachability
from ppp.model.credentials import split_credentials
from ppp.model.matrix import PinnedPip

NOW: Final = 1_714_003_200
PIP: Final = tiny_matrix().pip
TLS: Final = Path(__file__).parents[2] / "support" / "tls"
#: A port on which nothing listens: a privileged one that no service uses.
NOBODY: Final = "http://127.0.0.1:9/simple/"


@pytest.fixture(params=[False, True], ids=["html", "json"])
def local(request: pytest.FixtureRequest) -> Iterator[LocalIndex]:
    """An index that lists the pinned pip."""
    with LocalIndex(json_pages=request.param) as index:
        index.add_file("pip", f"pip-{PIP.version}-py3-none-any.whl", b"not fetched", sha256=PIP.sha256)
        yield index


def page(url: str) -> IndexFacts:
    return probe_network.page(IndexAccess(url=url), PIP, user_agent="the-pypi-place/tests", now=NOW)


def test_an_index(local: LocalIndex) -> None:
    found = page(local.url)
    assert (found.reach, found.lists_pip) == (Reachability.ANSWERED, True)
    assert found.server_time
    assert abs(found.server_time - time.time()) < 60
    assert local.request_headers[-1]["User-Agent"] == "the-pypi-place/tests"


def test_an_index_with_another_pip() -> None:
    with LocalIndex() as index:
        index.add_file("pip", f"pip-{PIP.version}-py3-none-any.whl", b"other")
        found = page(index.url)
    assert (found.reach, found.lists_pip) == (Reachability.ANSWERED, False)


def dated(date: str | None, age: str | None = None) -> Responder:
    """Return a responder with this date and age in its headers."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response_only(200)
        for name, value in (("Date", date), ("Age", age)):
            if value is not None:
                request.send_header(name, value)
        request.send_header("Content-Type", "text/html")
        request.end_headers()
        request.wfile.write(b"<!DOCTYPE html><a href='/pip-1.0.tar.gz'>pip-1.0.tar.gz</a>")

    return send


@pytest.mark.parametrize(
    ("date", "age", "expected"),
    [
        (formatdate(NOW - 900, usegmt=True), None, NOW - 900),
        (formatdate(NOW - 900, usegmt=True), "900", NOW),
        ("yesterday", None, None),
        (formatdate(NOW, usegmt=True), "soon", None),
        (None, None, None),
    ],
)
def test_the_index_s_clock(date: str | None, age: str | None, expected: int | None) -> None:
    with LocalIndex() as index:
        index.set_response("/simple/pip/", dated(date, age))
        found = page(index.url)
    assert (found.reach, found.server_time, found.requested_at) == (Reachability.ANSWERED, expected, NOW)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(status=502), "status 502"),
        (reply(b"<html>", headers={"Content-Type": "image/png"}), "image/png"),
        (reply(b"{", headers={"Content-Type": JSON_TYPE}), "JSONDecodeError"),
        (reply(json.dumps([1]).encode(), headers={"Content-Type": JSON_TYPE}), ""),
        (reply(b"<html>", headers={"Content-Type": "text/html"}, length=900), "IncompleteRead"),
        (reply([b" " * 1024**2] * 20, headers={"Content-Type": "text/html"}), "larger than"),
    ],
    ids=["502", "image", "broken JSON", "JSON of something else", "cut off", "endless"],
)
def test_a_response_that_is_not_an_index_page(answer: Responder, words: str) -> None:
    with LocalIndex() as index:
        index.set_response("/simple/pip/", answer)
        found = page(index.url)
    assert found.reach is Reachability.UNEXPECTED
    assert words in found.detail


def test_nobody_listens() -> None:
    assert page(NOBODY).reach is Reachability.REFUSED


def test_an_unknown_host_name() -> None:
    assert page("http://index.example/simple/").reach is Reachability.NOT_FOUND
    found = probe_network.resolve("https://index.example/simple/")
    assert (found.host, found.addresses) == ("index.example", ())
    assert found.reason


def test_an_invalid_host_name() -> None:
    assert probe_network.resolve(f"https://{'a' * 70}.example/").addresses == ()


def test_a_host_name_is_resolved() -> None:
    assert probe_network.resolve("http://127.0.0.1:9/").addresses == ("127.0.0.1",)


def test_host_names_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not probe_network.resolve("https://index.example/").proxied
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert probe_network.resolve("https://index.example/").proxied


def test_a_response_that_never_comes() -> None:
    go_on = threading.Event()

    def wait(_: BaseHTTPRequestHandler) -> None:
        go_on.wait(30)

    with LocalIndex() as index:
        index.set_response("/simple/pip/", wait)
        found = probe_network.page(
            IndexAccess(url=index.url), PIP, user_agent="the-pypi-place/tests", now=NOW, timeout_s=(5, 0.2)
        )
        go_on.set()
    assert found.reach is Reachability.TIMED_OUT


# ---------------------------------------------------------------- certificates


@contextmanager
def tls_server(certificate: Path) -> Iterator[str]:
    """Run a TLS server that sends only a date; yield its URL."""

    class CloseHandler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(404)
            self.send_header("Date", formatdate(NOW, usegmt=True))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), CloseHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()


def test_a_certificate_of_an_unknown_authority() -> None:
    with tls_server(TLS / "lasting.pem") as url:
        found = page(url)
    assert (found.reach, found.verify_code, found.server_time) == (Reachability.BAD_CERTIFICATE, 18, None)
    assert "self-signed" in found.detail


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("name", ["continue", "header-line", "trailers"])
def test_an_index_that_drips(name: str) -> None:
    started = time.monotonic()
    with hostile_server(DRIPS[name]) as url:
        found = probe_network.page(IndexAccess(url=url), PIP, user_agent="unit", now=NOW, deadline_s=0.5)
    assert found.reach is Reachability.TIMED_OUT
    assert time.monotonic() - started < 10


def test_a_certificate_of_a_known_authority(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "lasting.pem"))
    with tls_server(TLS / "lasting.pem") as url:
        found = page(url)
    assert (found.reach, found.detail, found.server_time) == (Reachability.UNEXPECTED, "status 404", NOW)


def test_an_expired_certificate_and_the_clock_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "expired.pem"))
    with tls_server(TLS / "expired.pem") as url:
        found = page(url)
    assert (found.reach, found.verify_code, found.detail) == (
        Reachability.BAD_CERTIFICATE,
        10,
        "certificate has expired",
    )
    assert found.server_time == NOW, "a wrong clock looks like this too, so the other one's is asked for"


@pytest.mark.attack("deadlines")
def test_an_expired_certificate_and_an_index_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "expired.pem"))
    started = time.monotonic()
    with hostile_server(partial(drip_over_tls, certificate=TLS / "expired.pem"), tls=True) as url:
        found = probe_network.page(IndexAccess(url=url), PIP, user_agent="unit", now=NOW, deadline_s=0.5)
    assert (found.reach, found.verify_code, found.server_time) == (Reachability.BAD_CERTIFICATE, 10, None)
    assert time.monotonic() - started < 10


def test_a_certificate_of_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(TLS / "lasting.pem"))
    with tls_server(TLS / "lasting.pem") as url:
        found = page(url.replace("127.0.0.1", "127.1"))
    assert found.reach is Reachability.BAD_CERTIFICATE
    assert found.verify_code in {62, 64}


def test_a_missing_certificate_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with tls_server(TLS / "lasting.pem") as url:
        found = page(url)
    assert found.reach is Reachability.BAD_CERTIFICATE
    assert "/nowhere/ca.pem" in found.detail


# ---------------------------------------------------------------- the gateway


def test_no_nginx(tmp_path: Path) -> None:
    found = probe_network.try_gateway(IndexAccess(url=NOBODY), PIP, {"PATH": str(tmp_path)}, nginx_folders="")
    assert (found.nginx, found.reach) == (None, Reachability.NOT_FOUND)


def test_an_nginx_that_does_not_start(tmp_path: Path) -> None:
    nginx = tmp_path / "nginx"
    nginx.write_text("#!/bin/sh\nexit 1\n")
    nginx.chmod(0o755)
    found = probe_network.try_gateway(IndexAccess(url=NOBODY), PIP, {"PATH": str(tmp_path)}, nginx_folders="")
    assert (found.nginx, found.reach) == (str(nginx), Reachability.UNEXPECTED)
    assert "did not start" in found.detail


@contextmanager
def private_index(content: bytes, *, sha256: str | None = None) -> Iterator[tuple[LocalIndex, IndexAccess, PinnedPip]]:
    """An index that wants credentials, and lists a pip."""
    authorization = f"Basic {b64encode(b'user:word').decode()}"
    with LocalIndex(authorization=authorization) as index:
        pip = replace(PIP, sha256=sha256 or hashlib.sha256(content).hexdigest())
        index.add_file("pip", f"pip-{PIP.version}-py3-none-any.whl", content, sha256=pip.sha256)
        url, credentials = split_credentials(index.url.replace("://", "://user:word@"))
        yield index, IndexAccess(url=url, credentials=credentials), pip


@pytest.mark.nginx
def test_a_gateway_to_a_private_index_is_tried_with_a_page_and_a_file() -> None:
    with private_index(b"pip") as (index, access, pip):
        found = probe_network.try_gateway(access, pip, {})
        assert found.reach is Reachability.ANSWERED, found
        assert dict(index.request_counts) == {"/simple/pip/": 1, f"/files/pip/pip-{pip.version}-py3-none-any.whl": 1}
        facts = probe_network.page(access, pip, user_agent="tests", now=NOW)
        assert facts.lists_pip, facts


@pytest.mark.nginx
@pytest.mark.parametrize("status", [401, 404, 200])
def test_a_gateway_to_an_index_that_serves_pages_only(status: int) -> None:
    with private_index(b"pip") as (index, access, pip):
        index.set_response(f"/files/pip/pip-{pip.version}-py3-none-any.whl", reply(b"other", status=status))
        found = probe_network.try_gateway(access, pip, {})
        assert found.reach is Reachability.UNEXPECTED
        assert found.detail == "it gets no answer from the index for the file of pip"


@pytest.mark.nginx
def test_a_gateway_to_an_index_that_is_down() -> None:
    found = probe_network.try_gateway(IndexAccess(url=NOBODY), PIP, {})
    assert (found.reach, found.detail) == (
        Reachability.UNEXPECTED,
        "it gets no answer from the index for the page of pip",
    )
