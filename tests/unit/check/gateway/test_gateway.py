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
from local_gateway import SocketConnection, ask, gateway_to
from local_index import JSON_TYPE, LocalIndex, reply
from projects import module_project
from pypi_simple import ProjectPage

from ppp.check.gateway.gateway import Gateway, GatewayError
from ppp.check.gateway.pages import view_name
from ppp.check.index.page import ProjectFiles, ProjectStatus, Status, parse_page
from ppp.check.runtime import pip_environment

PROJECT = module_project("quiet", "")
WHEEL = "lib-1.0-py3-none-any.whl"
PIP_ACCEPTS = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"


def ask_through(running: Gateway, where: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """Ask as a new cell would."""
    with running.cell_socket() as cell:
        return ask(cell, where, method, None, **headers)


def listed(running: Gateway, project: str, *, full_pages: bool = False) -> list[dict[str, Any]]:
    """Return the files on a project's page."""
    path = urlsplit(running.index_url(8080, full_pages=full_pages)).path
    status, page = ask_through(running, f"{path}{project}/", Accept=JSON_TYPE)
    assert status == 200
    files: list[dict[str, Any]] = json.loads(page)["files"]
    return files


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as opened:
        opened.add(PROJECT)
        yield opened


@pytest.fixture
def running(index: LocalIndex, tmp_path: Path) -> Iterator[Gateway]:
    with gateway_to(index, tmp_path) as running:
        yield running


# ---------------------------------------------------------------- pages


@pytest.mark.nginx
def test_a_page_is_fetched_once_and_links_through_the_gateway(index: LocalIndex, running: Gateway) -> None:
    status, page = ask_through(running, f"{running.path}quiet/")
    assert status == 200
    assert PROJECT.filename.encode() in page
    assert index.host.encode() not in page, "a cell cannot reach that host"
    assert ask_through(running, f"{running.path}quiet/") == (status, page)
    assert index.request_counts == {"/simple/quiet/": 1}


@pytest.mark.nginx
@pytest.mark.parametrize("json_pages", [False, True])
def test_what_the_index_says_of_a_project_reaches_pip_unchanged(tmp_path: Path, *, json_pages: bool) -> None:
    reason = 'malware, see "x" & <y>'
    with LocalIndex(json_pages=json_pages) as index, gateway_to(index, tmp_path) as running:
        index.set_status("evil", "quarantined", reason)
        index.add_file("old", "old-1.0.tar.gz", b"", yanked=reason)
        index.set_status("old", "archived")
        for accepts, form in ((PIP_ACCEPTS, JSON_TYPE), ("text/html", "text/html")):
            pages = {
                name: parse_page(
                    name, ask_through(running, f"{running.path}{name}/", Accept=accepts)[1], form, "http://x"
                )
                for name in ("evil", "old")
            }
            assert pages["evil"] == ProjectFiles(
                files=(), status=ProjectStatus(status=Status.QUARANTINED, reason=reason)
            )
            assert pages["old"].status == ProjectStatus(status=Status.ARCHIVED)
            assert pages["old"].files[0].yanked_reason == reason


@pytest.mark.nginx
def test_no_client_keeps_a_page(index: LocalIndex, running: Gateway) -> None:
    headers = {"Content-Type": "text/html", "Cache-Control": "max-age=600"}
    index.set_response("/simple/kept/", reply(b"", headers=headers))
    with running.cell_socket() as cell:
        for path in (f"{running.path}kept/", f"{running.path}quiet/"):
            for _ in range(2):
                connection = SocketConnection(cell)
                connection.request("GET", path)
                answer = connection.getresponse()
                assert (answer.status, answer.headers.get_all("Cache-Control")) == (200, ["max-age=0"])
                connection.close()


@pytest.mark.nginx
@pytest.mark.parametrize("json_pages", [False, True])
def test_clients_that_prefer_json_get_it_and_others_the_same_in_html(tmp_path: Path, *, json_pages: bool) -> None:
    with LocalIndex(json_pages=json_pages) as index, gateway_to(index, tmp_path) as running:
        index.add(PROJECT)
        status, page = ask_through(running, f"{running.path}quiet/", Accept=PIP_ACCEPTS)
        (row,) = json.loads(page)["files"]
        assert (status, row["filename"]) == (200, PROJECT.filename)
        assert row["hashes"] == {"sha256": hashlib.sha256(PROJECT.build()).hexdigest()}
        for accepts in ("text/html", "*/*", "application/vnd.pypi.simple.v1+html, text/html;q=0.1"):
            status, page = ask_through(running, f"{running.path}quiet/", Accept=accepts)
            (link,) = ProjectPage.from_html("quiet", page, "").packages
            assert (status, link.filename, link.url, link.digests) == (200, row["filename"], row["url"], row["hashes"])


@pytest.mark.nginx
def test_files_that_no_environment_could_choose_are_left_out(index: LocalIndex, running: Gateway) -> None:
    here, elsewhere = "many-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", "many-1.0-cp312-cp312-win_amd64.whl"
    for name in (here, elsewhere, "many-1.0.tar.gz"):
        index.add_file("many", name, b"", yanked=name == here, requires_python="<3.9")
    assert len(listed(running, "many")) == 3, "no tags are set yet"
    running.limit_to_tags(["cp312-cp312-manylinux_2_17_x86_64", "py3-none-any"])
    assert [file["filename"] for file in listed(running, "many")] == [here, "many-1.0.tar.gz"]
    assert [file["filename"] for file in listed(running, "many", full_pages=True)] == [
        here,
        elsewhere,
        "many-1.0.tar.gz",
    ]
    assert listed(running, "many")[0] == listed(running, "many", full_pages=True)[0]
    assert listed(running, "many")[0]["yanked"] == "withdrawn"
    running.limit_to_tags(["cp312-cp312-win_amd64"])
    assert [file["filename"] for file in listed(running, "many")] == [elsewhere, "many-1.0.tar.gz"]


@pytest.mark.nginx
def test_the_same_matrix_finds_its_pages_in_the_cache_and_another_does_not(index: LocalIndex, tmp_path: Path) -> None:
    for admitted, asked in ((["a-b-c", "d-e-f"], 1), (["d-e-f", "a-b-c"], 1), (["a-b-c"], 2)):
        with gateway_to(index, tmp_path) as running:
            running.limit_to_tags(admitted)
            listed(running, "quiet")
        assert index.request_counts == {"/simple/quiet/": asked}


def add_page(index: LocalIndex, project: str, *links: str) -> None:
    """Set a project's page."""
    index.set_response(f"/simple/{project}/", reply("".join(links).encode(), headers={"Content-Type": "text/html"}))


def link(url: str, content: bytes | None = None, attributes: str = "") -> str:
    """Return a link to a file, with the hash of its content."""
    fragment = "" if content is None else f"#sha256={hashlib.sha256(content).hexdigest()}"
    return f'<a href="{url}{fragment}" {attributes}>{url.rpartition("/")[2]}</a>'


@pytest.mark.nginx
def test_metadata_of_a_wheel_is_served_and_checked(index: LocalIndex, running: Gateway) -> None:
    for project, content, attributes in (
        ("meta", b"Name: meta", f"data-core-metadata=sha256={hashlib.sha256(b'Name: meta').hexdigest()}"),
        ("wrong", b"Name: other", f"data-core-metadata=sha256={hashlib.sha256(b'Name: wrong').hexdigest()}"),
        ("absent", b"", f"data-core-metadata=sha256={hashlib.sha256(b'Name: absent').hexdigest()}"),
        ("vague", b"Name: vague", "data-core-metadata=true"),
        ("plain", b"Name: plain", ""),
    ):
        add_page(index, project, link(f"/files/{project}/{WHEEL}", b"", attributes))
        index.set_response(f"/files/{project}/{WHEEL}.metadata", reply(content))
    (row,) = listed(running, "meta")
    assert row["core-metadata"] == {"sha256": hashlib.sha256(b"Name: meta").hexdigest()}
    assert ask_through(running, f"{row['url']}.metadata") == (200, b"Name: meta")
    # What differs from the page, or is promised and not there, is the index's fault: pip gets no answer at all, and the
    # cell is an ERROR.
    index.set_response(f"/files/absent/{WHEEL}.metadata", reply(status=404))
    for project in ("wrong", "absent"):
        (row,) = listed(running, project)
        with pytest.raises(http.client.RemoteDisconnected):
            ask_through(running, f"{row['url']}.metadata")
    for project in ("vague", "plain"):
        (row,) = listed(running, project)
        assert "core-metadata" not in row, "it could not be checked, so pip reads the file"
        assert ask_through(running, f"{row['url']}.metadata")[0] == 404


@pytest.mark.nginx
def test_a_page_that_has_not_changed_is_not_sent_again(index: LocalIndex, tmp_path: Path) -> None:
    headers = {"Content-Type": "text/html", "ETag": 'W/"one"'}
    index.set_response("/simple/same/", reply(f'<a href="{WHEEL}">{WHEEL}</a>'.encode(), headers=headers))
    with gateway_to(index, tmp_path, page_lifetime="1s") as running:
        first = listed(running, "same")
        index.set_response("/simple/same/", reply(status=304, headers=headers))
        time.sleep(2.1)
        assert listed(running, "same") == first
    assert index.request_counts["/simple/same/"] == 2
    assert index.request_headers[-1]["If-None-Match"] == 'W/"one"'


# ---------------------------------------------------------------- files


@pytest.mark.nginx
def test_a_file_is_served_completely_and_cached(index: LocalIndex, running: Gateway) -> None:
    (row,) = listed(running, "quiet")
    index.request_counts.clear()
    assert [ask_through(running, row["url"]) for _ in range(2)] == [(200, PROJECT.build())] * 2
    assert list(index.request_counts.values()) == [1]


@pytest.mark.nginx
def test_files_are_served_from_wherever_the_page_says_also_by_the_next_run(index: LocalIndex, tmp_path: Path) -> None:
    content = b"a" + b"b" * 70_000 + b"c"
    with LocalIndex() as elsewhere:
        path = f"/files/{WHEEL}"
        elsewhere.set_response(path, reply([content[:1], content[1:]], length=len(content)))
        add_page(index, "late", link(elsewhere.url_of(path), content))
        with gateway_to(index, tmp_path) as running:
            (row,) = listed(running, "late")
            assert ask_through(running, row["url"]) == (200, content)
        # The page is still in the cache when the gateway starts anew; what it leads to is read again.
        with gateway_to(index, tmp_path) as running:
            assert listed(running, "late") == [row]
            assert ask_through(running, row["url"]) == (200, content)
        assert elsewhere.request_counts == {path: 1}
    assert index.request_counts == {"/simple/late/": 2}


@pytest.mark.nginx
def test_a_file_that_is_cut_off_is_not_served(index: LocalIndex, running: Gateway) -> None:
    path = f"/files/{WHEEL}"
    add_page(index, "late", link(path, b"complete"))
    index.set_response(path, reply(b"comp", length=8))
    (row,) = listed(running, "late")
    with pytest.raises((http.client.HTTPException, OSError)):
        ask_through(running, row["url"])
    index.set_response(path, reply(b"complete"))
    assert ask_through(running, row["url"]) == (200, b"complete")


@pytest.mark.nginx
def test_a_part_of_a_file_can_be_asked_for(running: Gateway) -> None:
    (row,) = listed(running, "quiet")
    assert ask_through(running, row["url"], Range="bytes=2-5") == (206, PROJECT.build()[2:6])
    assert ask_through(running, row["url"]) == (200, PROJECT.build())


@pytest.mark.nginx
def test_a_page_and_a_file_can_be_asked_about(running: Gateway) -> None:
    (row,) = listed(running, "quiet")
    with running.cell_socket() as cell:
        for path, size in ((row["url"], len(PROJECT.build())), (f"{running.path}quiet/", None)):
            connection = SocketConnection(cell)
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            assert size is None or answer.headers["Content-Length"] == str(size)
            connection.close()


# ---------------------------------------------------------------- local projects


@pytest.mark.attack("same-bytes")
@pytest.mark.nginx
def test_local_projects_hide_the_indexes(index: LocalIndex, tmp_path: Path) -> None:
    folder = tmp_path / "local-projects"
    (folder / "quiet").mkdir(parents=True)
    (folder / "quiet" / WHEEL).write_bytes(b"ours")
    (folder / "quiet" / "notes.txt").write_bytes(b"not served")
    with gateway_to(index, tmp_path, local_projects=folder) as running:
        (row,) = listed(running, "quiet")
        assert (row["filename"], row["hashes"]) == (WHEEL, {"sha256": hashlib.sha256(b"ours").hexdigest()})
        assert ask_through(running, row["url"]) == (200, b"ours")
        running.limit_to_tags(["cp39-cp39-win_amd64"])
        assert listed(running, "quiet") == [], "as any other page"
        assert index.request_counts == {}
    (folder / "quiet" / WHEEL).write_bytes(b"newer")
    with gateway_to(index, tmp_path, local_projects=folder) as running:
        (row,) = listed(running, "quiet")
        assert ask_through(running, row["url"]) == (200, b"newer"), "no page of local projects before"
    with gateway_to(index, tmp_path) as running:
        assert [row["filename"] for row in listed(running, "quiet")] == [PROJECT.filename]


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.attack("only-gateway")
@pytest.mark.nginx
def test_requests_that_are_not_allowed_do_not_reach_the_index(index: LocalIndex, running: Gateway) -> None:
    for method in ("POST", "DELETE", "PUT"):
        assert ask_through(running, f"{running.path}quiet/", method)[0] == 405
    for path in ("/simple/quiet/", "/feed", f"{running.path}", f"{running.path}Quiet/", f"{running.path}..%2ffeed/"):
        assert ask_through(running, path)[0] == 404
    assert index.request_counts == {}


@pytest.mark.nginx
def test_a_broken_index_differs_from_an_unknown_package(index: LocalIndex, running: Gateway) -> None:
    assert ask_through(running, f"{running.path}unknown/")[0] == 404
    for status in (500, 502, 503, 403, 429):
        index.set_response(f"/simple/broken{status}/", reply(b"", status=status))
        with pytest.raises(http.client.RemoteDisconnected):
            ask_through(running, f"{running.path}broken{status}/")
    index.set_response("/simple/strange/", reply(b"GIF89a", headers={"Content-Type": "image/gif"}))
    index.set_response("/simple/torn/", reply(b"{", headers={"Content-Type": JSON_TYPE}))
    index.set_response("/simple/huge/", reply([b" " * 2**20] * 65, headers={"Content-Type": "text/html"}))
    for project in ("strange", "torn", "huge"):
        with pytest.raises(http.client.RemoteDisconnected):
            ask_through(running, f"{running.path}{project}/")


@pytest.mark.nginx
def test_while_the_index_fails_its_last_page_is_served(index: LocalIndex, tmp_path: Path) -> None:
    with gateway_to(index, tmp_path, page_lifetime="1s") as running:
        first = listed(running, "quiet")
        index.set_response("/simple/quiet/", reply(status=503))
        time.sleep(2.1)
        assert listed(running, "quiet") == first
    assert index.request_counts == {"/simple/quiet/": 2}


@pytest.mark.attack("separate-cells")
@pytest.mark.nginx
@pytest.mark.parametrize(
    "how", ["{view}quiet/?x=1", "{view}other/%2e%2e/quiet/", "{view}/quiet/", "{file}?x=1", "/-/x/..{file}"]
)
def test_no_cell_changes_what_another_one_is_served(index: LocalIndex, running: Gateway, how: str) -> None:
    """Whatever the request and its headers: the response for one path is never served for another."""
    index.set_response("/files/quiet/wrong", reply(b"wrong"))
    file = f"/-/quiet/{hashlib.sha256(PROJECT.build()).hexdigest()}/{PROJECT.filename}"
    hostile = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Original-URL": "/files/quiet/wrong"}
    hostile |= {"Range": "bytes=0-1", "Authorization": "Basic c2VjcmV0", "Cookie": "a=b", "Accept-Encoding": "gzip"}
    hostile |= {"X-Cell": "::9", "X-Accel-Redirect": "/store/x"}
    with suppress(http.client.HTTPException):
        ask_through(running, how.format(view=running.path, file=file), **hostile)
    for headers in index.request_headers:
        assert headers.keys() <= {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection", "Cache-Control"}
        assert headers["Host"] == index.host
        assert headers["User-Agent"].startswith("the-pypi-place/")
    (row,) = listed(running, "quiet")
    assert (row["filename"], row["url"]) == (PROJECT.filename, file)
    assert ask_through(running, file) == (200, PROJECT.build())


@pytest.mark.nginx
def test_a_view_that_is_not_open_yet_is_not_cached_as_empty(index: LocalIndex, running: Gateway) -> None:
    later = view_name(frozenset({"py3-none-any"}), index_url=index.url, local_projects="")
    with pytest.raises(http.client.RemoteDisconnected):
        ask_through(running, f"/{later}/quiet/", Accept=JSON_TYPE)
    running.limit_to_tags(["py3-none-any"])
    assert running.path == f"/{later}/"
    assert len(listed(running, "quiet")) == 1


@pytest.mark.heavy
@pytest.mark.attack("own-verdict")
@pytest.mark.nginx
@pytest.mark.online
def test_pip_reports_a_broken_index_as_a_network_error(
    index: LocalIndex, running: Gateway, pinned_pip: FetchedPip
) -> None:
    index.set_response("/simple/broken/", reply(status=503))
    argv = [sys.executable, str(pinned_pip.folder / "pip"), "install", "--dry-run", "--ignore-installed", "--retries=1"]
    with running.cell_socket() as cell, through_a_port(cell) as port:
        environ = os.environ | pip_environment(running.index_url(port)) | {"PIP_FIND_LINKS": ""}
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
    """Forward from a port to a socket in the file system, as a cell's keeper does."""

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


# ---------------------------------------------------------------- start and end


@pytest.mark.attack("only-gateway")
@pytest.mark.nginx
def test_a_cells_socket_is_its_own_and_can_be_removed(running: Gateway) -> None:
    with running.cell_socket() as mine, running.cell_socket() as other:
        assert [path.name for path in mine.parent.iterdir()] == ["socket"], "nothing else is shown to a cell"
        assert ask(mine, f"{running.path}quiet/")[0] == 200
        mine.unlink()
        with pytest.raises(FileNotFoundError):
            ask(mine, f"{running.path}quiet/")
        assert ask(other, f"{running.path}quiet/")[0] == 200
    assert not mine.parent.exists()
    assert not other.parent.exists()


@pytest.mark.nginx
def test_the_gateway_ends_with_its_context(index: LocalIndex, tmp_path: Path) -> None:
    with gateway_to(index, tmp_path) as running:
        assert ask_through(running, f"{running.path}quiet/")[0] == 200
    assert not running.socket.exists()


HOLD = """
import os, sys, time
from pathlib import Path
from ppp.check.gateway.gateway import run_gateway
from ppp.check.index.client import SimpleIndex
cache = Path(sys.argv[1])
index = SimpleIndex("http://127.0.0.1:9/simple/", cache=cache / "stored", user_agent="tests")
with run_gateway(index, cache=cache, environ=os.environ) as running:
    print(running.socket.with_name("pid").read_text().strip(), running.socket.parent, flush=True)
    time.sleep(60)
"""


@pytest.mark.heavy
@pytest.mark.attack("crash-safe")
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
    # Any run that begins meanwhile, in another process of these tests, removes it first.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.nginx
def test_an_nginx_that_does_not_start_says_why(index: LocalIndex, tmp_path: Path) -> None:
    with (
        pytest.raises(GatewayError, match=r"nginx did not start: .*max_size"),
        gateway_to(index, tmp_path, max_cache="much"),
    ):
        pass


def test_without_nginx_there_is_no_gateway(tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    with (
        pytest.raises(GatewayError, match="no nginx on this machine"),
        gateway_to("https://index.example/simple/", tmp_path, environ={"PATH": nowhere}, nginx_folders=nowhere),
    ):
        pass
    assert not (tmp_path / "gateway").exists()
