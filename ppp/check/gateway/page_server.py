"""The server behind nginx in the gateway: a small HTTP server in this process that serves an index's pages and files.

It alone talks to the index: nginx has no credentials. nginx requests each page once in the life of its cache. A file is
got only if a page of the index lists it; it is stored by its sha256, and checked each time; then nginx sends it.
Whatever goes wrong with the index becomes a status that is neither success nor 404, so that a cell never takes it for a
response of the index.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Final
from urllib.parse import quote

from pypi_simple import DistributionPackage

from ppp.bounded_http.limits import TransferError, TransferTimeoutError
from ppp.check.gateway.cells import CellLimitError, Cells, RecentTimeouts
from ppp.check.gateway.listings import Listings, index_file
from ppp.check.gateway.local_projects import LocalProjects
from ppp.check.gateway.pages import (
    PageFile,
    PageForm,
    file_key,
    filter_files,
    is_distribution,
    served_file,
    view_name,
    viewed_files,
    write_page,
)
from ppp.check.index.choose import METADATA_SUFFIX, IndexFile
from ppp.check.index.client import (
    DownloadError,
    DownloadTimeoutError,
    NoSuchPageError,
    SimpleIndex,
    fetch_page,
    upload_time,
)
from ppp.check.index.page import InvalidPageError, ProjectStatus
from ppp.check.index.view import IndexView
from ppp.model.credentials import origin_of

#: How many pages are read at a time: each is held in memory.
MAX_CONCURRENT_PAGES: Final = 8
#: The largest file, in bytes, and how long it may take to arrive, in seconds: less than nginx waits for it.
MAX_FILE_BYTES: Final = 8 * 1024**3
FILE_TIMEOUT_S: Final = 300
#: A failure that took longer than this, in seconds, was a wait for the index.
SLOW_FAILURE_S: Final = 10
#: The header in which nginx passes on the address of the cell that asks.
CELL_HEADER: Final = "X-Cell"
#: The path below which nginx sends files of the store, if told to.
STORE_PATH: Final = "/store/"
FILE_TYPE: Final = "application/octet-stream"
_PAGE: Final = re.compile("/page/([0-9a-f]{16})/([a-z0-9-]{1,200})/(json|html)")
_FILE: Final = re.compile("/-/([a-z0-9-]{1,200})/([0-9a-f]{64})/([^/]+)")


class PageError(Exception):
    """A page or file that cannot be served: `status` is the response's."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        """Set the status, and a sentence as the message."""
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class PageResponse:
    """A response to nginx; with the `etag` it can ask later whether the page has changed."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = "text/plain"
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _IndexPage:
    """What a page of the index lists: distributions only."""

    files: tuple[PageFile, ...]
    status: ProjectStatus | None
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenView:
    """Which files pages have, what was asked for, and of what the index gave no times although the view needs them."""

    tags: frozenset[str] | None
    view: IndexView | None = None
    asked: set[str] = field(default_factory=set)
    untimed: set[str] = field(default_factory=set)

    def note(self, project: str, files: Iterable[PageFile]) -> None:
        """Note that a page with these files was read for the view."""
        view = self.view
        if view is None or view.uploaded_before is None or project in view.allowed:
            return
        if any(file.uploaded_at is None for file in files):
            self.untimed.add(project)


@dataclass(slots=True, kw_only=True)
class PageServer:
    """Serves the pages of an index in the views that were opened, and the files on them, from several threads."""

    index: SimpleIndex
    local_projects: LocalProjects
    cells: Cells = field(default_factory=Cells)
    listings: Listings = field(default_factory=Listings)
    timeouts: RecentTimeouts = field(default_factory=RecentTimeouts)
    clock: Callable[[], float] = time.monotonic
    _views: dict[str, _OpenView] = field(default_factory=dict)
    #: The project and key of each file that was sent: the page may not list it any more when somebody asks.
    _sent: set[tuple[str, str]] = field(default_factory=set)
    _page_slots: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MAX_CONCURRENT_PAGES))

    def open_view(self, tags: frozenset[str] | None, view: IndexView | None = None, *, run: str = "") -> str:
        """Start to serve pages with the files that environments with these tags may choose; return the view's name.

        None stands for all files. Of these, `view` leaves out more; its pages are cached for this `run` only.
        """
        local = self.local_projects.name
        name = view_name(tags, index_url=self.index.url, local_projects=local, view=view, run=run)
        self._views.setdefault(name, _OpenView(tags=tags, view=view))
        return name

    def asked_in(self, view: str) -> frozenset[str]:
        """Return the projects whose pages cells have asked for in a view that narrows the index."""
        return frozenset(self._views[view].asked)

    def untimed_in(self, view: str) -> frozenset[str]:
        """Return the projects of whose files the index gave no time of upload, so that a view could not judge them."""
        return frozenset(self._views[view].untimed)

    def page(self, cell: str, view: str, project: str, form: PageForm, etag: str | None) -> PageResponse:
        """Return a page, or that it has not changed since it had this `etag`; raise `PageError` if there is none.

        `cell` is the address of the cell that asks.
        """
        if view not in self._views:
            # Not 404: nginx would cache that, and serve it to a later run that opens this view.
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, "no such view")
        opened = self._views[view]
        files, status = self.local_projects.projects.get(project), None
        if files is None:
            opened.asked.add(project)
            page = self._read_page(cell, project, _remove_form(form, etag))
            if page is None:
                return PageResponse(status=HTTPStatus.NOT_MODIFIED, etag=etag)
            opened.note(project, page.files)
            files = viewed_files(project, page.files, opened.view)
            status, etag = page.status, _add_form(form, page.etag)
        else:
            etag = None
        served = (served_file(project, file) for file in files)
        body = write_page(project, filter_files(served, opened.tags), form, status)
        return PageResponse(status=HTTPStatus.OK, body=body, content_type=form.content_type, etag=etag)

    def file(self, cell: str, project: str, key: str, *, metadata: bool) -> Path:
        """Return the path of a listed file, or of its metadata, whose hash was just checked; raise `PageError`."""
        if project in self.local_projects.projects:
            path = None if metadata else self.local_projects.paths.get(key)
            if path is None:
                raise PageError(HTTPStatus.NOT_FOUND, "no such local file")
            return path
        wanted = self._listed(cell, project, key, metadata=metadata)
        what, started = (project, wanted.filename, key), self.clock()
        self._refuse_after_timeout(*what)
        try:
            self.cells.check(cell)
            path = self.index.fetch(wanted, timeout_s=FILE_TIMEOUT_S, max_bytes=MAX_FILE_BYTES)
            self.cells.count_file(cell, path.stat().st_size)
            # Files that were not used for longest are the first to be removed.
            os.utime(path)
            self._sent.add((project, key))
        except CellLimitError as error:
            raise PageError(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        except (DownloadError, DownloadTimeoutError, OSError) as error:
            self.cells.count_failure(cell)
            if self.clock() - started > SLOW_FAILURE_S:
                self.timeouts.add(*what)
            raise PageError(HTTPStatus.BAD_GATEWAY, f"the file could not be fetched: {error}") from error
        return path

    def lists(self, project: str, sha256: str) -> bool | None:
        """Return whether a project's page lists a file with this hash, or did when it was sent; None if not known."""
        if (project, sha256) in self._sent:
            return True
        if (local := self.local_projects.projects.get(project)) is not None:
            return any(file_key(file) == sha256 for file in local)
        listed = self.listings.get(project)
        if listed is None or sha256 in listed:
            return None if listed is None else True
        # It may be the hash of a file for which the index gives none.
        return False if all(file.hashes.get("sha256") == key for key, file in listed.items()) else None

    def _listed(self, cell: str, project: str, key: str, *, metadata: bool) -> IndexFile:
        listed = self.listings.get(project)
        if listed is None:
            # Its page came from nginx's cache, which outlives runs.
            self._read_page(cell, project, None)
            listed = self.listings.get(project) or {}
        wanted = index_file(listed[key], project, metadata=metadata) if key in listed else None
        if wanted is None:
            raise PageError(HTTPStatus.NOT_FOUND, f"the page of {project} lists no such file")
        return wanted

    def _refuse_after_timeout(self, *what: str) -> None:
        if what in self.timeouts:
            raise PageError(HTTPStatus.GATEWAY_TIMEOUT, "the index did not answer this in time a moment ago")

    def _read_page(self, cell: str, project: str, etag: str | None) -> _IndexPage | None:
        self._refuse_after_timeout(project)
        try:
            with self.cells.page_request(cell), self._page_slots:
                page = self._fetch_page(project, etag)
        except CellLimitError as error:
            raise PageError(HTTPStatus.TOO_MANY_REQUESTS, str(error)) from error
        except PageError as error:
            self.cells.count_failure(cell)
            if error.status == HTTPStatus.GATEWAY_TIMEOUT:
                self.timeouts.add(project)
            raise
        if page is not None:
            self.listings.put(project, page.files)
        return page

    def _fetch_page(self, project: str, etag: str | None) -> _IndexPage | None:
        try:
            page = fetch_page(self.index.session, self.index.url, project, etag=etag)
        except NoSuchPageError as error:
            raise PageError(HTTPStatus.NOT_FOUND, f"the index has no {project}") from error
        except InvalidPageError as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, f"the index's page {error}") from error
        except TransferTimeoutError as error:
            raise PageError(HTTPStatus.GATEWAY_TIMEOUT, f"the index {error}") from error
        except TransferError as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, f"the index {error}") from error
        if page is None:
            return None
        return _IndexPage(files=_distributions(map(page_file, page.files)), status=page.status, etag=page.etag)


def _add_form(form: PageForm, etag: str | None) -> str | None:
    # The two forms have one URL, and must not be taken for each other.
    return etag.replace('"', f'"{form}-', 1) if etag else None


def _remove_form(form: PageForm, etag: str | None) -> str | None:
    return etag.replace(f'"{form}-', '"', 1) if etag and f'"{form}-' in etag else None


def _distributions(files: Iterable[PageFile]) -> tuple[PageFile, ...]:
    """Return the files that pip would consider, and that are at addresses of HTTP."""
    return tuple(file for file in files if origin_of(file.url) and is_distribution(file.filename))


def page_file(package: DistributionPackage) -> PageFile:
    """Return what the gateway's page says of a file on the index's page."""
    return PageFile(
        url=package.url,
        hashes=package.digests,
        requires_python=package.requires_python,
        yanked=(package.yanked_reason or "") if package.is_yanked else None,
        metadata=(package.metadata_digests or {}) if package.has_metadata else None,
        size=package.size,
        upload_time=upload_time(package),
    )


# ---------------------------------------------------------------- serving


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512


@contextmanager
def serve_pages(page_server: PageServer, socket: Path) -> Iterator[None]:
    """Serve at a socket in the file system until the context ends."""
    server = _Server(str(socket), _handler(page_server))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(page_server: PageServer) -> type[BaseHTTPRequestHandler]:
    class PageHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            # nginx closes the connection once it no longer waits.
            with suppress(BrokenPipeError, ConnectionResetError):
                _respond(self, page_server)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    return PageHandler


def _respond(request: BaseHTTPRequestHandler, page_server: PageServer) -> None:
    cell = request.headers.get(CELL_HEADER, "")
    try:
        if page := _PAGE.fullmatch(request.path):
            view, project, form = page.groups()
            _send(request, page_server.page(cell, view, project, PageForm(form), request.headers.get("If-None-Match")))
        elif file := _FILE.fullmatch(request.path.partition("?")[0]):
            project, key, name = file.groups()
            path = page_server.file(cell, project, key, metadata=name.endswith(METADATA_SUFFIX))
            if path.is_relative_to(page_server.index.cache):
                _send_from_store(request, path.relative_to(page_server.index.cache))
            else:
                _send(request, PageResponse(status=HTTPStatus.OK, body=path.read_bytes(), content_type=FILE_TYPE))
        else:
            _send(request, PageResponse(status=HTTPStatus.NOT_FOUND))
    except PageError as error:
        _send(request, PageResponse(status=error.status, body=f"{error}\n".encode()))


def _send_from_store(request: BaseHTTPRequestHandler, path: Path) -> None:
    """Let nginx send a file of the store."""
    request.send_response(HTTPStatus.OK)
    for name, value in {
        "Content-Type": FILE_TYPE,
        "Content-Length": "0",
        "X-Accel-Redirect": f"{STORE_PATH}{quote(str(path))}",
    }.items():
        request.send_header(name, value)
    request.end_headers()


def _send(request: BaseHTTPRequestHandler, response: PageResponse) -> None:
    request.send_response(response.status)
    for name, value in {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        **({"ETag": response.etag} if response.etag else {}),
    }.items():
        request.send_header(name, value)
    request.end_headers()
    request.wfile.write(response.body)
