"""Serve `public/` to everybody, and accept announcements: a trusted node's statement at `/announce` starts a fetch.

No data of an announcement is used. Whoever sends one can at most cause a fetch from a trusted peer, at a limited rate.
"""

import asyncio
import logging
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path, PurePath
from typing import Final

from prometheus_client import CollectorRegistry, make_asgi_app
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan, Receive, Scope, Send

from ppp.episode_audio import AUDIO_FILES, CHAPTERS
from ppp.mesh.push import ANNOUNCE_PATH
from ppp.mesh.statement import MAX_STATEMENT_BYTES, authenticate, read_envelope
from ppp.model.errors import LedgerBusyError, PPPError, PublishError, RejectedDataError
from ppp.model.printable import printable_reason
from ppp.model.simple_index import HTML_TYPE, JSON_NAME, JSON_TYPE, SIMPLE_FOLDER
from ppp.web_server import STOP_GRACE_S

#: How often, at most, the announcements of one peer cause a fetch; and how long the body of one may take to arrive.
ANNOUNCE_INTERVAL_S: Final = 60.0
BODY_TIMEOUT_S: Final = 5.0
#: For how long metrics are served before they are read anew: anybody may ask, and reading counts the queue.
METRICS_INTERVAL_S: Final = 15.0

#: Explicit, because the system's own table of types differs between machines.
MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".db": "application/vnd.sqlite3",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".sha256": "text/plain; charset=utf-8",
    ".sig": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
    PurePath(JSON_NAME).suffix: JSON_TYPE,
    ".wasm": "application/wasm",
    ".xml": "application/xml",
}

#: Files whose media type is not that of their suffix.
NAMED_TYPES: Final = {CHAPTERS: AUDIO_FILES[CHAPTERS]}

#: A weight in a header Accept, and how many of its media types are read.
_QUALITY: Final = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)
_MEDIA_RANGES: Final = 20

_log = logging.getLogger(__name__)


def create_app(
    public: Path,
    *,
    trusted: Callable[[], Container[str]],
    on_announce: Callable[[str], None],
    problems: Callable[[], Sequence[str]] = tuple,
    metrics: Callable[[], CollectorRegistry] = CollectorRegistry,
    interval_s: float = ANNOUNCE_INTERVAL_S,
    body_timeout_s: float = BODY_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the web application for a web root.

    `trusted` returns the ids of the peers, and is called for each announcement. `on_announce` gets the id of a node
    that announced something, and fetches from it; it is called in one thread, at most once per node in `interval_s`
    seconds. `problems` says what is wrong with this node: `/healthz` answers 503 with that, or 200 if nothing is.
    `metrics` returns what `/metrics` exposes; it is called at most once in `METRICS_INTERVAL_S` seconds.
    Raises `PublishError` if there is no web root.
    """
    if not public.is_dir():
        raise PublishError(f"there is nothing to serve at {public}", hint="publish first")
    queue = AnnouncementQueue(on_announce, interval_s=interval_s, clock=clock)

    async def announce(request: Request) -> Response:
        try:
            async with asyncio.timeout(body_timeout_s):
                body = await _body(request)
        except TimeoutError:
            return _answer(HTTPStatus.REQUEST_TIMEOUT, f"no statement within {body_timeout_s:g} seconds")
        if body is None:
            return _answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_STATEMENT_BYTES} bytes")
        return await _announce(body, trusted=trusted, queue=queue)

    async def healthz(_: Request) -> Response:
        return _health_answer(await run_in_threadpool(problems))

    routes = [
        Route(f"/{ANNOUNCE_PATH}", announce, methods=["POST"]),
        Route("/healthz", healthz, methods=["GET"]),
        Route("/metrics", Metrics(metrics, clock=clock), methods=["GET"]),
        Mount("/", PublicFiles(directory=public, html=True)),
    ]
    return Starlette(routes=routes, lifespan=_fetching(queue))


def _fetching(queue: "AnnouncementQueue") -> Lifespan[Starlette]:
    """Return the lifespan of an application in which a thread fetches what is announced."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        thread = threading.Thread(target=queue.work, name="announcements", daemon=True)
        thread.start()
        yield
        queue.close()
        # A fetch that is still running then may be aborted: each batch is merged completely or not at all.
        await run_in_threadpool(thread.join, STOP_GRACE_S)

    return lifespan


async def _body(request: Request) -> bytes | None:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_STATEMENT_BYTES:
            return None
    return bytes(body)


async def _announce(body: bytes, *, trusted: Callable[[], Container[str]], queue: "AnnouncementQueue") -> Response:
    try:
        envelope = read_envelope(body)
    except RejectedDataError as error:
        return _answer(HTTPStatus.BAD_REQUEST, error.message)
    node = envelope.statement.node
    # In a thread, because it reads the ledger, which may be locked for a moment.
    if node not in await run_in_threadpool(trusted):
        told = f"node {node} is no peer of this one; the operator changes that with `ppp peer add URL --key {node}`"
        return _answer(HTTPStatus.FORBIDDEN, told)
    try:
        statement = authenticate(envelope, trusted={node})
    except RejectedDataError as error:
        return _answer(HTTPStatus.FORBIDDEN, error.message)
    queue.add(statement.node)
    return _answer(HTTPStatus.ACCEPTED, "it will be fetched")


def _health_answer(problems: Sequence[str]) -> Response:
    status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
    response = _answer(status, "; ".join(problems) or "ok")
    response.headers["Cache-Control"] = "no-store"
    return response


def _answer(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(
        f"{printable_reason(text)}\n", status_code=status, headers={"X-Content-Type-Options": "nosniff"}
    )


class Metrics:
    """An ASGI application that exposes metrics of Prometheus by its own library."""

    def __init__(self, read: Callable[[], CollectorRegistry], *, clock: Callable[[], float]) -> None:
        """Keep the function that reads the metrics, which may take a moment."""
        self._read = read
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: CollectorRegistry | None = None
        self._read_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with the metrics, or with 503 if they cannot be read now."""
        try:
            registry = await self._registry()
        except PPPError:
            # Which file cannot be read is nobody's business but the operator's: `ppp health` says it.
            await _answer(HTTPStatus.SERVICE_UNAVAILABLE, "no metrics now")(scope, receive, send)
            return
        try:
            await make_asgi_app(registry)(scope, receive, send)
        except UnicodeDecodeError:
            await _answer(HTTPStatus.BAD_REQUEST, "the request is not UTF-8")(scope, receive, send)

    async def _registry(self) -> CollectorRegistry:
        # One thread reads, however many ask.
        async with self._lock:
            if self._found is None or self._clock() - self._read_at >= METRICS_INTERVAL_S:
                self._found = await run_in_threadpool(self._read)
                self._read_at = self._clock()
            return self._found


class PublicFiles(StaticFiles):
    """The web root; each file is served with the media type of its suffix.

    A folder of a simple index is served as JSON to clients that prefer it (PEP 691), else as its page.
    """

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return the response to a request for a path within the web root."""
        if "\0" in path:
            # No file has such a name; older versions of Starlette raise the system's `ValueError`.
            raise HTTPException(HTTPStatus.NOT_FOUND)
        if PurePath(path).parts[:1] != (SIMPLE_FOLDER,) or not scope["path"].endswith("/"):
            return await super().get_response(path, scope)
        response = await self._json_response(path, scope) or await super().get_response(path, scope)
        response.headers["Vary"] = "Accept"
        return response

    async def _json_response(self, path: str, scope: Scope) -> Response | None:
        if not prefers_json(Headers(scope=scope).get("accept", "")):
            return None
        try:
            response = await super().get_response(f"{path}/{JSON_NAME}", scope)
        except HTTPException:
            return None
        return None if response.status_code == HTTPStatus.NOT_FOUND else response

    def file_response(
        self, full_path: "str | os.PathLike[str]", stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the response with a file, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["X-Content-Type-Options"] = "nosniff"
        path = PurePath(full_path)
        media_type = NAMED_TYPES.get(path.name, MEDIA_TYPES.get(path.suffix))
        if media_type and "content-type" in response.headers:
            response.headers["content-type"] = media_type
        return response


def prefers_json(accept: str) -> bool:
    """Return whether a client that sent this header Accept would rather have a simple index as JSON than as HTML."""
    wanted = dict(_media_range(part) for part in accept.lower().split(",")[:_MEDIA_RANGES])
    return wanted.get(JSON_TYPE, 0) > max(wanted.get(HTML_TYPE, 0), wanted.get("text/html", 0))


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (word.strip() for word in part.split(";"))
    quality = next((value for word in parameters if (value := word.removeprefix("q=")) != word), "1")
    return name, float(quality) if _QUALITY.fullmatch(quality) else 0.0


class AnnouncementQueue:
    """The nodes that announced something. They are fetched one after the other, each at most once per interval.

    An announcement during the interval is not lost: one fetch at its end finds everything.
    """

    def __init__(self, fetch: Callable[[str], None], *, interval_s: float, clock: Callable[[], float]) -> None:
        """Keep the function that fetches from a node; `interval_s` is in seconds."""
        self._fetch = fetch
        self._interval_s = interval_s
        self._clock = clock
        self._changed = threading.Condition()
        self._due: dict[str, float] = {}
        self._fetched: dict[str, float] = {}
        self._closed = False

    def add(self, node: str) -> None:
        """Schedule a fetch from a node for the end of its interval."""
        with self._changed:
            earliest = self._clock()
            if node in self._fetched:
                # Not dropped but postponed: the announced news may be newer than the last fetch.
                earliest = max(earliest, self._fetched[node] + self._interval_s)
            self._due.setdefault(node, earliest)
            self._changed.notify()

    def close(self) -> None:
        """Make `work` return after the current fetch."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def work(self) -> None:
        """Fetch from each node when it is due, until closed; log failures, and try again if the ledger is busy."""
        while (node := self._next()) is not None:
            try:
                self._fetch(node)
            except LedgerBusyError:
                # Another command of this node is running; the peer still has its news afterwards.
                self.add(node)
            except PPPError as error:
                _log.warning("the fetch announced by %s failed: %s", node, error)
            except Exception:  # noqa: BLE001 - logged with its traceback
                # A bug in one fetch must not stop the thread that serves all announcements.
                _log.exception("fetching from %s failed", node)

    def _next(self) -> str | None:
        with self._changed:
            while not self._closed:
                node = min(self._due, key=self._due.__getitem__, default=None)
                if node is None:
                    self._changed.wait()
                elif (wait_s := self._due[node] - self._clock()) > 0:
                    self._changed.wait(wait_s)
                else:
                    del self._due[node]
                    self._fetched[node] = self._clock()
                    return node
        return None
