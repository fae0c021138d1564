"""A package index for tests: an HTTP server in a thread that implements the simple API (PEP 503, PEP 691).

Any path can be given its own response: slow, broken or hostile.
"""

import hashlib
import html
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from projects import Project

JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
#: The reason of a file that is yanked without one of its own.
YANKED: Final = "withdrawn"
Responder = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """A file as the index lists it."""

    filename: str
    content: bytes
    sha256: str
    requires_python: str | None = None
    #: The reason, `""` for none.
    yanked: str | None = None
    #: The metadata file that is served beside it, and listed with its sha256.
    metadata: bytes | None = None
    #: The time of upload (PEP 700), listed on pages of JSON.
    uploaded: str | None = None


def reply(
    body: bytes | Iterable[bytes] = b"",
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    length: int | None = None,
) -> Responder:
    """Return a responder that sends a body, whole or in parts, with a Content-Length that may be wrong."""

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        promised = len(body) if isinstance(body, bytes) and length is None else length
        if promised is not None:
            request.send_header("Content-Length", str(promised))
        request.end_headers()
        for part in [body] if isinstance(body, bytes) else body:
            request.wfile.write(part)

    return send


class LocalIndex:
    """The server; use it as a context manager. `request_counts` counts requests by path."""

    def __init__(self, host: str = "127.0.0.1", *, json_pages: bool = False, authorization: str | None = None) -> None:
        """Listen on `host`; with `authorization`, every request without this header is answered with 401."""
        self._json_pages = json_pages
        self._authorization = authorization
        self._files: dict[str, list[ListedFile]] = {}
        self._statuses: dict[str, tuple[str, str]] = {}
        self._responders: dict[str, Responder] = {}
        self._lock = threading.Lock()
        self.request_counts: Counter[str] = Counter()
        self.request_headers: list[Mapping[str, str]] = []
        self._server = ThreadingHTTPServer((host, 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def host(self) -> str:
        """The host and port, as in a URL."""
        return "{}:{}".format(*self._server.server_address[:2])

    def url_of(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{self.host}{path}"

    @property
    def url(self) -> str:
        return self.url_of("/simple/")

    def add(self, *projects: Project) -> None:
        """List the distributions of these projects."""
        for project in projects:
            if project.status:
                self.set_status(project.name, project.status, project.status_reason)
            if not project.listed:
                self._files.setdefault(project.name, [])
                continue
            self.add_file(
                project.name,
                project.filename,
                project.build(),
                sha256=project.announced_sha256,
                requires_python=project.requires_python,
                yanked=project.yanked,
                metadata=project.index_metadata(),
            )

    def add_file(
        self,
        name: str,
        filename: str,
        content: bytes,
        *,
        sha256: str | None = None,
        requires_python: str | None = None,
        yanked: bool | str = False,
        metadata: bytes | None = None,
        uploaded: str | None = None,
    ) -> ListedFile:
        """List a file; `sha256` is what the index announces, by default the true one; `yanked` may be a reason."""
        listed = ListedFile(
            filename=filename,
            content=content,
            sha256=hashlib.sha256(content).hexdigest() if sha256 is None else sha256,
            requires_python=requires_python,
            yanked={True: YANKED, False: None}[yanked] if isinstance(yanked, bool) else yanked,
            metadata=metadata,
            uploaded=uploaded,
        )
        self._files.setdefault(name, []).append(listed)
        return listed

    def set_status(self, name: str, status: str, reason: str = "") -> None:
        """Set a project's status (PEP 792); its files stay."""
        self._files.setdefault(name, [])
        self._statuses[name] = (status, reason)

    def remove(self, name: str, filename: str | None = None) -> None:
        """Remove a file of a project, or the whole project."""
        if filename is None:
            del self._files[name]
        else:
            self._files[name] = [file for file in self._files[name] if file.filename != filename]

    def add_pip(self, wheel: Path) -> None:
        """List the pinned pip."""
        self.add_file("pip", wheel.name, wheel.read_bytes(), requires_python=">=3.9")

    def set_response(self, path: str, answer: Responder) -> str:
        """Set the response for a path; return its URL."""
        self._responders[path] = answer
        return self.url_of(path)

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        index = self

        class IndexHandler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with index._lock:
                    index.request_counts[self.path] += 1
                    index.request_headers.append(dict(self.headers))
                try:
                    index._respond(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return IndexHandler

    def _respond(self, request: BaseHTTPRequestHandler) -> None:
        if self._authorization and request.headers.get("Authorization") != self._authorization:
            reply(status=401, headers={"WWW-Authenticate": "Basic"})(request)
            return
        match request.path.strip("/").split("/"):
            case _ if request.path in self._responders:
                answer = self._responders[request.path]
            case ["simple", name] if name in self._files:
                answer = self._page(name)
            case ["files", name, filename]:
                files = self._files.get(name, [])
                content = {f"{file.filename}.metadata": file.metadata for file in files if file.metadata is not None}
                content |= {file.filename: file.content for file in files}
                answer = reply(content[filename]) if filename in content else reply(status=404)
            case _:
                answer = reply(status=404)
        answer(request)

    def _page(self, name: str) -> Responder:
        files, (status, reason) = self._files[name], self._statuses.get(name, ("", ""))
        if self._json_pages:
            rows = [
                {
                    "filename": file.filename,
                    "url": f"/files/{name}/{file.filename}",
                    "hashes": {"sha256": file.sha256} if file.sha256 else {},
                    "requires-python": file.requires_python,
                    "yanked": False if file.yanked is None else file.yanked or True,
                    "core-metadata": False if file.metadata is None else {"sha256": _sha256(file.metadata)},
                }
                | ({"upload-time": file.uploaded} if file.uploaded else {})
                for file in files
            ]
            page: dict[str, object] = {"meta": {"api-version": "1.4"}, "name": name, "files": rows}
            if status:
                page["project-status"] = {"status": status} | ({"reason": reason} if reason else {})
            return reply(json.dumps(page).encode(), headers={"Content-Type": JSON_TYPE})
        links = "".join(f"<a {_link_attributes(name, file)}>{file.filename}</a><br>\n" for file in files)
        facts = {"pypi:project-status": status, "pypi:project-status-reason": reason}
        head = "".join(f'<meta name="{key}" content="{html.escape(value)}">' for key, value in facts.items() if value)
        text = f"<!DOCTYPE html>\n<html><head>{head}</head><body>\n{links}</body></html>\n"
        return reply(text.encode(), headers={"Content-Type": "text/html"})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _link_attributes(name: str, file: ListedFile) -> str:
    fragment = f"#sha256={file.sha256}" if file.sha256 else ""
    given = {"href": f"/files/{name}/{file.filename}{fragment}"}
    given |= {"data-requires-python": file.requires_python} if file.requires_python else {}
    given |= {} if file.yanked is None else {"data-yanked": file.yanked}
    given |= {} if file.metadata is None else {"data-core-metadata": f"sha256={_sha256(file.metadata)}"}
    return " ".join(f'{key}="{html.escape(value)}"' for key, value in given.items())
