"""Credentials of an index go to that index, and nowhere else: not with redirects, and not to package code."""

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_index import LocalIndex, reply
from program import Program, new_program
from projects import module_project

from ppp.check.index.client import SimpleIndex
from ppp.model.credentials import split_credentials
from ppp.model.errors import IndexUnreachableError

pytestmark = pytest.mark.attack("credentials")

SECRET = "0p3n-s3same"
PAIR = b64encode(f"user:{SECRET}".encode()).decode()
PROJECT = module_project("quiet", "")


@pytest.fixture
def private() -> Iterator[LocalIndex]:
    """An index that wants credentials."""
    with LocalIndex(authorization=f"Basic {PAIR}") as index:
        index.add(PROJECT)
        yield index


@pytest.fixture
def public() -> Iterator[LocalIndex]:
    """An index that anybody may read."""
    with LocalIndex() as index:
        index.add(PROJECT)
        yield index


@pytest.fixture(name="program")
def _program(tmp_path: Path, private: LocalIndex) -> Iterator[Program]:
    with new_program(tmp_path, private) as made:
        yield made


def with_credentials(url: str) -> str:
    return url.replace("://", f"://user:{SECRET}@")


def client(url: str, folder: Path) -> SimpleIndex:
    bare, credentials = split_credentials(url)
    return SimpleIndex(bare, cache=folder, user_agent="tests", credentials=credentials)


def test_pages_and_files_of_a_private_index_are_read(private: LocalIndex, tmp_path: Path) -> None:
    index = client(with_credentials(private.url), tmp_path)
    (file,) = index.files("quiet")
    assert index.fetch(file, timeout_s=10, max_bytes=10**6).read_bytes() == PROJECT.build()
    assert "@" not in file.url


def test_the_error_of_a_wrong_password_does_not_show_it(private: LocalIndex, tmp_path: Path) -> None:
    index = client(private.url.replace("://", "://user:wr0ng-w0rd@"), tmp_path)
    with pytest.raises(IndexUnreachableError) as caught:
        index.files("quiet")
    assert "wr0ng-w0rd" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__!r}"


@pytest.mark.parametrize("what", ["page", "file", "file on a page"])
def test_another_host_gets_no_credentials(
    private: LocalIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Neither those of the index nor those that the operator's netrc has for that host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login admin password other-word\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with LocalIndex() as evil:
        evil.add(PROJECT)
        page = reply(status=302, headers={"Location": evil.url_of("/simple/quiet/")})
        path = f"/files/quiet/{PROJECT.filename}"
        if what == "page":
            private.set_response("/simple/quiet/", page)
        elif what == "file":
            private.set_response(path, reply(status=302, headers={"Location": evil.url_of(path)}))
        else:
            evil_url = f"{evil.url_of(path)}#sha256={hashlib.sha256(PROJECT.build()).hexdigest()}"
            links = f'<a href="{evil_url.replace("://", "://you:too@")}">{PROJECT.filename}</a>'
            private.set_response("/simple/quiet/", reply(links.encode(), headers={"Content-Type": "text/html"}))
        index = client(with_credentials(private.url), tmp_path)
        (file,) = index.files("quiet")
        index.fetch(file, timeout_s=10, max_bytes=10**6)
        assert evil.request_headers, "the redirect was followed"
        assert not any("Authorization" in headers for headers in evil.request_headers)


@pytest.mark.parametrize("how", ["address", "netrc", "proxy"])
def test_the_open_network_is_refused_where_cells_would_need_credentials(
    program: Program, private: LocalIndex, public: LocalIndex, tmp_path: Path, how: str
) -> None:
    if how == "address":
        program.settings["PPP_INDEX_URL"] = with_credentials(private.url)
    elif how == "netrc":
        program.settings["PPP_INDEX_URL"] = private.url
        program.settings["NETRC"] = str(tmp_path / "netrc")
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login user password {SECRET}\n")
    else:
        program.settings["PPP_INDEX_URL"] = public.url
        program.settings |= {"http_proxy": f"http://user:{SECRET}@127.0.0.1:9", "no_proxy": "127.0.0.1"}
    done = program.run("run", "--package", "quiet", "--network", "open")
    assert done.code == 10, done
    assert "--network gateway" in done.err
    assert SECRET not in done.err + done.out
    assert PAIR not in done.err + done.out
