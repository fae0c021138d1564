"""The index gateway in front of a local index: a real nginx, asked through its socket as a cell would."""

import hashlib
import http.client
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cell_environments import FetchedPip
from local_index import JSON_TYPE, LocalIndex, reply
from projects import module_project
from pypi_simple import ProjectPage

from ppp.check.gateway.gateway import Gateway, GatewayError, run_gateway
from ppp.check.gateway.pages import origin_name, view_name
from ppp.check.runtime import pip_environment

PROJECT = module_project("quiet", "")
WHEEL = "lib-1.0-py3-none-any.whl"
PIP_ACCEPTS = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


class Through(http.client.HTTPConnection):
    """A connection through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(path: Path, where: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Ask as a cell would; raise `RemoteDisconnected` where the gateway hangs up, as it does where the index fails."""
    connection = Through(path)
    try:
        connection.request(method, where, headers={"Accept": "text/html"} | headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def listed(running: Gateway, project: str, *, whole: bool = False) -> list[dict[str, Any]]:
    """Give the files on a project's page."""
    path = urlsplit(running.index_url(8080, full_pages=whole)).path
    status, page = ask(running.socket, f"{path}{project}/", Accept=JSON_TYPE)
    assert status == 200
    files: list[dict[str, Any]] = json.loads(page)["files"]
    return files


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as opened:
        opened.add(PROJECT)
        yield opened


@pytest.fixture
def before(index: LocalIndex, tmp_path: Path) -> Iterator[Gateway]:
    with standing_before(index, tmp_path) as running:
        yield running


@contextmanager
def standing_before(index: LocalIndex, folder: Path, **options: Any) -> Iterator[Gateway]:
    """A gateway before an index whose files lie at its own host."""
    origins = [index.url_of("")]
    with run_gateway(index.url, origins, cache=folder / "gateway", environ=os.environ, **options) as running:
        yield running


# ---------------------------------------------------------------- pages


@pytest.mark.nginx
def test_a_page_is_fetched_once_and_leads_back_through_the_gateway(index: LocalIndex, before: Gateway) -> None:
    status, page = ask(before.socket, f"{before.path}quiet/")
    assert status == 200
    assert PROJECT.filename.encode() in page
    assert index.host.encode() not in page, "a cell cannot reach that host"
    assert ask(before.socket, f"{before.path}quiet/") == (status, page)
    assert index.request_counts == {"/simple/quiet/": 1}


@pytest.mark.nginx
@pytest.mark.parametrize("json_pages", [False, True])
def test_who_prefers_json_gets_it_and_others_the_same_in_html(tmp_path: Path, *, json_pages: bool) -> None:
    with LocalIndex(json_pages=json_pages) as index, standing_before(index, tmp_path) as running:
        index.add(PROJECT)
        status, page = ask(running.socket, f"{running.path}quiet/", Accept=PIP_ACCEPTS)
        (row,) = json.loads(page)["files"]
        assert (status, row["filename"]) == (200, PROJECT.filename)
        assert row["hashes"] == {"sha256": hashlib.sha256(PROJECT.build()).hexdigest()}
        for accepts in ("text/html", "*/*", "application/vnd.pypi.simple.v1+html, text/html;q=0.1"):
            status, page = ask(running.socket, f"{running.path}quiet/", Accept=accepts)
            (link,) = ProjectPage.from_html("quiet", page, "").packages
            assert (status, link.filename, link.url, link.digests) == (200, row["filename"], row["url"], row["hashes"])


@pytest.mark.nginx
def test_what_no_environment_could_choose_is_left_out(index: LocalIndex, before: Gateway) -> None:
    here, elsewhere = "many-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "many-1.0-cp312-cp312-win_amd64.whl"
    for name in (here, elsewhere, "many-1.0.tar.gz"):
        index.add_file("many", name, b"", yanked=name == here, requires_python="<3.9")
    assert len(listed(before, "many")) == 3, "nothing is admitted yet"
    before.limit_to_tags(["cp312-cp312-manylinux_2_17_x86_64", "py3-none-any"])
    assert [file["filename"] for file in listed(before, "many")] == [here, "many-1.0.tar.gz"]
    assert [file["filename"] for file in listed(before, "many", whole=True)] == [here, elsewhere, "many-1.0.tar.gz"]
    assert listed(before, "many")[0] == listed(before, "many", whole=True)[0]
    assert listed(before, "many")[0]["yanked"] == "withdrawn"
    before.limit_to_tags(["cp312-cp312-win_amd64"])
    assert [file["filename"] for file in listed(before, "many")] == [elsewhere, "many-1.0.tar.gz"]


@pytest.mark.nginx
def test_the_same_matrix_finds_its_pages_in_the_cache_and_another_does_not(index: LocalIndex, tmp_path: Path) -> None:
    for admitted, asked in ((["a-b-c", "d-e-f"], 1), (["d-e-f", "a-b-c"], 1), (["a-b-c"], 2)):
        with standing_before(index, tmp_path) as running:
            running.limit_to_tags(admitted)
            listed(running, "quiet")
        assert index.request_counts == {"/simple/quiet/": asked}


@pytest.mark.nginx
def test_metadata_of_a_wheel_is_had_through_the_gateway(index: LocalIndex, before: Gateway) -> None:
    (link,) = f'<a href="/files/meta/{WHEEL}" data-core-metadata="sha256={"0" * 64}">{WHEEL}</a>'.splitlines()
    index.set_response("/simple/meta/", reply(link.encode(), headers={"Content-Type": "text/html"}))
    index.set_response(f"/files/meta/{WHEEL}.metadata", reply(b"Name: meta"))
    (row,) = listed(before, "meta")
    assert row["core-metadata"] == {"sha256": "0" * 64}
    assert ask(before.socket, f"{row['url']}.metadata") == (200, b"Name: meta")


@pytest.mark.nginx
def test_a_page_that_has_not_changed_is_not_sent_again(index: LocalIndex, tmp_path: Path) -> None:
    headers = {"Content-Type": "text/html", "ETag": 'W/"one"'}
    index.set_response("/simple/same/", reply(f'<a href="{WHEEL}">{WHEEL}</a>'.encode(), headers=headers))
    with standing_before(index, tmp_path, page_lifetime="1s") as running:
        first = listed(running, "same")
        index.set_response("/simple/same/", reply(status=304, headers=headers))
        time.sleep(2.1)
        assert listed(running, "same") == first
    assert index.request_counts["/simple/same/"] == 2
    assert index.request_headers[-1]["If-None-Match"] == 'W/"one"'


# ---------------------------------------------------------------- files


@pytest.mark.nginx
def test_a_file_comes_whole_and_is_kept(index: LocalIndex, before: Gateway) -> None:
    (row,) = listed(before, "quiet")
    index.request_counts.clear()
    assert [ask(before.socket, row["url"]) for _ in range(2)] == [(200, PROJECT.build())] * 2
    assert list(index.request_counts.values()) == [1]


@pytest.mark.nginx
def test_where_pages_come_to_lead_after_the_start_is_reached_too(index: LocalIndex, tmp_path: Path) -> None:
    with LocalIndex() as elsewhere:
        path = f"/files/{WHEEL}"
        elsewhere.set_response(path, reply([b"a", b"b" * 70_000, b"c"], length=70_002))
        page = f'<a href="{elsewhere.url_of(path)}">{WHEEL}</a>'
        index.set_response("/simple/late/", reply(page.encode(), headers={"Content-Type": "text/html"}))
        with standing_before(index, tmp_path) as running:
            (row,) = listed(running, "late")
            assert ask(running.socket, row["url"]) == (200, b"a" + b"b" * 70_000 + b"c")
        # The page is still in the cache when the gateway starts anew; what it leads to must be known.
        with standing_before(index, tmp_path) as running:
            assert listed(running, "late") == [row]
            assert ask(running.socket, row["url"])[0] == 200
            assert ask(running.socket, f"{row['url']}.metadata")[0] == 404
        assert elsewhere.request_counts == {path: 1, f"{path}.metadata": 1}
    assert index.request_counts == {"/simple/late/": 1}


@pytest.mark.nginx
def test_a_late_file_that_is_cut_off_is_not_kept(index: LocalIndex, before: Gateway) -> None:
    with LocalIndex() as elsewhere:
        path = f"/files/{WHEEL}"
        page = f'<a href="{elsewhere.url_of(path)}">{WHEEL}</a>'
        index.set_response("/simple/late/", reply(page.encode(), headers={"Content-Type": "text/html"}))
        elsewhere.set_response(path, reply(b"half", length=8))
        (row,) = listed(before, "late")
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(before.socket, row["url"])
        elsewhere.set_response(path, reply(b"complete"))
        assert ask(before.socket, row["url"]) == (200, b"complete")


@pytest.mark.nginx
def test_a_late_file_is_not_followed_to_anywhere_else(index: LocalIndex, before: Gateway) -> None:
    with LocalIndex() as elsewhere:
        path = f"/files/{WHEEL}"
        secret = elsewhere.set_response("/secret", reply(b"secret"))
        elsewhere.set_response(path, reply(status=302, headers={"Location": secret}))
        page = f'<a href="{elsewhere.url_of(path)}">{WHEEL}</a>'
        index.set_response("/simple/late/", reply(page.encode(), headers={"Content-Type": "text/html"}))
        (row,) = listed(before, "late")
        with pytest.raises(http.client.RemoteDisconnected):
            ask(before.socket, row["url"])
        assert elsewhere.request_counts == {path: 1}


# ---------------------------------------------------------------- our own projects


@pytest.mark.nginx
def test_our_own_projects_stand_before_the_index_s(index: LocalIndex, tmp_path: Path) -> None:
    folder = tmp_path / "overlay"
    (folder / "quiet").mkdir(parents=True)
    (folder / "quiet" / WHEEL).write_bytes(b"ours")
    (folder / "quiet" / "notes.txt").write_bytes(b"not served")
    with standing_before(index, tmp_path, local_projects=folder) as running:
        (row,) = listed(running, "quiet")
        assert (row["filename"], row["hashes"]) == (WHEEL, {"sha256": hashlib.sha256(b"ours").hexdigest()})
        assert ask(running.socket, row["url"]) == (200, b"ours")
        running.limit_to_tags(["cp39-cp39-win_amd64"])
        assert listed(running, "quiet") == [], "as any other page"
        assert index.request_counts == {}
    (folder / "quiet" / WHEEL).write_bytes(b"newer")
    with standing_before(index, tmp_path, local_projects=folder) as running:
        (row,) = listed(running, "quiet")
        assert ask(running.socket, row["url"]) == (200, b"newer"), "no page of the overlay before"
    with standing_before(index, tmp_path) as running:
        assert [row["filename"] for row in listed(running, "quiet")] == [PROJECT.filename]


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.nginx
def test_what_a_cell_may_not_ask_does_not_reach_the_index(index: LocalIndex, before: Gateway) -> None:
    for method in ("POST", "DELETE", "PUT"):
        assert ask(before.socket, f"{before.path}quiet/", method)[0] == 405
    for path in ("/simple/quiet/", "/feed", f"{before.path}", f"{before.path}Quiet/", f"{before.path}..%2ffeed/"):
        assert ask(before.socket, path)[0] == 404
    assert index.request_counts == {}


@pytest.mark.nginx
def test_a_broken_index_is_told_from_an_unknown_package(index: LocalIndex, before: Gateway) -> None:
    assert ask(before.socket, f"{before.path}unknown/")[0] == 404
    for status in (500, 502, 503, 403, 429):
        index.set_response(f"/simple/broken{status}/", reply(b"", status=status))
        with pytest.raises(http.client.RemoteDisconnected):
            ask(before.socket, f"{before.path}broken{status}/")
    index.set_response("/simple/strange/", reply(b"GIF89a", headers={"Content-Type": "image/gif"}))
    index.set_response("/simple/torn/", reply(b"{", headers={"Content-Type": JSON_TYPE}))
    index.set_response("/simple/huge/", reply([b" " * 2**20] * 65, headers={"Content-Type": "text/html"}))
    for project in ("strange", "torn", "huge"):
        with pytest.raises(http.client.RemoteDisconnected):
            ask(before.socket, f"{before.path}{project}/")


@pytest.mark.nginx
def test_an_index_that_breaks_is_stood_in_for_by_what_it_said_last(index: LocalIndex, tmp_path: Path) -> None:
    with standing_before(index, tmp_path, page_lifetime="1s") as running:
        first = listed(running, "quiet")
        index.set_response("/simple/quiet/", reply(status=503))
        time.sleep(2.1)
        assert listed(running, "quiet") == first
    assert index.request_counts == {"/simple/quiet/": 2}


@pytest.mark.nginx
@pytest.mark.parametrize(
    "how", ["{view}quiet/?x=1", "{view}other/%2e%2e/quiet/", "{view}/quiet/", "{file}?x=1", "/-/x/..{file}"]
)
def test_no_cell_changes_what_another_one_is_served(index: LocalIndex, before: Gateway, how: str) -> None:
    """Whatever is asked, and with whatever headers: an answer for one path never becomes another's."""
    index.set_response("/files/quiet/wrong", reply(b"wrong"))
    file = f"/-/{origin_name(index.url_of(''))}/files/quiet/{PROJECT.filename}"
    hostile = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Original-URL": "/files/quiet/wrong"}
    hostile |= {"Range": "bytes=0-1", "Authorization": "Basic c2VjcmV0", "Cookie": "a=b", "Accept-Encoding": "gzip"}
    with suppress(http.client.HTTPException):
        ask(before.socket, how.format(view=before.path, file=file), **hostile)
    for headers in index.request_headers:
        assert headers.keys() <= {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}
        assert headers["Host"] == index.host
        assert headers["User-Agent"].startswith("the-pypi-place/")
    (row,) = listed(before, "quiet")
    assert (row["filename"], row["url"]) == (PROJECT.filename, file)
    assert ask(before.socket, file) == (200, PROJECT.build())


@pytest.mark.nginx
def test_a_view_that_nobody_opened_yet_is_not_remembered_as_empty(index: LocalIndex, before: Gateway) -> None:
    later = view_name(frozenset({"py3-none-any"}), index_url=index.url, local_projects="")
    with pytest.raises(http.client.RemoteDisconnected):
        ask(before.socket, f"/{later}/quiet/", Accept=JSON_TYPE)
    before.limit_to_tags(["py3-none-any"])
    assert before.path == f"/{later}/"
    assert len(listed(before, "quiet")) == 1


@pytest.mark.nginx
@pytest.mark.online
def test_pip_takes_a_broken_index_for_the_network_and_a_sound_one_for_an_index(
    index: LocalIndex, before: Gateway, pinned_pip: FetchedPip
) -> None:
    index.set_response("/simple/broken/", reply(status=503))
    argv = [sys.executable, str(pinned_pip.folder / "pip"), "install", "--dry-run", "--ignore-installed", "--retries=1"]
    with through_a_port(before.socket) as port:
        environ = os.environ | pip_environment(before.index_url(port)) | {"PIP_FIND_LINKS": ""}
        sound, broken, unknown = (
            subprocess.run([*argv, name], env=environ, capture_output=True, text=True, check=False)
            for name in ("quiet", "broken", "unknown")
        )
    assert sound.returncode == 0, sound.stderr
    assert "Retrying (Retry(" in broken.stderr, "which ppp/check/causes.toml knows for the network"
    assert "No matching distribution found for unknown" in unknown.stderr
    assert "Retrying" not in unknown.stderr


@contextmanager
def through_a_port(path: Path) -> Iterator[int]:
    """Lead from a port to a socket in the file system, as a cell's own keeper does."""

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    class Lead(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as there:
                there.connect(str(path))
                back = threading.Thread(target=copy, args=(there, self.request))
                back.start()
                copy(self.request, there)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Lead) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


# ---------------------------------------------------------------- coming and going


@pytest.mark.nginx
def test_a_door_is_one_cell_s_own_and_can_be_shut(before: Gateway) -> None:
    with before.cell_socket() as mine, before.cell_socket() as other:
        assert [path.name for path in mine.parent.iterdir()] == ["socket"], "nothing else is shown to a cell"
        assert ask(mine, f"{before.path}quiet/")[0] == 200
        mine.unlink()
        with pytest.raises(FileNotFoundError):
            ask(mine, f"{before.path}quiet/")
        assert ask(other, f"{before.path}quiet/")[0] == 200
    assert not mine.parent.exists()
    assert not other.parent.exists()


@pytest.mark.nginx
def test_the_gateway_ends_with_its_context(index: LocalIndex, tmp_path: Path) -> None:
    with run_gateway(index.url, [], cache=tmp_path / "gateway", environ=os.environ) as running:
        assert ask(running.socket, f"{running.path}quiet/")[0] == 200
    assert not running.socket.exists()


HOLD = """
import os, sys, time
from pathlib import Path
from ppp.check.gateway.gateway import run_gateway
with run_gateway("http://127.0.0.1:9/simple/", [], cache=Path(sys.argv[1]), environ=os.environ) as running:
    print(running.socket.with_name("pid").read_text().strip(), running.socket.parent, flush=True)
    time.sleep(60)
"""


@pytest.mark.nginx
def test_a_killed_run_leaves_no_gateway(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        pid, folder = holder.stdout.readline().split()
        nginx = Path("/proc", pid)
        assert nginx.exists()
        holder.kill()
    deadline = time.monotonic() + 10
    while nginx.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not nginx.exists()
    shutil.rmtree(folder)


@pytest.mark.nginx
def test_an_nginx_that_does_not_start_says_why(index: LocalIndex, tmp_path: Path) -> None:
    with (
        pytest.raises(GatewayError, match=r"nginx did not start: .*max_size"),
        run_gateway(index.url, [], cache=tmp_path / "gateway", environ=os.environ, max_cache="much"),
    ):
        pass


def test_without_nginx_there_is_no_gateway(tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    with (
        pytest.raises(GatewayError, match="no nginx on this machine"),
        run_gateway(
            "https://index.example/simple/",
            [],
            cache=tmp_path / "gateway",
            environ={"PATH": nowhere},
            nginx_folders=nowhere,
        ),
    ):
        pass
    assert not (tmp_path / "gateway").exists()
