"""An index that may send anything as a project's page: a list of files, or one error of our own, and nothing else."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import pytest
from cell_environments import SLIM
from fake_runtime import prepared_environment
from hostile_strings import HOSTILE_STRINGS, SURROGATES, unsafe_characters
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppp.bounded_http.session import BoundedSession, Response
from ppp.check.gateway.pages import PageFile, PageForm, filter_files, served_file, write_page
from ppp.check.index.choose import IndexFile, NotClaimed, choose_file, newest_installable, release_files
from ppp.check.index.client import SimpleIndex, resolve
from ppp.model.credentials import origin_of
from ppp.model.errors import IndexUnreachableError, PPPError, UnknownPackageError
from ppp.model.release import Release, RequestedPackage

URL: Final = "https://index.example/simple/"
SIX: Final = Release(package="six", version="1.0")
PREPARED: Final = prepared_environment(SLIM)
JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"

_WORDS: Final = [word[:300] for word in [*HOSTILE_STRINGS.values(), *SURROGATES.values()]]
_TEXT: Final = st.one_of(st.sampled_from(_WORDS), st.text(max_size=20))
_URLS: Final = st.one_of(
    _TEXT,
    st.sampled_from(
        [
            "https://files.example/six-1.0.tar.gz",
            "six-1.0-py3-none-any.whl#sha256=ab",
            "http://[::1",
            "http://[v1.x]/",
            "//[",
            "http://h:99999999/six-1.0.tar.gz",
            "http://h:-1/",
            "http://h:x/",
            "https://a@b:c@d/six-1.0.tar.gz",
            "http://\u2100.example/x",
            "http:////[/x",
            "A:////[",
            "ht\ntp://[/x",
            "\x01http://[/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "?x=1#" + "#" * 100,
            "../../../six-1.0.tar.gz",
            "http://" + "a" * 1000 + "/" + "%2e%2e%2f" * 50,
        ]
    ),
    st.builds(
        str.__add__, st.sampled_from(["http:", "//", "https://h", "/", "http://[", "\t//["]), st.text(max_size=8)
    ),
)
_NAMES: Final = st.one_of(
    _TEXT,
    st.sampled_from(
        [
            "six-1.0.tar.gz",
            "six-1.0-py3-none-any.whl",
            "SIX-1.0-1_x-cp312-cp312-manylinux_2_17_x86_64.whl",
            "six-1.0.zip",
            "six-1!0.tar.gz",
            "six-" + "9" * 5_000 + ".tar.gz",
            "six-1.0-" + ".".join(["py3"] * 60) + "-none-any.whl",
            "six-1.0-" + "9" * 200 + "-py3-none-any.whl",
            "six-1.0-py3-none-.whl",
            "six-1.0-py3-none-any.whl/../../x",
            "-.whl",
            ".tar.gz",
        ]
    ),
)
_JSON: Final = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from([10**400, -1]), st.floats(), _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)
_SPECIFIERS: Final = st.one_of(
    _TEXT, st.sampled_from([">=3.8", "===x", "~=3", ">=" + "3." * 300 + "1", ",".join([">=3"] * 200), "==3.*,", "<"])
)


def _some(plausible: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(plausible, plausible, plausible, _JSON)


_ROWS: Final = st.fixed_dictionaries(
    {"filename": _some(_NAMES), "url": _some(_URLS)},
    optional={
        "hashes": _some(st.dictionaries(st.sampled_from(["sha256", "md5", ""]), st.sampled_from(["ab" * 32, "", "x"]))),
        "requires-python": _some(_SPECIFIERS),
        "yanked": _some(st.booleans() | _TEXT),
        "core-metadata": _some(st.booleans() | st.dictionaries(st.just("sha256"), _TEXT)),
        "data-dist-info-metadata": _JSON,
        "size": _JSON,
        "upload-time": _some(st.sampled_from(["2024-01-01T00:00:00Z", "9999-99-99", "0000"])),
        "gpg-sig": _JSON,
        "provenance": _some(_URLS),
    },
)


_STATUSES: Final = st.fixed_dictionaries(
    {"status": _some(st.sampled_from(["archived", "quarantined", "active", "new"]))}, optional={"reason": _some(_TEXT)}
)


def _json_page(rows: list[Any], version: Any, extra: dict[str, Any]) -> bytes:
    page = {"meta": {"api-version": version}, "name": "six", "files": rows, **extra}
    return json.dumps(page).encode()


def _html_page(rows: list[tuple[str, str, str]], before: str) -> bytes:
    links = "".join(f'<a href="{url}" data-requires-python="{spec}">{name}</a>' for name, url, spec in rows)
    return f"<!DOCTYPE html><html><base href={before}>{before}{links}".encode("utf-8", "surrogatepass")


_TYPES: Final = st.sampled_from(
    [JSON_TYPE] * 6
    + ["text/html"] * 4
    + ["text/html; charset=utf-16", "text/html; charset=idna", "text/plain", "", "\x00"]
)
PAGES: Final = st.one_of(
    st.builds(
        _json_page,
        st.lists(_ROWS, max_size=4),
        st.sampled_from(["1.0", "1.0", "1.4", "2.0", "1.99", None, "x"]),
        st.dictionaries(
            st.sampled_from(["versions", "alternate-locations", "name", "meta", "files"]), _JSON, max_size=1
        )
        | st.fixed_dictionaries({"project-status": _some(_STATUSES)}),
    ),
    st.builds(_html_page, st.lists(st.tuples(_NAMES, _URLS, _SPECIFIERS), max_size=4), _TEXT | _URLS),
    st.binary(max_size=200),
    st.sampled_from([b"[" * 100_000, b'{"files":' * 10_000, b"<a" * 30_000, b"<!--" * 30_000, b"<a href=x>" * 9_000]),
)


@dataclass(frozen=True, kw_only=True)
class Answering:
    """In place of a session: gives one answer to everything."""

    body: bytes
    content_type: str
    status: int

    def get(self, url: str, **_: object) -> Response:
        headers: Mapping[str, str] = {"content-type": self.content_type, "date": self.content_type}
        return Response(url=url, status=self.status, headers=headers, body=self.body)


#: A URL that can be joined with the page's, and then cannot be read.
BAD_URL: Final[dict[str, object]] = {"filename": "six-1.0.tar.gz", "url": "A:////[", "hashes": {}}


def own_error(attempt: Callable[[], object]) -> None:
    """Make an attempt; check that an error is one of ours, in printable text."""
    try:
        attempt()
    except PPPError as error:
        for text in (error.message, error.hint or ""):
            assert unsafe_characters(text, keep="") == set()
            assert len(text) < 2_000


def look_at(files: Sequence[IndexFile]) -> None:
    """Do what a run does with a page: choose a file, find a version, and write the page for cells."""
    of_release = release_files(SIX, files)
    chosen = choose_file(of_release, PREPARED)
    assert isinstance(chosen, IndexFile | NotClaimed)
    newest_installable("six", files, ">=0", PREPARED)
    admitted = [PageFile(url=file.url, requires_python=file.requires_python) for file in files if origin_of(file.url)]
    shown = [served_file("six", file) for file in filter_files(admitted, frozenset(PREPARED.tags))]
    for form in PageForm:
        write_page("six", shown, form)


@pytest.mark.fuzz
@pytest.mark.attack("bounded-input")
@given(body=PAGES, content_type=_TYPES, status=st.sampled_from([200, 200, 200, 200, 304, 404, 500]))
@example(body=_html_page([("six-1.0.tar.gz", "A:////[", "")], ""), content_type="text/html", status=200)
@example(
    body=_json_page([{"filename": "x", "url": "A:////[", "hashes": {}}], "1.0", {}), content_type=JSON_TYPE, status=200
)
@example(body=_json_page([BAD_URL | {"hashes": {"\x08": None}}], "1.0", {}), content_type=JSON_TYPE, status=200)
@settings(max_examples=100)
def test_any_page_is_files_or_one_of_our_errors(body: bytes, content_type: str, status: int) -> None:
    index = SimpleIndex(URL, cache=Path("nowhere"), user_agent="tests")
    index.session.close()
    index.session = cast("BoundedSession", Answering(body=body, content_type=content_type, status=status))
    own_error(lambda: resolve(index, RequestedPackage(package="six", specifier=">=0")))
    with suppress(IndexUnreachableError, UnknownPackageError):
        look_at(index.files("six"))
        index.hosts()
