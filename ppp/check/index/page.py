"""A project's page of an index: parsed from JSON (PEP 691) or HTML (PEP 503), whatever a server sends in its place.

- A page has at most `MAX_PAGE_BYTES` and `MAX_FILES` files, so it fits into memory: a JSON page is refused before it is
  parsed if it has more values than that many files need.
- HTML is parsed by the standard library's parser, as pip does, in small pieces. Some input takes that parser time that
  grows with the square of its length: no single tag or comment may be long, and the whole has `MAX_CPU_S`.
- pypi-simple reads what a file's entry says, but not its name: the expressions for that backtrack. The name is kept as
  it is, and packaging reads it (see `choose`).
- A project's status (PEP 792) is read here: one that is unknown, or in no valid form, counts as none, and the files are
  read all the same.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from enum import StrEnum
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from pypi_simple import (
    DistributionPackage,
    Link,
    ProjectPage,
    UnexpectedRepoVersionWarning,
    UnsupportedRepoVersionError,
)

from ppp.model.printable import printable_reason

#: The largest page that is read, after decompression. The largest on the public index have about 20 MB.
MAX_PAGE_BYTES: Final = 32 * 1024 * 1024
#: The largest number of files on a page.
MAX_FILES: Final = 50_000
#: The largest number of values in a JSON page: an entry of a file has about 15.
MAX_JSON_VALUES: Final = 30 * MAX_FILES
#: The longest tag or comment of an HTML page, in characters.
MAX_MARKUP: Final = 64 * 1024
#: How much CPU parsing an HTML page may take, in seconds of its thread. A page of 10 MB takes about two.
MAX_CPU_S: Final = 15.0
#: How many characters the HTML parser gets at a time; the limits are checked in between.
PIECE: Final = 8 * 1024

_JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
_HTML_TYPES: Final = frozenset({"application/vnd.pypi.simple.v1+html", "text/html"})
_MAX_TYPE_LENGTH: Final = 200
#: Other encodings are read as UTF-8: some of those that Python knows take long to decode.
_ENCODINGS: Final = frozenset({"utf-8", "ascii", "us-ascii", "latin-1", "iso-8859-1", "windows-1252"})
_FILE_ATTRIBUTES: Final = frozenset(
    {"href", "data-requires-python", "data-yanked", "data-core-metadata", "data-gpg-sig", "data-provenance"}
)
#: The names of facts about a page of HTML: its version; the project's status, and the reason for it.
VERSION_NAME: Final = "pypi:repository-version"
STATUS_NAMES: Final = ("pypi:project-status", "pypi:project-status-reason")
#: A name that pypi-simple knows at once not to be a distribution's.
_NO_NAME: Final = ""


class Status(StrEnum):
    """What an index says of a whole project (PEP 792), if it is not simply active."""

    ARCHIVED = "archived"
    DEPRECATED = "deprecated"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectStatus:
    """A project's status, with the index's reason as it was sent, `""` if it gave none."""

    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFiles:
    """A page that was read: its files in their order, and the project's status; None for an active project."""

    files: tuple[DistributionPackage, ...]
    status: ProjectStatus | None = None


class InvalidPageError(Exception):
    """What an index sent is not a project's page, or exceeds a limit; the message continues "the page …"."""


def parse_page(project: str, body: bytes, content_type: str, url: str) -> ProjectFiles:
    """Return what a project's page says; `url` is the page's own.

    The `project`, `version` and `package_type` of its files are None. Raise `InvalidPageError`.
    """
    if len(body) > MAX_PAGE_BYTES:
        raise InvalidPageError(f"is larger than {MAX_PAGE_BYTES:,} bytes")
    header = Message()
    header["Content-Type"] = content_type[:_MAX_TYPE_LENGTH]
    kind = header.get_content_type()
    try:
        if kind == _JSON_TYPE:
            return _with_valid_urls(_parse_json(body, url))
        if content_type and kind in _HTML_TYPES:
            return _with_valid_urls(_parse_html(project, _decode(body, header.get_content_charset() or ""), url))
    except RecursionError:
        raise InvalidPageError("nests too deep") from None
    except (ValueError, AssertionError, UnsupportedRepoVersionError, UnexpectedRepoVersionWarning) as error:
        # Messages quote what the index sent, also control characters.
        reason = printable_reason(" ".join(str(error).split()), 200)
        raise InvalidPageError(f"cannot be read: {type(error).__name__}: {reason}") from error
    raise InvalidPageError(f"is neither HTML nor JSON, but {kind[:80]!r}")


def _with_valid_urls(page: ProjectFiles) -> ProjectFiles:
    """Return a page as it is; raise `ValueError` if the URL of a file is invalid."""
    for package in page.files:
        # Joining does not find all that is wrong: `A:////[` becomes `A://[`, which is no URL.
        urlsplit(package.url)
    return page


def read_status(status: object, reason: object) -> ProjectStatus | None:
    """Return a project's status by the values that a page gives; None if the project is active, as far as is known.

    By PEP 792 a project has one status, and is active if the index says nothing: a word that is new to us must not make
    its files unreadable.
    """
    if not isinstance(status, str) or status not in [*Status]:
        return None
    return ProjectStatus(status=Status(status), reason=reason if isinstance(reason, str) else "")


# ---------------------------------------------------------------- JSON


def _parse_json(body: bytes, url: str) -> ProjectFiles:
    # Every value but the first follows one of these; those in strings are counted too.
    values = sum(map(body.count, (b",", b"[", b"{", b":")))
    if values > MAX_JSON_VALUES:
        raise InvalidPageError(f"has more than {MAX_JSON_VALUES:,} values")
    page = json.loads(body.decode())
    rows = page.get("files") if isinstance(page, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidPageError("lists no files")
    names = [_take_name(row) for row in rows]
    _check_number(names)
    given = page.pop("project-status", None)
    status = read_status(given.get("status"), given.get("reason")) if isinstance(given, dict) else None
    packages = ProjectPage.from_json_data(page, url).packages
    files = tuple(replace(package, filename=name) for package, name in zip(packages, names, strict=True))
    return ProjectFiles(files=files, status=status)


def _take_name(row: dict[str, Any]) -> str:
    name = row.get("filename")
    if not isinstance(name, str):
        raise InvalidPageError("lists a file without a name")
    row["filename"] = _NO_NAME
    return name


def _check_number(files: Sequence[object]) -> None:
    if len(files) > MAX_FILES:
        raise InvalidPageError(f"lists more than {MAX_FILES:,} files")


# ---------------------------------------------------------------- HTML


def _decode(body: bytes, charset: str) -> str:
    return body.removeprefix(b"\xef\xbb\xbf").decode(charset if charset in _ENCODINGS else "utf-8", "replace")


def _parse_html(project: str, text: str, url: str) -> ProjectFiles:
    reader = _LinkReader()
    _feed(reader, text, clock=time.thread_time)
    if (version := reader.meta.get(VERSION_NAME)) is not None:
        # The check that pypi-simple makes of a page in JSON.
        ProjectPage.from_json_data({"meta": {"api-version": version}, "name": project, "files": []})
    base = urljoin(url, reader.base or "")
    files = tuple(_linked_file(attributes, "".join(text).strip(), base) for attributes, text in reader.links)
    return ProjectFiles(files=files, status=read_status(*map(reader.meta.get, STATUS_NAMES)))


def _feed(reader: "_LinkReader", text: str, *, clock: Callable[[], float]) -> None:
    started = clock()
    for start in range(0, len(text), PIECE):
        reader.feed(text[start : start + PIECE])
        # What the parser holds back is a tag or a comment whose end it has not seen.
        if len(reader.rawdata) > MAX_MARKUP:
            raise InvalidPageError(f"has a tag or comment of more than {MAX_MARKUP:,} characters")
        if clock() - started > MAX_CPU_S:
            raise InvalidPageError(f"takes longer than {MAX_CPU_S:g} s to parse")
    reader.close()


def _linked_file(attributes: Mapping[str, str], name: str, base: str) -> DistributionPackage:
    link = Link(text=_NO_NAME, url=urljoin(base, attributes["href"]), attrs=dict(attributes))
    return replace(DistributionPackage.from_link(link), filename=name)


class _LinkReader(HTMLParser):
    """Collects a page's links, its first `<base>` and its named facts; a link ends where the next one begins."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[tuple[dict[str, str], list[str]]] = []
        self.base: str | None = None
        #: What the page's `<meta>` say, by those names that count.
        self.meta: dict[str, str | None] = {}
        self._within_link = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, the page's base or a fact about it; of attributes given twice, the last one counts."""
        if tag not in {"a", "base", "meta"}:
            return
        given = dict(attrs)
        match tag:
            case "a":
                self._within_link = "href" in given
                if self._within_link:
                    self.links.append(({name: given[name] or "" for name in _FILE_ATTRIBUTES & given.keys()}, []))
                    _check_number(self.links)
            case "base" if self.base is None and given.get("href"):
                self.base = given["href"]
            case "meta" if (name := given.get("name")) in {VERSION_NAME, *STATUS_NAMES}:
                # Of facts given twice, the first one counts.
                self.meta.setdefault(str(name), given.get("content"))

    def handle_endtag(self, tag: str) -> None:
        """Note a link's end."""
        if tag == "a":
            self._within_link = False

    def handle_data(self, data: str) -> None:
        """Add to a link's text, which is the file's name."""
        if self._within_link:
            self.links[-1][1].append(data)
