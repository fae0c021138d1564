"""The index gateway in front of a local index: a real nginx, asked through its socket as a cell would."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_index import LocalIndex, reply
from projects import importing

from ppp.check.gateway import Gateway, GatewayError, gateway
from ppp.check.index import SimpleIndex

PROJECT = importing("quiet", "")


class Through(http.client.HTTPConnection):
    """A connection through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def ask(path: Path, where: str, method: str = "GET") -> tuple[int, bytes]:
    connection = Through(path)
    try:
        connection.request(method, where, headers={"Accept": "text/html", "Authorization": "Basic c2VjcmV0"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def index() -> Iterator[LocalIndex]:
    with LocalIndex() as opened:
        opened.add(PROJECT)
        yield opened


@pytest.fixture
def before(index: LocalIndex, tmp_path: Path) -> Iterator[Gateway]:
    simple = SimpleIndex(index.url, cache=tmp_path / "files", user_agent="the-pypi-place/tests")
    origins = simple.file_origins("quiet")
    index.asked.clear()
    with gateway(index.url, origins, cache=tmp_path / "gateway", environ=os.environ) as running:
        yield running


@pytest.mark.nginx
def test_a_page_is_fetched_once_and_leads_back_through_the_gateway(index: LocalIndex, before: Gateway) -> None:
    status, page = ask(before.socket, f"{before.path}quiet/")
    assert status == 200
    assert PROJECT.filename.encode() in page
    assert index.host.encode() not in page, "a cell cannot reach that host"
    assert ask(before.socket, f"{before.path}quiet/") == (status, page)
    assert index.asked == {"/simple/quiet/": 1}


@pytest.mark.nginx
def test_a_file_comes_whole_and_is_kept(index: LocalIndex, before: Gateway) -> None:
    _, page = ask(before.socket, f"{before.path}quiet/")
    link = page.decode().partition('href="')[2].partition("#")[0]
    assert link.startswith("/"), "the link leads through the gateway"
    index.asked.clear()
    assert [ask(before.socket, link) for _ in range(2)] == [(200, PROJECT.build())] * 2
    assert list(index.asked.values()) == [1]


@pytest.mark.nginx
def test_what_a_cell_may_not_ask_does_not_reach_the_index(index: LocalIndex, before: Gateway) -> None:
    assert ask(before.socket, f"{before.path}quiet/", "POST")[0] == 403
    assert ask(before.socket, f"{before.path}quiet/", "DELETE")[0] == 403
    assert index.asked == {}


@pytest.mark.nginx
def test_an_unknown_package_and_a_broken_index_are_told_apart(index: LocalIndex, before: Gateway) -> None:
    assert ask(before.socket, f"{before.path}unknown/")[0] == 404
    index.answer("/simple/broken/", reply(b"", status=500))
    assert ask(before.socket, f"{before.path}broken/")[0] == 500


@pytest.mark.nginx
def test_a_door_is_one_cell_s_own_and_can_be_shut(before: Gateway) -> None:
    with before.door() as mine, before.door() as other:
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
    with gateway(index.url, [], cache=tmp_path / "gateway", environ=os.environ) as running:
        assert ask(running.socket, f"{running.path}quiet/")[0] == 200
    assert not running.socket.exists()


HOLD = """
import os, sys, time
from pathlib import Path
from ppp.check.gateway import gateway
with gateway("http://127.0.0.1:9/simple/", [], cache=Path(sys.argv[1]), environ=os.environ) as running:
    print(running.socket.with_name("pid").read_text().strip(), flush=True)
    time.sleep(60)
"""


@pytest.mark.nginx
def test_a_killed_run_leaves_no_gateway(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        nginx = Path("/proc", holder.stdout.readline().strip())
        assert nginx.exists()
        holder.kill()
    deadline = time.monotonic() + 10
    while nginx.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not nginx.exists()


@pytest.mark.nginx
def test_an_nginx_that_does_not_start_says_why(index: LocalIndex, tmp_path: Path) -> None:
    with (
        pytest.raises(GatewayError, match=r"nginx did not start: .*max_size"),
        gateway(index.url, [], cache=tmp_path / "gateway", environ=os.environ, max_cache="much"),
    ):
        pass


def test_without_nginx_there_is_no_gateway(tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    with (
        pytest.raises(GatewayError, match="no nginx on this machine"),
        gateway(
            "https://index.example/simple/", [], cache=tmp_path / "gateway", environ={"PATH": nowhere}, places=nowhere
        ),
    ):
        pass
    assert not (tmp_path / "gateway").exists()
