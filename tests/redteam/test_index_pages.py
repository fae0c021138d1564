"""An index, or anyone on the way to it, that tries to keep a node busy, or to fill its memory: by pages and by files.

The host reads both, and so does the gateway, with the same parser. Whatever comes, a node goes on within seconds: with
the files of the page, or with an error that is its own and never the package's.
"""

import gzip
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hostile_http import DRIPS, FLOODS, answer, endless_bomb, hostile_server, once

from ppp.bounded_http.limits import TransferError, TransferTimeoutError
from ppp.check.gateway.page_server import page_file
from ppp.check.gateway.pages import PageForm, filter_files, write_page
from ppp.check.index.choose import IndexFile, choose_file, newest_installable, release_files
from ppp.check.index.client import DownloadError, DownloadTimeoutError, SimpleIndex, fetch_page, open_session
from ppp.check.index.page import InvalidPageError, parse_page
from ppp.check.runtime import PreparedEnvironment
from ppp.model.errors import IndexUnreachableError
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Network
from ppp.model.release import Release

AGENT: Final = "the-pypi-place/tests"
JSON: Final = "application/vnd.pypi.simple.v1+json"
HTML: Final = "text/html"
URL: Final = "https://index.example/simple/lib/"
#: In seconds: what anything here may take, and the deadline that is given where there is one.
LIMIT_S: Final = 20
DEADLINE_S: Final = 0.5
SHA256: Final = "ab" * 32
PREPARED: Final = PreparedEnvironment(
    environment=Environment(id="py312-slim", python="3.12", platform=Platform.SLIM, image="slim"),
    python="3.12.1",
    arch="x86_64",
    image_digest=None,
    standin=False,
    network=Network.GATEWAY,
    tags=("cp312-cp312-manylinux_2_17_x86_64", "py3-none-any"),
    suffixes=(".py",),
    pip_version="26.0.1",
)


def listing(*files: Mapping[str, Any]) -> bytes:
    """Return a page in JSON."""
    return json.dumps({"meta": {"api-version": "1.0"}, "name": "lib", "files": files}).encode()


def listed(filename: str, **more: Any) -> dict[str, Any]:
    """Return a file on such a page."""
    return {"filename": filename, "url": f"/files/{filename}", "hashes": {"sha256": SHA256}} | more


MANY_TAGS: Final = "lib-1.0-{0}-{0}-{0}.whl".format(".".join("a" * 40))
HOSTILE_HTML: Final = {
    "nested-links": b"<a href=x>" * 18_700,
    "nested-elements": b"<div>" * 300_000,
    "unclosed-links-and-text": b"<a href=x>y" * 40_000,
    "comments-without-end": b"<!--" * 500_000,
    "declarations": b"<!" * 500_000,
    "end-tags-without-end": b"</" * 500_000,
    "angle-brackets": b"<" * 1_000_000,
    "ampersands": b"&" * 1_000_000,
    "numeric-entities": b"<a href=x>" + b"&#1" * 500_000,
    "quotes-without-end": b"<a href='" * 200_000,
    "one-quote-without-end": b"<a href='" + b"x" * 3_000_000,
    "attributes": b"<a " + b"a " * 500_000,
    "equals-signs": b"<a " + b"=" * 1_000_000,
    "slashes": b"<a " + b"/" * 1_000_000,
    "blanks-in-a-tag": b"<a" + b" " * 1_000_000,
    "marked-sections": b"<![CDATA[" * 100_000,
    "instructions": b"<?" * 500_000,
    "scripts": b"<script>" + b"</scrip" * 200_000,
    "closed-tags-of-many-attributes": (b"<a href=x " + b"a='' " * 10_000 + b">") * 40,
    "more-files-than-any-project": b"<a href=x></a>" * 200_000,
    "long-names": b"".join(b"<a href=x>a-1" + b"-a" * 120 + b".whl</a>" for _ in range(2_000)),
    "one-name": b"<a href=x>" + b"a-" * 1_000_000 + b".whl</a>",
}
HOSTILE_JSON: Final = {
    "deep-arrays": b"[" * 3_000_000,
    "deep-objects": b'{"a":' * 1_000_000,
    "deep-files": b'{"files":' + b"[" * 500 + b"]" * 500 + b"}",
    "many-objects": b'{"files": [' + b"{}," * 3_000_000 + b"{}]}",
    "many-arrays": b"[" + b"[]," * 3_000_000 + b"[]]",
    "many-keys": b"{" + b",".join(b'"%d":0' % n for n in range(600_000)) + b"}",
    "long-number": b'{"files": ' + b"9" * 3_000_000 + b"}",
    "more-files-than-any-project": listing(*[listed("lib-1.0.zip")] * 60_000),
    "invalid-files": listing(*[{"filename": "x"}] * 40_000),
    "long-names": listing(*[listed("a-1" + "-a" * 120 + ".whl")] * 2_000),
    "one-name": listing(listed("a-" * 1_000_000 + ".whl")),
    "many-tags": listing(*[listed(MANY_TAGS)] * 200),
    "long-requires-python": listing(listed("lib-1.0.zip", **{"requires-python": ">=3.9," * 300_000 + ">=3"})),
    "long-versions": listing(*[listed(f"lib-{'1.' * 110}0.zip")] * 2_000),
    "surrogates": listing(listed("lib-1.0.zip\ud800", url="/\udfff")),
}
PAGES: Final = [
    *(pytest.param(body, HTML, id=f"html-{name}") for name, body in HOSTILE_HTML.items()),
    *(pytest.param(body, JSON, id=f"json-{name}") for name, body in HOSTILE_JSON.items()),
]


def use_page(body: bytes, content_type: str) -> None:
    """Do with a page what a run does with it: on the host, and in the gateway."""
    packages = parse_page("lib", body, content_type, URL).files
    files = [
        IndexFile(filename=p.filename, url=p.url, sha256=SHA256, requires_python=p.requires_python, yanked=p.is_yanked)
        for p in packages
    ]
    choose_file(release_files(Release(package="lib", version="1.0"), files), PREPARED)
    newest_installable("lib", files, "", PREPARED)
    for form in PageForm:
        write_page("lib", filter_files(map(page_file, packages), frozenset(PREPARED.tags)), form)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(("body", "content_type"), PAGES)
def test_a_hostile_page_is_used_or_refused_in_time(body: bytes, content_type: str) -> None:
    started = time.process_time()
    try:
        use_page(body, content_type)
    except InvalidPageError as error:
        assert len(str(error)) < 400  # noqa: PT017 - either end is right
    assert time.process_time() - started < LIMIT_S


@pytest.mark.attack("bounded-input")
def test_a_page_that_an_index_refuses_to_end_is_our_error(tmp_path: Path) -> None:
    page = answer(b"<!--" * 100_000, f"Content-Type: {HTML}")
    with (
        hostile_server(once(page)) as url,
        pytest.raises(IndexUnreachableError, match="no page for 'lib': it has a tag"),
    ):
        SimpleIndex(url, cache=tmp_path, user_agent=AGENT).files("lib")


# ---------------------------------------------------------------- memory

#: Pages of at most 2 MB that unpack to a gigabyte.
BOMBS: Final[Mapping[str, tuple[bytes, str]]] = {
    "zeros-html": (endless_bomb(bytes(1_000_000), 1000), HTML),
    "zeros-json": (endless_bomb(bytes(1_000_000), 1000), JSON),
    "files": (endless_bomb(b"{}," * 300_000, 1000), JSON),
    "links": (endless_bomb(b"<a href=x>" * 100_000, 1000), HTML),
    "objects-below-the-limit-of-bytes": (gzip.compress(b'{"files": [' + b"{}," * 10_000_000 + b"{}]}"), JSON),
}
#: For the program and everything it reads.
MEMORY_BYTES: Final = 1_000_000_000
READER: Final = """\
import sys
from pathlib import Path
from ppp.check.index.client import SimpleIndex
from ppp.model.errors import IndexUnreachableError
try:
    SimpleIndex(sys.argv[1], cache=Path(sys.argv[2]), user_agent="the-pypi-place/tests").files("lib")
except IndexUnreachableError as error:
    print(error)
"""


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", BOMBS)
def test_a_small_page_does_not_fill_the_memory(name: str, tmp_path: Path) -> None:
    body, content_type = BOMBS[name]
    page = answer(body, f"Content-Type: {content_type}", "Content-Encoding: gzip")
    with hostile_server(once(page)) as url:
        done = subprocess.run(
            [sys.executable, "-c", READER, url, str(tmp_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES)),
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "the package index gave no page for 'lib': it " in done.stdout


# ---------------------------------------------------------------- time


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("name", DRIPS)
def test_a_page_that_drips_ends_at_its_deadline(name: str) -> None:
    started = time.monotonic()
    with hostile_server(DRIPS[name]) as url, open_session(AGENT) as session:
        # An error page is refused for its status as soon as its headers are complete.
        with pytest.raises((TransferTimeoutError, InvalidPageError)):
            fetch_page(session, url, "lib", timeout_s=DEADLINE_S)
        assert time.monotonic() - started < 10


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", FLOODS)
def test_a_page_without_end_is_not_read_on(name: str) -> None:
    started = time.monotonic()
    with hostile_server(FLOODS[name]) as url, open_session(AGENT) as session:
        with pytest.raises((TransferError, InvalidPageError)):
            fetch_page(session, url, "lib", timeout_s=2)
        assert time.monotonic() - started < LIMIT_S


def file_at(url: str) -> IndexFile:
    """Return a file that the index lists at a URL."""
    return IndexFile(filename="lib-1.0.zip", url=url, sha256=SHA256, requires_python=None, yanked=False)


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("name", DRIPS)
def test_a_file_that_drips_ends_at_its_deadline(name: str, tmp_path: Path) -> None:
    started = time.monotonic()
    with hostile_server(DRIPS[name]) as url:
        index = SimpleIndex(url, cache=tmp_path, user_agent=AGENT)
        with pytest.raises((DownloadTimeoutError, DownloadError)) as caught:
            index.fetch(file_at(f"{url}lib-1.0.zip"), timeout_s=DEADLINE_S, max_bytes=10**6)
        assert time.monotonic() - started < 10
    assert getattr(caught.value, "cause", "network") == "network"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# ---------------------------------------------------------------- where a page leads to


def redirect(target: str) -> Callable[..., None]:
    """Return a server that redirects everything."""
    return once(answer(b"", f"Location: {target}", status="302 Found"))


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://files.example/x", "//[", "gopher://x/", "data:,x"])
def test_a_page_cannot_be_redirected_off_http(target: str) -> None:
    with (
        hostile_server(redirect(target)) as url,
        open_session(AGENT) as session,
        pytest.raises(TransferError),
    ):
        fetch_page(session, url, "lib")


@pytest.mark.attack("same-bytes")
@pytest.mark.parametrize("scheme", ["http", "file", "ftp"])
def test_an_index_with_tls_leads_to_no_file_without_it(scheme: str, tmp_path: Path) -> None:
    index = SimpleIndex("https://index.example/simple/", cache=tmp_path, user_agent=AGENT)
    with pytest.raises(DownloadError, match="without TLS") as caught:
        index.fetch(file_at(f"{scheme}://files.example/lib-1.0.zip"), timeout_s=5, max_bytes=10**6)
    assert caught.value.cause == "network"
