"""An index's journal on loopback that answers as Warehouse does: changelog, simple index in JSON, and release feed.

Its state is a list of events; `answers` are given in place of the next ones, so that a test can have any fault.
"""

import hashlib
import json
import random
import threading
import xmlrpc.client
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat
from typing import Any, Final
from xml.sax.saxutils import escape

#: The model's time at its beginning, in epoch seconds.
AT: Final = 1_715_000_000
#: The most rows of a call, and the releases of a feed, as Warehouse has them.
MAX_ROWS: Final = 50_000
FEED_RELEASES: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class LongBody:
    """A body of any length that nobody holds: `start`, and then a piece so many times."""

    start: bytes
    piece: bytes
    times: int

    def __len__(self) -> int:
        """Return its length in bytes."""
        return len(self.start) + len(self.piece) * self.times

    def __iter__(self) -> Iterator[bytes]:
        """Yield it piece by piece."""
        yield self.start
        yield from repeat(self.piece, self.times)


Answer = tuple[int, dict[str, str], bytes | LongBody]
#: Name, version, time, action, serial.
Event = tuple[str, str | None, int, str, int]
JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"


@dataclass(slots=True)
class Warehouse:
    """The model: every event so far, and answers that come before the true ones."""

    events: list[Event] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)
    #: How many of the newest events the pages of the simple index do not show yet.
    lag: int = 0
    url: str = ""

    @property
    def serial(self) -> int:
        """The serial of the newest event."""
        return self.events[-1][4] if self.events else 0

    @property
    def releases(self) -> list[tuple[str, str]]:
        """Every release, in the order of their events."""
        return [(name, version) for name, version, _, action, _ in self.events if version and action == "new release"]

    @property
    def settings(self) -> dict[str, str]:
        """The settings with which a node follows this index."""
        return {
            "PPP_JOURNAL_URL": f"{self.url}/pypi",
            "PPP_INDEX_URL": f"{self.url}/simple/",
            "PPP_FEED_URL": f"{self.url}/rss/updates.xml",
        }

    def add(self, name: str, version: str | None, action: str, *, at: int) -> None:
        """Append an event."""
        self.events.append((name, version, at, action, self.serial + 1))

    def release(self, name: str, version: str, *, at: int) -> None:
        """Append a release with one file: two events."""
        self.add(name, version, "new release", at=at)
        self.add(name, version, f"add source file {name}-{version}.tar.gz", at=at)

    def generate(self, events: int, *, seed: int = 0) -> None:
        """Append so many events of releases, files and what else happens, the same ones for a seed."""
        dice, end, at = random.Random(seed), len(self.events) + events, AT
        count = 0
        while len(self.events) < end - 1:
            at += dice.randint(1, 60)
            name, version = f"project-{dice.randrange(events // 8)}", f"{count}.{dice.randrange(9)}"
            self.release(name, version, at=at)
            if dice.random() < 0.1 and len(self.events) < end - 1:
                self.add(name, None, "add Owner someone", at=at)
            count += 1
        if len(self.events) < end:
            self.add("project-0", None, "docupdate", at=at)

    def changelog(self, method: str, arguments: tuple[Any, ...]) -> Any:
        """Answer a call."""
        match method, arguments:
            case "changelog_last_serial", ():
                return self.serial
            case "changelog_since_serial", (int(serial),):
                return [event for event in self.events if event[4] > serial][:MAX_ROWS]
        return xmlrpc.client.Fault(-32601, f"server error; requested method not found: {method}")

    def feed(self) -> bytes:
        """Return the newest releases, newest first."""
        newest = [event for event in self.events if event[3] == "new release"][-FEED_RELEASES:]
        items = "".join(
            f"<item><title>{escape(f'{name} {version}')}</title><link>{self.url}/project/{name}/{version}/</link>"
            f"<pubDate>{format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)}</pubDate></item>"
            for name, version, at, _, _ in reversed(newest)
        )
        return f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>{items}</channel></rss>'.encode()

    def index(self) -> dict[str, Any]:
        """Return the whole simple index."""
        serials = {name: serial for name, _, _, _, serial in self.events}
        listed = [{"name": name, "_last-serial": serial} for name, serial in serials.items()]
        return {"meta": {"_last-serial": self.serial, "api-version": "1.3"}, "projects": listed}

    def project(self, wanted: str) -> dict[str, Any] | None:
        """Return a project's page, None if there is no such project."""
        shown = self.events[: len(self.events) - self.lag]
        events = [event for event in shown if event[0] == wanted]
        if not any(event[0] == wanted for event in self.events):
            return None
        yanked = {version for _, version, _, action, _ in events if action == "yank release"}
        files = [
            {
                "filename": action.rpartition(" ")[2],
                "upload-time": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "hashes": {"sha256": hashlib.sha256(action.encode()).hexdigest()},
                "size": 1,
                "yanked": version in yanked,
                "url": f"{self.url}/files/{action.rpartition(' ')[2]}",
            }
            for _, version, at, action, _ in events
            if action.startswith("add source file ")
        ]
        serial = events[-1][4] if events else 0
        return {"meta": {"_last-serial": serial, "api-version": "1.3"}, "name": wanted, "files": files}

    def answer(self, method: str, path: str, body: bytes, etag: str | None) -> Answer:
        """Answer a request."""
        if self.answers:
            return self.answers.popleft()
        if method == "POST":
            arguments, name = xmlrpc.client.loads(body)
            value = self.changelog(name or "", arguments)
            given = value if isinstance(value, xmlrpc.client.Fault) else (value,)
            text = xmlrpc.client.dumps(given, methodresponse=True, allow_none=True)
            return 200, {"Content-Type": "text/xml"}, text.encode()
        if path == "/rss/updates.xml":
            return _with_etag(self.feed(), etag, {"Content-Type": "text/xml"})
        page = self.index() if path == "/simple/" else self.project(path.removeprefix("/simple/").rstrip("/"))
        if page is None:
            return 404, {}, b"404 Not Found"
        headers = {"Content-Type": JSON_TYPE, "X-PyPI-Last-Serial": str(page["meta"]["_last-serial"])}
        return _with_etag(json.dumps(page).encode(), etag, headers)


def fault(text: str) -> Answer:
    """Return a fault of the server's own, such as `HTTPTooManyRequests: ...`."""
    body = xmlrpc.client.dumps(xmlrpc.client.Fault(-32500, text), methodresponse=True)
    return 200, {"Content-Type": "text/xml"}, body.encode()


def _with_etag(body: bytes, asked: str | None, headers: dict[str, str]) -> Answer:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return (304, {"ETag": etag}, b"") if asked == etag else (200, headers | {"ETag": etag}, body)


def _handler(warehouse: Warehouse) -> type[BaseHTTPRequestHandler]:
    class WarehouseHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, headers, answer = warehouse.answer(self.command, self.path, body, self.headers["If-None-Match"])
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            # Who asked may have had enough of it.
            with suppress(ConnectionError):
                for piece in (answer,) if isinstance(answer, bytes) else answer:
                    self.wfile.write(piece)

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    return WarehouseHandler


@contextmanager
def served(warehouse: Warehouse) -> Iterator[Warehouse]:
    """Yield an index while it is served on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(warehouse)) as server:
        warehouse.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield warehouse
        finally:
            server.shutdown()
            thread.join()
