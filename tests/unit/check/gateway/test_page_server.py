"""The server behind nginx: which files it serves to whom, and local projects."""

import hashlib
import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from local_gateway import index_client
from local_index import LocalIndex, reply

from ppp.bounded_http.limits import TransferLimits
from ppp.bounded_http.session import BoundedSession
from ppp.check.gateway.cells import CellLimits, Cells, RecentTimeouts
from ppp.check.gateway.listings import Listings
from ppp.check.gateway.local_projects import read_local_projects
from ppp.check.gateway.page_server import PageError, PageServer
from ppp.check.gateway.pages import PageFile, PageForm
from ppp.check.index.view import IndexView

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def local() -> Iterator[LocalIndex]:
    with LocalIndex() as index:
        index.add_file("lib", "lib-1.0.zip", CONTENT)
        yield index


def page_server(url: str, folder: Path, *, limits: CellLimits | None = None) -> PageServer:
    return PageServer(
        index=index_client(url, folder / "stored"),
        local_projects=read_local_projects(None),
        cells=Cells(limits or CellLimits()),
    )


def test_only_a_cell_that_is_open_gets_anything(local: LocalIndex, tmp_path: Path) -> None:
    server = page_server(local.url, tmp_path)
    view = server.open_view(None)
    with server.cells.open() as cell:
        assert server.page(cell, view, "lib", PageForm.JSON, None).status == HTTPStatus.OK
        assert server.file(cell, "lib", SHA256, metadata=False).read_bytes() == CONTENT
    for request in (
        lambda: server.page(cell, view, "lib", PageForm.JSON, None),
        lambda: server.file(cell, "lib", SHA256, metadata=False),
    ):
        with pytest.raises(PageError, match="no such cell") as caught:
            request()
        assert caught.value.status == HTTPStatus.TOO_MANY_REQUESTS, "not 404, which pip would take for an answer"


@pytest.mark.attack("only-gateway")
@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/lib-1.0.zip",
        "http://127.0.0.1:8000/lib-1.0.zip",
        "ftp://a.example/lib-1.0.zip",
        "file:///etc/lib-1.0.zip",
        "https://a.example\n/lib-1.0.zip",
        "unix:///run/lib-1.0.zip",
    ],
)
def test_files_that_an_index_with_tls_may_not_lead_to_are_not_fetched(url: str, tmp_path: Path) -> None:
    server = page_server("https://index.example/simple/", tmp_path)
    server.listings.put("lib", [PageFile(url=url, hashes={"sha256": SHA256})])
    with server.cells.open() as cell, pytest.raises(PageError) as caught:
        server.file(cell, "lib", SHA256, metadata=False)
    assert caught.value.status == HTTPStatus.BAD_GATEWAY
    assert not [path for path in (tmp_path / "stored").rglob("*") if path.is_file()]


@pytest.mark.attack("bounded-input")
def test_the_files_that_are_remembered_are_limited_and_the_others_found_again(
    local: LocalIndex, tmp_path: Path
) -> None:
    server = page_server(local.url, tmp_path)
    server.listings = Listings(max_files=10)
    view = server.open_view(None)
    for number in range(20):
        local.add_file(f"other{number}", f"other{number}-1.0.zip", b"")
    with server.cells.open() as cell:
        for project in ("lib", *(f"other{number}" for number in range(20))):
            server.page(cell, view, project, PageForm.JSON, None)
        assert server.listings.get("lib") is None
        assert server.file(cell, "lib", SHA256, metadata=False).read_bytes() == CONTENT


@pytest.mark.attack("own-verdict")
@pytest.mark.parametrize("url", ["http://h:port/lib-2.0.zip", "file:///lib-2.0.zip", "http:///"])
def test_a_link_that_leads_nowhere_does_not_hide_the_others(local: LocalIndex, tmp_path: Path, url: str) -> None:
    good = f'<a href="/files/lib/lib-1.0.zip#sha256={SHA256}">lib-1.0.zip</a>'
    page = f'<a href="{url}#sha256={SHA256}">lib-2.0.zip</a>{good}'
    local.set_response("/simple/lib/", reply(page.encode(), headers={"Content-Type": "text/html"}))
    server = page_server(local.url, tmp_path)
    with server.cells.open() as cell:
        body = server.page(cell, server.open_view(None), "lib", PageForm.JSON, None).body
    assert [file["filename"] for file in json.loads(body)["files"]] == ["lib-1.0.zip"]


def test_what_the_index_lists_can_be_asked(local: LocalIndex, tmp_path: Path) -> None:
    server = page_server(local.url, tmp_path)
    assert server.lists("lib", SHA256) is None, "its page was not read"
    with server.cells.open() as cell:
        server.page(cell, server.open_view(None), "lib", PageForm.JSON, None)
    assert server.lists("lib", SHA256) is True
    assert server.lists("lib", SHA256[::-1]) is False


def test_what_a_cell_got_counts_as_listed_even_if_the_index_has_removed_it_since(
    local: LocalIndex, tmp_path: Path
) -> None:
    server = page_server(local.url, tmp_path)
    with server.cells.open() as cell:
        server.file(cell, "lib", SHA256, metadata=False)
    server.listings.put("lib", [])
    assert server.lists("lib", SHA256) is True
    assert server.lists("lib", SHA256[::-1]) is False


def test_a_hash_is_not_denied_where_the_index_gives_none_for_some_files(local: LocalIndex, tmp_path: Path) -> None:
    page = f'<a href="/files/lib/lib-1.0.zip#sha256={SHA256}">a</a><a href="/files/lib/lib-2.0.zip#md5=00">b</a>'
    local.set_response("/simple/lib/", reply(page.encode(), headers={"Content-Type": "text/html"}))
    server = page_server(local.url, tmp_path)
    with server.cells.open() as cell:
        server.page(cell, server.open_view(None), "lib", PageForm.JSON, None)
    assert server.lists("lib", SHA256) is True
    assert server.lists("lib", SHA256[::-1]) is None


def test_failures_count_against_the_cell_and_an_unlisted_file_is_none(local: LocalIndex, tmp_path: Path) -> None:
    server = page_server(local.url, tmp_path, limits=CellLimits(failures=2))
    local.set_response("/files/lib/lib-1.0.zip", reply(status=503))
    with server.cells.open() as cell, server.cells.open() as other:
        with pytest.raises(PageError) as caught:
            server.file(cell, "lib", SHA256[::-1], metadata=False)
        assert caught.value.status == HTTPStatus.NOT_FOUND
        for expected in (HTTPStatus.BAD_GATEWAY, HTTPStatus.BAD_GATEWAY, HTTPStatus.TOO_MANY_REQUESTS):
            with pytest.raises(PageError) as caught:
                server.file(cell, "lib", SHA256, metadata=False)
            assert caught.value.status == expected
        local.set_response("/files/lib/lib-1.0.zip", reply(CONTENT))
        assert server.file(other, "lib", SHA256, metadata=False).read_bytes() == CONTENT


def test_a_store_that_cannot_be_written_is_our_error(local: LocalIndex, tmp_path: Path) -> None:
    (tmp_path / "stored").write_bytes(b"not a folder")
    server = page_server(local.url, tmp_path)
    with server.cells.open() as cell, pytest.raises(PageError) as caught:
        server.file(cell, "lib", SHA256, metadata=False)
    assert caught.value.status == HTTPStatus.BAD_GATEWAY


class SteppingClock:
    """A clock that goes on by itself, by as many seconds as is set."""

    def __init__(self) -> None:
        self.now, self.step = 1000.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.attack("own-verdict")
def test_what_did_not_arrive_in_time_is_not_waited_for_again_at_once(local: LocalIndex, tmp_path: Path) -> None:
    """Or six tries of pip would last until the cell's own timeout, as if the package had taken too long."""
    clock, path = SteppingClock(), "/files/lib/lib-1.0.zip"
    server = page_server(local.url, tmp_path)
    server.clock, server.timeouts = clock, RecentTimeouts(clock=clock)
    local.set_response(path, reply(status=503))

    def fetch() -> bytes:
        with server.cells.open() as cell:
            return server.file(cell, "lib", SHA256, metadata=False).read_bytes()

    for count in (1, 2):
        with pytest.raises(PageError):
            fetch()
        assert local.request_counts[path] == count, "a failure at once may be different the next time"
    clock.step = 61
    with pytest.raises(PageError):
        fetch()
    clock.step = 0
    with pytest.raises(PageError, match="a moment ago"):
        fetch()
    assert local.request_counts[path] == 3
    local.set_response(path, reply(CONTENT))
    clock.now += 60
    assert fetch() == CONTENT


@pytest.mark.attack("own-verdict")
def test_a_page_that_did_not_arrive_in_time_is_not_waited_for_again_at_once(local: LocalIndex, tmp_path: Path) -> None:
    def wait(_: object) -> None:
        time.sleep(0.5)

    server = page_server(local.url, tmp_path)
    server.index.session = BoundedSession("tests", limits=TransferLimits(read_s=0.1))
    local.set_response("/simple/slow/", wait)
    with server.cells.open() as cell:
        for _ in range(3):
            with pytest.raises(PageError) as caught:
                server.page(cell, server.open_view(None), "slow", PageForm.JSON, None)
            assert caught.value.status == HTTPStatus.GATEWAY_TIMEOUT
        assert local.request_counts["/simple/slow/"] == 1
        assert server.page(cell, server.open_view(None), "lib", PageForm.JSON, None).status == HTTPStatus.OK


def test_local_projects_are_named_by_their_content(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    names = set()
    for content in (b"one", b"two", None):
        path = tmp_path / "lib" / "lib-1.0+a.tar.gz"
        path.unlink(missing_ok=True)
        if content:
            path.write_bytes(content)
        read = read_local_projects(tmp_path)
        names.add(read.name)
        assert [file.filename for file in read.projects["lib"]] == ([path.name] if content else [])
    assert len(names) == 3
    assert read_local_projects(None).projects == {}


def test_a_view_leaves_out_what_was_not_there_and_says_what_it_could_not_judge(tmp_path: Path) -> None:
    with LocalIndex(json_pages=True) as local:
        old = local.add_file("lib", "lib-1.0.zip", b"1", uploaded="2020-01-01T00:00:00Z", yanked="broken")
        local.add_file("lib", "lib-2.0.zip", b"2", uploaded="2024-01-01T00:00:00Z")
        local.add_file("tool", "tool-1.0.zip", b"3", uploaded="2024-01-01T00:00:00Z")
        local.add_file("untimed", "untimed-1.0.zip", b"4")
        server = page_server(local.url, tmp_path)

        def listed(view: str, project: str) -> list[tuple[str, bool]]:
            with server.cells.open() as cell:
                body = server.page(cell, view, project, PageForm.JSON, None).body
            return [(file["filename"], bool(file.get("yanked"))) for file in json.loads(body)["files"]]

        then = server.open_view(None, IndexView(uploaded_before=1_600_000_000))
        assert listed(then, "lib") == [("lib-1.0.zip", True)]
        assert listed(then, "tool") == []
        assert listed(then, "untimed") == [("untimed-1.0.zip", False)]
        assert server.asked_in(then) == {"lib", "tool", "untimed"}
        assert server.untimed_in(then) == {"untimed"}, "nobody can tell whether it was there"
        allowed = {"lib": frozenset({old.sha256})}
        narrowed = server.open_view(None, IndexView(allowed=allowed, unyanked=frozenset({"lib"})))
        assert listed(narrowed, "lib") == [("lib-1.0.zip", False)], "it was installed before it was yanked"
        assert listed(narrowed, "tool") == [("tool-1.0.zip", False)]
        assert not server.untimed_in(narrowed)


def test_views_never_share_pages_in_a_cache(tmp_path: Path) -> None:
    server = page_server("https://index.example/simple/", tmp_path)
    view, other = IndexView(uploaded_before=1), IndexView(uploaded_before=2)
    tags = frozenset({"py3-none-any"})
    names = [
        server.open_view(None),
        server.open_view(tags),
        server.open_view(tags, view, run="a"),
        server.open_view(tags, other, run="a"),
        server.open_view(tags, view, run="b"),
    ]
    assert len({*names}) == len(names)
    assert server.open_view(tags, view, run="a") == names[2]
