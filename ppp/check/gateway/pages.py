"""A project's page of an index: reduced to the files that a matrix could ever choose, and written as JSON or HTML.

Pure. Wheels for other platforms or Pythons are left out, and so are links to anything but distributions: pip ignores
both silently. Everything else stays, in its order and with all that pip considers, the project's status included, so
pip chooses and reports the same.
"""

import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from html import escape
from itertools import product
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from ppp.check.index.choose import ARCHIVE_SUFFIXES, has_too_many_tags
from ppp.check.index.page import STATUS_NAMES, VERSION_NAME, ProjectStatus
from ppp.check.index.view import IndexView
from ppp.model.canonical import is_sha256, sha256_hex

#: Increased when the content of pages changes, so that no older page is served from a cache.
FORMAT_VERSION: Final = 3
#: The number of parts in a wheel's name: name, version, and the three of its tag; one more if it has a build number.
WHEEL_PARTS: Final = 5
DIGEST_CHARS: Final = 16


class PageForm(StrEnum):
    """The form of a page: PEP 691's JSON, or PEP 503's HTML."""

    JSON = "json"
    HTML = "html"

    @property
    def content_type(self) -> str:
        """The value of the Content-Type header."""
        return "text/html; charset=utf-8" if self is PageForm.HTML else "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """A file on a page. `yanked` is the reason, or None; `metadata` are the digests of its metadata file, or None.

    `url` is absolute on the index's page, and a path on the gateway's. `size`, in bytes, and `upload_time`, in UTC, are
    None where the index does not say; they are not written.
    """

    url: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    requires_python: str | None = None
    yanked: str | None = None
    metadata: Mapping[str, str] | None = None
    size: int | None = None
    upload_time: datetime | None = None

    @property
    def filename(self) -> str:
        """Its name as pip sees it: from the URL, whatever the index calls the file."""
        return unquote(posixpath.basename(unquote(urlsplit(self.url).path).rstrip("/")))

    @property
    def uploaded_at(self) -> int | None:
        """When it was uploaded, in epoch seconds."""
        return None if self.upload_time is None else int(self.upload_time.timestamp())


def is_distribution(filename: str) -> bool:
    """Return whether pip would consider a file at all."""
    return filename.endswith((".whl", *ARCHIVE_SUFFIXES))


def could_be_chosen(filename: str, tags: frozenset[str]) -> bool:
    """Return whether an environment with one of these tags may choose a file.

    A wheel whose name has another form is left to pip: one with a variant (PEP 825) has its tags elsewhere.
    """
    if not filename.endswith(".whl"):
        return True
    parts = filename.removesuffix(".whl").lower().split("-")
    has_build = len(parts) == WHEEL_PARTS + 1 and parts[2][:1].isdecimal()
    if not (len(parts) == WHEEL_PARTS or has_build) or has_too_many_tags(filename):
        return True
    return any("-".join(tag) in tags for tag in product(*(part.split(".") for part in parts[-3:])))


def filter_files(files: Iterable[PageFile], tags: frozenset[str] | None) -> tuple[PageFile, ...]:
    """Return the files that an environment with one of these tags may choose, in their order; for None, all files."""
    return tuple(file for file in files if tags is None or could_be_chosen(file.filename, tags))


def viewed_files(project: str, files: Iterable[PageFile], view: IndexView | None) -> tuple[PageFile, ...]:
    """Return the files of a project that are there in a view, in their order; for None, all files."""
    if view is None:
        return tuple(files)
    there = (
        file for file in files if view.admits(project, sha256=file.hashes.get("sha256"), uploaded_at=file.uploaded_at)
    )
    return tuple(replace(file, yanked=None) for file in there) if view.hides_yank(project) else tuple(there)


def view_name(
    tags: frozenset[str] | None,
    *,
    index_url: str,
    local_projects: str,
    view: IndexView | None = None,
    run: str = "",
) -> str:
    """Return a hash over all that pages for a set of tags depend on: different pages never share a cache key.

    `run` is a name that no other run has, for pages that no later run is to get from a cache.
    """
    parts: list[Any] = [FORMAT_VERSION, index_url, local_projects, None if tags is None else sorted(tags)]
    if view is not None:
        parts += [view.digest, run]
    return sha256_hex(json.dumps(parts).encode())[:DIGEST_CHARS]


def file_key(file: PageFile) -> str:
    """Return what names a file in the gateway's URLs: its sha256, or where the index gives none, that of its URL."""
    sha256 = file.hashes.get("sha256", "")
    return sha256 if is_sha256(sha256) else sha256_hex(file.url.encode("utf-8", "replace"))


def served_file(project: str, file: PageFile) -> PageFile:
    """Return a file as it is on the gateway's page of a project.

    Metadata whose sha256 the index does not give is left out, because it could not be checked: pip then reads the file.
    """
    metadata = file.metadata if is_sha256((file.metadata or {}).get("sha256")) else None
    path = f"/-/{project}/{file_key(file)}/{quote(file.filename, safe='')}"
    return replace(file, url=path, metadata=metadata)


def write_page(project: str, files: Iterable[PageFile], form: PageForm, status: ProjectStatus | None = None) -> bytes:
    """Return a project's page as bytes, with its status if it has one."""
    return _json(project, files, status) if form is PageForm.JSON else _html(project, files, status)


def _api_version(status: ProjectStatus | None) -> str:
    # The first that has a status.
    return "1.4" if status else "1.0"


def _json(project: str, files: Iterable[PageFile], status: ProjectStatus | None) -> bytes:
    page: dict[str, Any] = {"meta": {"api-version": _api_version(status)}, "name": project}
    if status:
        reason = {"reason": status.reason} if status.reason else {}
        page["project-status"] = {"status": str(status.status), **reason}
    page["files"] = [_row(file) for file in files]
    return json.dumps(page, separators=(",", ":")).encode()


def _row(file: PageFile) -> dict[str, Any]:
    row: dict[str, Any] = {"filename": file.filename, "url": file.url, "hashes": dict(file.hashes)}
    if file.requires_python is not None:
        row["requires-python"] = file.requires_python
    if file.yanked is not None:
        # An empty reason would mean that it is not yanked.
        row["yanked"] = file.yanked or True
    if file.metadata is not None:
        row["core-metadata"] = dict(file.metadata) or True
    return row


def _html(project: str, files: Iterable[PageFile], status: ProjectStatus | None) -> bytes:
    links = "".join(f"<a {_attributes(file)}>{escape(file.filename)}</a><br>\n" for file in files)
    facts = {VERSION_NAME: _api_version(status)}
    if status:
        facts |= dict(zip(STATUS_NAMES, filter(None, (str(status.status), status.reason)), strict=False))
    head = '<meta charset="utf-8">' + "".join(
        f'<meta name="{name}" content="{escape(value)}">' for name, value in facts.items()
    )
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
    # HTML has room for one digest.
    name = "sha256" if "sha256" in hashes else min(hashes, default=None)
    return f"{before}{name}={hashes[name]}" if name else ""
