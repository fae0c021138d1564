"""The index client against a local index: pages, files that are fetched once and checked, and all kinds of errors."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

import pytest
from local_index import JSON_TYPE, LocalIndex, reply
from projects import module_project

from ppp.check.index.choose import IndexFile
from ppp.check.index.client import MAX_INDEX_REASON, DownloadError, DownloadTimeoutError, SimpleIndex, resolve
from ppp.check.index.page import Status
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, UnknownPackageError, UnknownVersionError
from ppp.model.release import RequestedPackage

AGENT: Final = "the-pypi-place/tests (watch@node.example)"
LIB: Final = module_project("lib", "WORD = 1\n")


@pytest.fixture(params=["html", "json"])
def site(request: pytest.FixtureRequest) -> Iterator[LocalIndex]:
    with LocalIndex(json_pages=request.param == "json") as server:
        server.add(LIB)
        yield server


@pytest.fixture
def plain_site() -> Iterator[LocalIndex]:
    with LocalIndex() as server:
        server.add(LIB)
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(site: LocalIndex, cache: Path) -> SimpleIndex:
    return SimpleIndex(site.url, cache=cache, user_agent=AGENT)


def fetch(index: SimpleIndex, file: IndexFile, *, timeout_s: float = 20, max_bytes: int = 10**6) -> Path:
    return index.fetch(file, timeout_s=timeout_s, max_bytes=max_bytes)


def held(cache: Path) -> list[str]:
    """Return every file in the cache."""
    return [path.name for path in cache.rglob("*") if path.is_file()]


# ---------------------------------------------------------------- pages


def test_a_page_lists_the_facts_of_each_file(site: LocalIndex, cache: Path) -> None:
    site.add(module_project("lib", "", version="2.0", requires_python=">=3.12,<4", yanked=True))
    first, second = opened(site, cache).files("lib")
    assert (first.filename, first.requires_python, first.yanked) == ("lib-1.0-py3-none-any.whl", None, False)
    assert first.sha256 == sha256_hex(LIB.build())
    assert (second.filename, second.requires_python, second.yanked) == ("lib-2.0-py3-none-any.whl", ">=3.12,<4", True)


def test_a_page_is_read_once(site: LocalIndex, cache: Path) -> None:
    index = opened(site, cache)
    with ThreadPoolExecutor(8) as threads:
        pages = list(threads.map(index.files, ["lib"] * 16))
    assert all(page == pages[0] for page in pages)
    assert site.request_counts == {"/simple/lib/": 1}


def test_requests_have_the_user_agent(plain_site: LocalIndex, cache: Path) -> None:
    fetch(index := opened(plain_site, cache), index.files("lib")[0])
    assert [headers["User-Agent"] for headers in plain_site.request_headers] == [AGENT] * 2


def test_an_unknown_package_is_an_error(site: LocalIndex, cache: Path) -> None:
    with pytest.raises(UnknownPackageError, match="no package 'nothing-here'"):
        opened(site, cache).files("nothing-here")


def test_an_unknown_package_is_asked_for_again(plain_site: LocalIndex, cache: Path) -> None:
    index = opened(plain_site, cache)
    with pytest.raises(UnknownPackageError):
        index.files("later")
    plain_site.add(module_project("later", ""))
    assert len(index.files("later")) == 1


def test_a_package_that_is_gone_is_unknown(plain_site: LocalIndex, cache: Path) -> None:
    plain_site.set_response("/simple/lib/", reply(b"gone", status=410))
    with pytest.raises(UnknownPackageError):
        opened(plain_site, cache).files("lib")


def test_caches_on_the_way_have_to_ask_the_index(site: LocalIndex, cache: Path) -> None:
    opened(site, cache).files("lib")
    assert [headers["Cache-Control"] for headers in site.request_headers] == ["max-age=0"]


def test_what_the_index_says_of_a_project_is_one_printable_line(site: LocalIndex, cache: Path) -> None:
    site.set_status("lib", "archived", "no\nlonger \x1b[31m needed" + "!" * 1000)
    site.add(module_project("lib", "", version="2.0", yanked="bad\r\n\tidea " + "!" * 1000))
    index = opened(site, cache)
    status = index.status("lib")
    assert status is not None
    assert status.status is Status.ARCHIVED
    assert status.reason.startswith("no longer ?[31m needed!!!")
    reason = index.files("lib")[1].yanked_reason
    assert reason.startswith("bad idea !!!")
    assert len(reason) == len(status.reason) == MAX_INDEX_REASON
    assert site.request_counts == {"/simple/lib/": 1}


def test_a_project_without_a_status_is_active(site: LocalIndex, cache: Path) -> None:
    assert opened(site, cache).status("lib") is None


def test_names_that_cannot_be_read_are_counted(site: LocalIndex, cache: Path) -> None:
    variant = "lib-1.0-py3-none-any-x86_64_v3.whl"
    for name in (variant, "lib-1.0-py2.7.egg"):
        site.add_file("lib", name, b"")
    index = opened(site, cache)
    assert len(index.files("lib")) == 3
    assert index.unread_names == {"lib": (variant,)}


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"sorry", "text/html"),
        (403, b"not you", "text/html"),
        (200, b"{", JSON_TYPE),
        (200, b"{}", JSON_TYPE),
        (200, b'{"meta": {"api-version": "9.0"}, "name": "lib", "files": []}', JSON_TYPE),
        (200, b"GIF89a", "image/gif"),
    ],
)
def test_an_invalid_page_is_an_error(plain_site: LocalIndex, cache: Path, status: int, body: bytes, kind: str) -> None:
    plain_site.set_response("/simple/lib/", reply(body, status=status, headers={"Content-Type": kind}))
    with pytest.raises(IndexUnreachableError, match="no page for 'lib'") as caught:
        opened(plain_site, cache).files("lib")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_an_unreachable_index_is_an_error(cache: Path) -> None:
    with pytest.raises(IndexUnreachableError, match="check the network, or PPP_INDEX_URL"):
        SimpleIndex("http://127.0.0.1:9/simple/", cache=cache, user_agent=AGENT).files("lib")


def test_a_page_without_files_has_none(plain_site: LocalIndex, cache: Path) -> None:
    plain_site.set_response("/simple/lib/", reply(b"<html></html>", headers={"Content-Type": "text/html"}))
    assert opened(plain_site, cache).files("lib") == ()


def test_hosts_are_the_indexes_and_the_files(plain_site: LocalIndex, cache: Path) -> None:
    page = b'<a href="https://files.example:8443/lib-1.0.tar.gz#sha256=00">lib-1.0.tar.gz</a>'
    plain_site.set_response("/simple/lib/", reply(page, headers={"Content-Type": "text/html"}))
    index = opened(plain_site, cache)
    assert index.hosts() == {plain_site.host, "127.0.0.1"}
    index.files("lib")
    assert index.hosts() == {plain_site.host, "127.0.0.1", "files.example:8443", "files.example"}


# ---------------------------------------------------------------- files


def test_a_file_is_fetched_into_a_folder_named_by_its_hash(site: LocalIndex, cache: Path) -> None:
    index = opened(site, cache)
    path = fetch(index, index.files("lib")[0])
    assert path == cache / sha256_hex(LIB.build()) / "lib-1.0-py3-none-any.whl"
    assert path.read_bytes() == LIB.build()
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_file_requested_by_several_threads_is_fetched_once(plain_site: LocalIndex, cache: Path) -> None:
    index = opened(plain_site, cache)
    (file,) = index.files("lib")
    with ThreadPoolExecutor(8) as threads:
        paths = set(threads.map(lambda _: fetch(index, file), range(16)))
    assert len(paths) == 1
    assert plain_site.request_counts["/files/lib/lib-1.0-py3-none-any.whl"] == 1


def test_a_cached_file_is_not_requested(plain_site: LocalIndex, cache: Path) -> None:
    first = opened(plain_site, cache)
    fetch(first, first.files("lib")[0])
    second = opened(plain_site, cache)
    fetch(second, second.files("lib")[0])
    assert plain_site.request_counts["/files/lib/lib-1.0-py3-none-any.whl"] == 1


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("content", [b"", b"something else", LIB.build() + b"\0", LIB.build()[:-1]])
def test_content_with_another_hash_is_refused(plain_site: LocalIndex, cache: Path, content: bytes) -> None:
    plain_site.set_response("/files/lib/lib-1.0-py3-none-any.whl", reply(content))
    index = opened(plain_site, cache)
    with pytest.raises(DownloadError, match="the index says") as caught:
        fetch(index, index.files("lib")[0])
    assert caught.value.cause == "hash"
    assert held(cache) == []


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("sha256", ["", "00", "g" * 64, "../" * 21 + "x", "A" * 64])
def test_a_file_without_a_valid_hash_is_refused(plain_site: LocalIndex, cache: Path, sha256: str) -> None:
    index = opened(plain_site, cache)
    (file,) = index.files("lib")
    for given in (sha256, None):
        asked = IndexFile(filename=file.filename, url=file.url, sha256=given, requires_python=None, yanked=False)
        with pytest.raises(DownloadError, match="gives no sha256") as caught:
            fetch(index, asked)
        assert caught.value.cause == "hash"
    assert not cache.exists()
    assert plain_site.request_counts["/files/lib/lib-1.0-py3-none-any.whl"] == 0


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_error_status_is_an_error(plain_site: LocalIndex, cache: Path, status: int) -> None:
    plain_site.set_response("/files/lib/lib-1.0-py3-none-any.whl", reply(status=status))
    index = opened(plain_site, cache)
    with pytest.raises(DownloadError, match="could not be fetched") as caught:
        fetch(index, index.files("lib")[0])
    assert caught.value.cause == "network"
    assert held(cache) == []


@pytest.mark.attack("same-bytes")
def test_a_truncated_file_is_an_error(plain_site: LocalIndex, cache: Path) -> None:
    content = LIB.build()
    plain_site.set_response("/files/lib/lib-1.0-py3-none-any.whl", reply(content[:100], length=len(content)))
    index = opened(plain_site, cache)
    with pytest.raises(DownloadError) as caught:
        fetch(index, index.files("lib")[0])
    assert caught.value.cause in {"network", "hash"}
    assert held(cache) == []


@pytest.mark.attack("bounded-input")
def test_an_endless_file_is_stopped_at_the_limit(plain_site: LocalIndex, cache: Path) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while True:
            sent += 100_000
            yield b"x" * 100_000

    plain_site.set_response("/files/lib/lib-1.0-py3-none-any.whl", reply(endless()))
    index = opened(plain_site, cache)
    with pytest.raises(DownloadError, match="larger than 500,000 bytes") as caught:
        fetch(index, index.files("lib")[0], max_bytes=500_000)
    assert caught.value.cause == "file-size"
    assert held(cache) == []
    assert sent < 30_000_000


@pytest.mark.attack("deadlines")
def test_a_slow_file_times_out(plain_site: LocalIndex, cache: Path) -> None:
    stop = threading.Event()

    def trickle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not stop.wait(0.05):
            request.wfile.write(b"x")

    plain_site.set_response("/files/lib/lib-1.0-py3-none-any.whl", trickle)
    index = opened(plain_site, cache)
    started = time.monotonic()
    try:
        with pytest.raises(DownloadTimeoutError):
            fetch(index, index.files("lib")[0], timeout_s=0.5)
    finally:
        stop.set()
    assert time.monotonic() - started < 15
    assert held(cache) == []


def test_a_file_can_be_fetched_after_an_error(plain_site: LocalIndex, cache: Path) -> None:
    path = "/files/lib/lib-1.0-py3-none-any.whl"
    plain_site.set_response(path, reply(status=503))
    index = opened(plain_site, cache)
    with pytest.raises(DownloadError):
        fetch(index, index.files("lib")[0])
    plain_site.set_response(path, reply(LIB.build()))
    assert fetch(index, index.files("lib")[0]).read_bytes() == LIB.build()


# ---------------------------------------------------------------- wanted releases


@pytest.fixture
def many(plain_site: LocalIndex) -> LocalIndex:
    for version in ("1.5", "2.0", "3.0rc1"):
        plain_site.add(module_project("lib", "", version=version))
    plain_site.add(module_project("lib", "", version="4.0", yanked=True))
    plain_site.add(module_project("lib", "", version="2.0", kind="sdist"))
    plain_site.add(module_project("withdrawn", "", yanked=True))
    plain_site.add_file("nothing", "readme.txt", b"")
    return plain_site


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("lib", "2.0"),
        ("lib<2", "1.5"),
        ("lib==1.0", "1.0"),
        ("lib==3.0rc1", "3.0rc1"),
        ("lib==4.0", "4.0"),
        ("withdrawn==1.0", "1.0"),
    ],
)
def test_the_newest_wanted_version(many: LocalIndex, cache: Path, wanted: str, version: str) -> None:
    found = resolve(opened(many, cache), RequestedPackage.parse(wanted))
    assert found.version == version


def test_a_quarantined_package_is_an_error_that_says_so(many: LocalIndex, cache: Path) -> None:
    many.remove("lib")
    many.set_status("lib", "quarantined", "malware")
    with pytest.raises(UnknownVersionError, match="the index has quarantined lib: malware"):
        resolve(opened(many, cache), RequestedPackage.parse("lib==1.0"))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("lib==9.9", r"lib==9\.9.*newest it has of lib: 4\.0, 3\.0rc1, 2\.0"),
        ("nothing", "nothing.*no file at all"),
        ("lib>=3", r"lib>=3 admits is yanked.*pin it: lib==4\.0"),
        ("withdrawn", r"withdrawn admits is yanked.*pin it: withdrawn==1\.0"),
    ],
)
def test_a_missing_version_is_an_error_that_lists_others(
    many: LocalIndex, cache: Path, wanted: str, words: str
) -> None:
    with pytest.raises(UnknownVersionError, match=words):
        resolve(opened(many, cache), RequestedPackage.parse(wanted))
