"""A project's page of an index: cut down to what a matrix could ever choose, and written anew as JSON or as HTML.

Pure. Left out are wheels for other platforms or Pythons, and links that lead to no distribution: pip passes over both
without a word. All else is kept, in its order and with all that pip judges it by: it chooses and says the same.
"""

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from html import escape
from itertools import product
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from ppp.model.record import sha256_hex

#: Raised when a page comes to hold something else, so that none that is still in a cache is served for it.
FORMAT_VERSION: Final = 1
#: What pip takes for a distribution.
ARCHIVE_SUFFIXES: Final = (
    ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma",
)  # fmt: skip
#: How many parts a wheel's name has at least: name, version, and the three of its tag.
WHEEL_PARTS: Final = 5
DIGEST_CHARS: Final = 16


class PageForm(StrEnum):
    """How a page is written: PEP 691's JSON, or PEP 503's HTML."""

    JSON = "json"
    HTML = "html"

    @property
    def content_type(self) -> str:
        """What a server calls it."""
        return "text/html; charset=utf-8" if self is PageForm.HTML else "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """A file on a page. `yanked` is the reason, None where it is not; `metadata` has digests, None where there is none.

    `url` is absolute as the index gives it, or a path as the gateway serves it.
    """

    url: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    yanked: str | None = None
    metadata: Mapping[str, str] | None = None

    @property
    def filename(self) -> str:
        """Its name as pip sees it, which goes by the address and not by what an index calls the file."""
        return unquote(posixpath.basename(unquote(urlsplit(self.url).path).rstrip("/")))


def is_distribution(filename: str) -> bool:
    """Say whether pip would look at a file at all."""
    return filename.endswith(ARCHIVE_SUFFIXES)


def could_be_chosen(filename: str, tags: frozenset[str]) -> bool:
    """Say whether an environment with one of these tags may take a file; what is no sound wheel is left to pip."""
    if not filename.endswith(".whl"):
        return True
    parts = filename.removesuffix(".whl").lower().split("-")
    if len(parts) < WHEEL_PARTS:
        return True
    return any("-".join(tag) in tags for tag in product(*(part.split(".") for part in parts[-3:])))


def filter_files(files: Iterable[PageFile], tags: frozenset[str] | None) -> tuple[PageFile, ...]:
    """Give the files that an environment with one of these tags may take, in their order; None takes them all."""
    return tuple(file for file in files if tags is None or could_be_chosen(file.filename, tags))


def view_name(tags: frozenset[str] | None, *, index_url: str, local_projects: str) -> str:
    """Name what the pages for a set of tags depend on: no two that differ share a name, so nor a place in a cache."""
    of = [FORMAT_VERSION, index_url, local_projects, None if tags is None else sorted(tags)]
    return sha256_hex(json.dumps(of).encode())[:DIGEST_CHARS]


def origin_of(url: str) -> str | None:
    """Give where a file is (`https://host`), None for an address that is not on the web."""
    try:
        parts = urlsplit(url)
        host = _host(parts)
    except ValueError:
        return None
    return f"{parts.scheme}://{host}" if parts.scheme in {"http", "https"} and host else None


def _host(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


def origin_name(origin: str) -> str:
    """Name an origin in the gateway's own addresses, the same in each run."""
    return sha256_hex(origin.encode())[:DIGEST_CHARS]


def gateway_path(url: str) -> str:
    """Give the path at which the gateway serves a file that is elsewhere; the address must have an origin."""
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"/-/{origin_name(origin_of(url) or '')}{parts.path}{query}"


def write_page(project: str, files: Iterable[PageFile], form: PageForm) -> bytes:
    """Write a page."""
    return _json(project, files) if form is PageForm.JSON else _html(project, files)


def _json(project: str, files: Iterable[PageFile]) -> bytes:
    page = {"meta": {"api-version": "1.0"}, "name": project, "files": [_row(file) for file in files]}
    return json.dumps(page, separators=(",", ":")).encode()


def _row(file: PageFile) -> dict[str, Any]:
    row: dict[str, Any] = {"filename": file.filename, "url": file.url, "hashes": dict(file.hashes)}
    if file.requires_python is not None:
        row["requires-python"] = file.requires_python
    if file.yanked is not None:
        # A reason that is empty would read as no.
        row["yanked"] = file.yanked or True
    if file.metadata is not None:
        row["core-metadata"] = dict(file.metadata) or True
    return row


def _html(project: str, files: Iterable[PageFile]) -> bytes:
    links = "".join(f"<a {_attributes(file)}>{escape(file.filename)}</a><br>\n" for file in files)
    head = '<meta charset="utf-8"><meta name="pypi:repository-version" content="1.0">'
    page = f"<!DOCTYPE html>\n<html><head>{head}<title>{escape(project)}</title></head><body>\n{links}</body></html>\n"
    return page.encode("utf-8", "replace")


def _attributes(file: PageFile) -> str:
    given = {"href": f"{file.url}{_digest(file.hashes, '#')}"}
    if file.requires_python is not None:
        given["data-requires-python"] = file.requires_python
    if file.yanked is not None:
        given["data-yanked"] = file.yanked
    if file.metadata is not None:
        given["data-core-metadata"] = _digest(file.metadata, "") or "true"
    return " ".join(f'{name}="{escape(value)}"' for name, value in given.items())


def _digest(hashes: Mapping[str, str], before: str) -> str:
    # HTML has room for one.
    name = "sha256" if "sha256" in hashes else min(hashes, default=None)
    return f"{before}{name}={hashes[name]}" if name else ""
