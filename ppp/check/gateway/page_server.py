"""The server behind nginx in the gateway: a small HTTP server in this process that serves an index's pages.

nginx requests each page once in the life of its cache. Whatever goes wrong with the index becomes a status that is
neither success nor 404, so that a cell never takes it for an response of the index. Files are served from here too, if
they are at origins that nginx's configuration does not name.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, Final
from urllib.parse import unquote

import requests
import urllib3
from pypi_simple import DistributionPackage

from ppp.bounded_http.limits import TransferError, TransferTimeoutError
from ppp.bounded_http.session import BoundedSession
from ppp.check.gateway.local_projects import LOCAL_PATH, LocalProjects
from ppp.check.gateway.pages import (
    PageFile,
    PageForm,
    filter_files,
    gateway_path,
    is_distribution,
    origin_name,
    origin_of,
    view_name,
    write_page,
)
from ppp.check.index.client import NoSuchPageError, fetch_page, open_session
from ppp.check.index.page import InvalidPageError

#: Timeouts in seconds for a file: to connect, and between two reads.
TIMEOUT_S: Final = (10, 60)
CHUNK: Final = 256 * 1024
#: How many pages are read at a time: each is held in memory.
MAX_CONCURRENT_PAGES: Final = 8
#: The largest number of origins, those that pages named later included.
MAX_ORIGINS: Final = 64
_ORIGIN: Final = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_PAGE: Final = re.compile("/page/([0-9a-f]{16})/([a-z0-9-]{1,200})/(json|html)")
_FILE: Final = re.compile("/-/([0-9a-f]{16})(/.*)", re.DOTALL)


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
    """A page as the index serves it."""

    files: tuple[PageFile, ...]
    etag: str | None


class Origins:
    """Where files are (`https://host`), by name; those that pages name later are stored in a file for the next run.

    Each index has such a file of its own. Files of an index with TLS are never fetched without it.
    """

    def __init__(self, index_url: str, known: Iterable[str], *, file: Path) -> None:
        """Start with those that are `known`, and those in `file`."""
        self._schemes = ("https",) if index_url.startswith("https:") else ("https", "http")
        self._file = file
        self._lock = threading.Lock()
        lines = file.read_text("utf-8").split() if file.exists() else []
        self._by_name = {origin_name(origin): origin for origin in {*known, *lines} if self.admits(origin)}

    def admits(self, origin: str) -> bool:
        """Return whether files may be fetched from an origin."""
        return bool(_ORIGIN.fullmatch(origin)) and origin.startswith(tuple(f"{scheme}:" for scheme in self._schemes))

    def add(self, origin: str) -> None:
        """Store an origin that a page names; raise `PageError` if it is not admitted, or one too many."""
        with self._lock:
            if origin_name(origin) in self._by_name:
                return
            if not self.admits(origin) or len(self._by_name) >= MAX_ORIGINS:
                raise PageError(HTTPStatus.BAD_GATEWAY, f"the page names files at {origin[:200]!r}")
            try:
                with self._file.open("a", encoding="utf-8") as lines:
                    lines.write(f"{origin}\n")
            except OSError as error:
                # nginx would cache a page whose files the next run cannot find.
                raise PageError(HTTPStatus.BAD_GATEWAY, f"an origin cannot be stored: {error.strerror}") from error
            self._by_name[origin_name(origin)] = origin

    def get(self, name: str) -> str | None:
        """Return the origin with a name, or None."""
        return self._by_name.get(name)


@dataclass(slots=True, kw_only=True)
class PageServer:
    """Serves the pages of an index in the views that were opened, from several threads at once."""

    index_url: str
    origins: Origins
    local_projects: LocalProjects
    user_agent: str
    session: requests.Session = field(default_factory=requests.Session)
    _views: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _page_session: BoundedSession = field(init=False)
    _page_slots: threading.Semaphore = field(default_factory=lambda: threading.BoundedSemaphore(MAX_CONCURRENT_PAGES))

    def __post_init__(self) -> None:
        """Open the session for pages."""
        self._page_session = open_session(self.user_agent)

    def close(self) -> None:
        """Close all connections to the index."""
        self.session.close()
        self._page_session.close()

    def open_view(self, tags: frozenset[str] | None) -> str:
        """Start to serve pages with the files that environments with these tags may choose; return the view's name.

        None stands for all files.
        """
        name = view_name(tags, index_url=self.index_url, local_projects=self.local_projects.name)
        self._views[name] = tags
        return name

    def page(self, view: str, project: str, form: PageForm, etag: str | None) -> PageResponse:
        """Return a page, or that it has not changed since it had this `etag`; raise `PageError` if there is none."""
        if view not in self._views:
            # Not 404: nginx would cache that, and serve it to a later run that opens this view.
            raise PageError(HTTPStatus.SERVICE_UNAVAILABLE, "no such view")
        files = self.local_projects.projects.get(project)
        if files is None:
            with self._page_slots:
                page = self._fetch_page(project, _remove_form(form, etag))
            if page is None:
                return PageResponse(status=HTTPStatus.NOT_MODIFIED, etag=etag)
            files, etag = self._rewrite_urls(page.files), _add_form(form, page.etag)
        else:
            etag = None
        body = write_page(project, filter_files(files, self._views[view]), form)
        return PageResponse(status=HTTPStatus.OK, body=body, content_type=form.content_type, etag=etag)

    def _rewrite_urls(self, files: Iterable[PageFile]) -> tuple[PageFile, ...]:
        served = []
        for file in files:
            if is_distribution(file.filename) and (origin := origin_of(file.url)):
                self.origins.add(origin)
                served.append(replace(file, url=gateway_path(file.url)))
        return tuple(served)

    def _fetch_page(self, project: str, etag: str | None) -> _IndexPage | None:
        try:
            page = fetch_page(self._page_session, self.index_url, project, etag=etag)
        except NoSuchPageError as error:
            raise PageError(HTTPStatus.NOT_FOUND, f"the index has no {project}") from error
        except InvalidPageError as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, f"the index's page {error}") from error
        except TransferTimeoutError as error:
            raise PageError(HTTPStatus.GATEWAY_TIMEOUT, f"the index {error}") from error
        except TransferError as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, f"the index {error}") from error
        return _IndexPage(files=tuple(map(page_file, page.files)), etag=page.etag) if page else None

    def open_file(self, name: str, rest: str) -> requests.Response:
        """Start to fetch a file from the origin with a name; raise `PageError` if that fails."""
        origin = self.origins.get(name)
        if origin is None:
            raise PageError(HTTPStatus.BAD_GATEWAY, "no such origin")
        headers = {"Accept-Encoding": "identity", "User-Agent": self.user_agent}
        try:
            # A redirect could lead anywhere, to this machine too.
            response = self.session.get(
                f"{origin}{rest}", headers=headers, stream=True, timeout=TIMEOUT_S, allow_redirects=False
            )
        except requests.RequestException as error:
            raise PageError(HTTPStatus.BAD_GATEWAY, f"{origin} does not response: {type(error).__name__}") from error
        if response.status_code != HTTPStatus.OK:
            response.close()
            missing = response.status_code == HTTPStatus.NOT_FOUND
            raise PageError(
                HTTPStatus.NOT_FOUND if missing else HTTPStatus.BAD_GATEWAY, f"{origin} answers {response.status_code}"
            )
        return response


def _add_form(form: PageForm, etag: str | None) -> str | None:
    # The two forms have one URL, and must not be taken for each other.
    return etag.replace('"', f'"{form}-', 1) if etag else None


def _remove_form(form: PageForm, etag: str | None) -> str | None:
    return etag.replace(f'"{form}-', '"', 1) if etag and f'"{form}-' in etag else None


def page_file(package: DistributionPackage) -> PageFile:
    """Return what the gateway's page says of a file on the index's page."""
    return PageFile(
        url=package.url,
        hashes=package.digests,
        requires_python=package.requires_python,
        yanked=(package.yanked_reason or "") if package.is_yanked else None,
        metadata=(package.metadata_digests or {}) if package.has_metadata else None,
    )


# ---------------------------------------------------------------- serving


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


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
        page_server.close()


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
    try:
        if page := _PAGE.fullmatch(request.path):
            view, project, form = page.groups()
            _send(request, page_server.page(view, project, PageForm(form), request.headers.get("If-None-Match")))
        elif path := page_server.local_projects.paths.get(unquote(request.path)):
            _stream(request, {"Content-Length": str(path.stat().st_size)}, lambda: _read_file(path))
        elif (file := _FILE.fullmatch(request.path)) and not request.path.startswith(LOCAL_PATH):
            with page_server.open_file(*file.groups()) as response:
                _stream(request, {"Transfer-Encoding": "chunked"}, lambda: _chunked(response))
        else:
            _send(request, PageResponse(status=HTTPStatus.NOT_FOUND))
    except PageError as error:
        _send(request, PageResponse(status=error.status, body=f"{error}\n".encode()))


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


def _stream(request: BaseHTTPRequestHandler, headers: Mapping[str, str], parts: Callable[[], Iterator[bytes]]) -> None:
    request.send_response(HTTPStatus.OK)
    for name, value in {"Content-Type": "application/octet-stream", **headers}.items():
        request.send_header(name, value)
    request.end_headers()
    for part in parts():
        request.wfile.write(part)


def _read_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as opened:
        while chunk := opened.read(CHUNK):
            yield chunk


def _chunked(response: requests.Response) -> Iterator[bytes]:
    # Without the last chunk nginx knows that the file was cut off, and caches nothing of it.
    try:
        raw: Any = response.raw
        while chunk := raw.read1(CHUNK, decode_content=False):
            yield b"%x\r\n%b\r\n" % (len(chunk), chunk)
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        return
    yield b"0\r\n\r\n"
