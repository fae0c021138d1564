"""Index pages: what is read of them, in both forms, and which are refused."""

import json
from typing import Any

import pytest
from pypi_simple import ProjectPage

from ppp.check.index.page import MAX_FILES, InvalidPageError, ProjectStatus, Status, parse_page

URL = "https://index.example/simple/lib/"
JSON = "application/vnd.pypi.simple.v1+json"
FILE = {"filename": "lib-1.0.zip", "url": "/files/lib-1.0.zip", "hashes": {"sha256": "ab"}}


def json_page(*files: Any, **changes: Any) -> bytes:
    """Return a page with these files."""
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "lib", "files": files, **changes}).encode()


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"{", JSON, "JSONDecodeError"),
        (b"[]", JSON, "lists no files"),
        (b"null", JSON, "lists no files"),
        (b"\xff", JSON, "UnicodeDecodeError"),
        (b'{"meta": {"api-version": "1.0"}, "name": "lib"}', JSON, "lists no files"),
        (b'{"meta": {"api-version": "1.0"}, "name": "lib", "files": {}}', JSON, "lists no files"),
        (b'{"meta": {"api-version": "2.0"}, "name": "lib", "files": []}', JSON, "UnsupportedRepoVersionError"),
        (json_page(1), JSON, "lists no files"),
        (json_page({}), JSON, "a file without a name"),
        (json_page(FILE | {"filename": 3}), JSON, "a file without a name"),
        (json_page(FILE | {"hashes": 3}), JSON, "ValidationError"),
        (json_page(FILE | {"size": "x"}), JSON, "ValidationError"),
        (b'{"a": ' + b"9" * 5000 + b"}", JSON, "ValueError"),
        (b'<meta name="pypi:repository-version" content="2.0">', "text/html", "UnsupportedRepoVersionError"),
        (b'<meta name="pypi:repository-version" content="two">', "text/html", "InvalidVersion"),
        (b'<a href="http://[">lib-1.0.zip</a>', "text/html", "ValueError"),
        (b"[" * 100_000, JSON, "nests too deep"),
        (b"", "text/plain", "neither HTML nor JSON, but 'text/plain'"),
        (b"", "", "neither HTML nor JSON"),
        (b"", ";" * 100_000, "neither HTML nor JSON"),
    ],
)
def test_invalid_pages(body: bytes, content_type: str, reason: str) -> None:
    with pytest.raises(InvalidPageError) as caught:
        parse_page("lib", body, content_type, URL)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_pages_base_url_and_charset_count() -> None:
    page = '<base href="/files/"><base href="/x/"><a href="lib-1.0.zip#sha256=ab" data-yanked="schön">lib-1.0.zip</a>'
    for charset in ("latin-1", "utf-8", "windows-1252"):
        (file,) = parse_page("lib", page.encode(charset), f"text/html; charset={charset}", URL).files
        assert (file.url, file.digests) == ("https://index.example/files/lib-1.0.zip", {"sha256": "ab"})
        assert file.yanked_reason == "schön"


@pytest.mark.parametrize("charset", ["", "idna", "utf-7", "zlib", "punycode", "no-such-thing"])
def test_other_encodings_are_read_as_utf_8(charset: str) -> None:
    page = "<a href=lib-1.0.zip data-yanked='schön'>lib-1.0.zip</a>"
    (file,) = parse_page("lib", b"\xef\xbb\xbf" + page.encode(), f"text/html; charset={charset}", URL).files
    assert file.yanked_reason == "schön"


HTML = """<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.0"><title>x</title></head><body>
<h1>Links</h1><!-- a comment > --><a href="../../lib-1.0.tar.gz#sha256=aa" rel="internal">lib-1.0.tar.gz</a><br/>
<A HREF='lib-2.0-py3-none-any.whl' data-requires-python="&gt;=3.9" data-yanked>lib-2.0-<b>py3</b>-none-any.whl</A>
<a href="lib-3.0.zip" data-core-metadata="sha256=bb" data-gpg-sig="true">
  lib-3.0.zip
</a><a>no link</a><a href=lib-4.0.zip data-core-metadata=true>lib-4.0.zip</a> the end"""


def test_html_is_read_as_pypi_simple_reads_it() -> None:
    read = parse_page("lib", HTML.encode(), "text/html", URL).files
    expected = ProjectPage.from_html("lib", HTML, URL).packages
    assert [
        (f.filename, f.url, f.digests, f.requires_python, f.is_yanked, f.has_metadata, f.metadata_digests, f.has_sig)
        for f in read
    ] == [
        (f.filename, f.url, f.digests, f.requires_python, f.is_yanked, f.has_metadata, f.metadata_digests, f.has_sig)
        for f in expected
    ]
    assert [file.filename for file in read] == [
        "lib-1.0.tar.gz", "lib-2.0-py3-none-any.whl", "lib-3.0.zip", "lib-4.0.zip",
    ]  # fmt: skip


def test_a_link_ends_where_the_next_one_begins() -> None:
    read = parse_page("lib", b"<a href=a.zip>a.zip<a href=b.zip>b.zip</a>c", "text/html", URL).files
    assert [file.filename for file in read] == ["a.zip", "b.zip"]


def test_json_keeps_every_name_as_it_is() -> None:
    names = ["lib-1.0.zip", "", "../../x", "a" * 5000, "\ud800", "a-" * 500 + ".whl"]
    read = parse_page("lib", json_page(*(FILE | {"filename": name} for name in names)), JSON, URL).files
    assert [file.filename for file in read] == names
    assert {file.url for file in read} == {"https://index.example/files/lib-1.0.zip"}


def test_the_number_of_files_is_limited() -> None:
    body = b"<a href=x>" * (MAX_FILES + 1)
    with pytest.raises(InvalidPageError, match="more than 50,000 files"):
        parse_page("lib", body, "text/html", URL)


# ---------------------------------------------------------------- the project's status (PEP 792)


def html_page(**facts: str) -> bytes:
    """Return a page with these facts about its project."""
    metas = "".join(f'<meta name="pypi:project-{name.replace("_", "-")}" content="{v}">' for name, v in facts.items())
    return f"<html><head>{metas}</head><body><a href=lib-1.0.zip>lib-1.0.zip</a></body></html>".encode()


@pytest.mark.parametrize("status", Status)
def test_a_projects_status_is_read_in_both_forms(status: Status) -> None:
    given = {"status": str(status), "reason": "malware & more"}
    in_json = parse_page("lib", json_page(FILE, **{"project-status": given}), JSON, URL)
    in_html = parse_page("lib", html_page(status=str(status), status_reason="malware &amp; more"), "text/html", URL)
    assert in_json.status == in_html.status == ProjectStatus(status=status, reason="malware & more")
    assert len(in_json.files) == len(in_html.files) == 1


def test_a_status_needs_no_reason_and_a_quarantined_project_no_files() -> None:
    bare = json_page(**{"project-status": {"status": "quarantined"}})
    for page in (
        parse_page("lib", bare, JSON, URL),
        parse_page("lib", html_page(status="quarantined"), "text/html", URL),
    ):
        assert page.status == ProjectStatus(status=Status.QUARANTINED)
    assert parse_page("lib", bare, JSON, URL).files == ()


@pytest.mark.parametrize(
    "status",
    [None, {}, [], "quarantined", {"status": "active"}, {"status": "new-in-2030", "reason": "x"}, {"status": ["x"]}],
)
def test_a_status_that_is_not_known_makes_no_file_unreadable(status: object) -> None:
    page = parse_page("lib", json_page(FILE, **{"project-status": status}), JSON, URL)
    assert (page.status, len(page.files)) == (None, 1)


def test_a_reason_that_is_no_text_is_none() -> None:
    page = parse_page("lib", json_page(**{"project-status": {"status": "archived", "reason": 3}}), JSON, URL)
    assert page.status == ProjectStatus(status=Status.ARCHIVED)


def test_of_facts_given_twice_the_first_one_counts() -> None:
    page = parse_page("lib", html_page(status="archived") + html_page(status="quarantined"), "text/html", URL)
    assert page.status == ProjectStatus(status=Status.ARCHIVED)
