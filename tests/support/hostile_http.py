"""HTTP servers that never end, or send without limit: each is a function that is given a connection and talks on it.

A server ends as soon as its client does, or its `over` event is set.
"""

import gzip
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

Talk = Callable[[socket.socket, threading.Event], None]

OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CERTIFICATE: Final = Path(__file__).with_name("tls") / "lasting.pem"
#: How long a server waits between two parts: shorter than any timeout between two reads.
PAUSE_S: Final = 0.02


def drip(start: bytes, part: bytes) -> Talk:
    """Return a server that sends `start` at once, and then `part` again and again, a bit at a time."""

    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.wait(PAUSE_S):
            connection.sendall(part)

    return talk


def flood(start: bytes, part: bytes) -> Talk:
    """Return a server that sends `start`, and then `part` again and again, as fast as it can."""
    parts = part * (1 + 65_536 // len(part))

    def talk(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(start)
        while not over.is_set():
            connection.sendall(parts)

    return talk


def once(response: bytes) -> Talk:
    """Return a server that sends one response."""
    return lambda connection, _: connection.sendall(response)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a response with a body."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def silence(_: socket.socket, over: threading.Event) -> None:
    """Send nothing at all."""
    over.wait(30)


def drip_redirects(connection: socket.socket, over: threading.Event) -> None:
    """Redirect to the same place; each response arrives in time, but slowly."""
    for byte in b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n":
        connection.sendall(bytes([byte]))
        if over.wait(PAUSE_S / 4):
            return


def drip_handshake(connection: socket.socket, over: threading.Event) -> None:
    """Begin a TLS handshake: the header of a long record, and its content a byte at a time."""
    drip(b"\x16\x03\x03\x40\x00", b"\x02")(connection, over)


def drip_over_tls(connection: socket.socket, over: threading.Event, certificate: Path = CERTIFICATE) -> None:
    """Complete a TLS handshake, and then send a header line a byte at a time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with context.wrap_socket(connection, server_side=True) as secure:
        read_request(secure)
        drip(OK + b"X-Long: ", b"x")(secure, over)


def bomb(size: int) -> bytes:
    """Return a gzip stream that unpacks to `size` bytes."""
    return gzip.compress(bytes(size), 9)


def endless_bomb(part: bytes, times: int) -> bytes:
    """Return the beginning of a gzip stream that unpacks to a part many times; the part is compressed only once."""
    stream = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # After a full flush nothing refers to what was before, so the compressed part can be repeated.
    compressed = stream.compress(part) + stream.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + compressed * times


#: Servers that hold a client for ever unless its deadline covers what they do. Those in `TLS_DRIPS` speak TLS.
DRIPS: Final[Mapping[str, Talk]] = {
    "silence": silence,
    "status-line": drip(b"", b"H"),
    "header-line": drip(OK + b"X-Long: ", b"x"),
    "header-lines": drip(OK, b"X-More: 1\r\n"),
    "continue": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early-hints": drip(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"),
    "body": drip(OK + b"Content-Length: 100000\r\n\r\n", b"x"),
    "unsized-body": drip(OK + b"\r\n", b"x"),
    "chunks": drip(CHUNKED, b"1\r\nx\r\n"),
    "chunk-size": drip(CHUNKED, b"0"),
    "chunk-extension": drip(CHUNKED + b"1;a=", b"b"),
    "trailer-line": drip(CHUNKED + b"0\r\nX-Trailer: ", b"x"),
    "trailers": drip(CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n"),
    "error-page": drip(b"HTTP/1.1 500 Failure\r\nX-Long: ", b"x"),
    "redirects": drip_redirects,
    "redirect-body": drip(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nX-Long: ", b"x"),
}
TLS_DRIPS: Final[Mapping[str, Talk]] = {"handshake": drip_handshake, "over-tls": drip_over_tls}
#: Servers that send without limit what a client must not store, or not go on reading.
FLOODS: Final[Mapping[str, Talk]] = {
    "status-line": flood(b"", b"H"),
    "header-line": flood(OK + b"X-Long: ", b"x"),
    "header-lines": flood(OK, b"X-More: 1\r\n"),
    "folded-header": flood(OK + b"X-Long: 1\r\n", b" and more\r\n"),
    "continue": flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continue-with-headers": flood(b"", b"HTTP/1.1 100 Continue\r\nX-More: 1\r\n\r\n"),
    "body": flood(OK + b"\r\n", b"x"),
    "chunks": flood(CHUNKED, b"1\r\nx\r\n"),
    "chunk-size": flood(CHUNKED, b"0"),
    "chunk-extension": flood(CHUNKED + b"1;a=", b"b"),
    "chunk-extensions": flood(CHUNKED, b"1;a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\nx\r\n"),
    "trailer-line": flood(CHUNKED + b"0\r\nX-Trailer: ", b"x"),
    "trailers": flood(CHUNKED + b"0\r\n", b"X-Trailer: 1\r\n"),
}


@contextmanager
def hostile_server(
    talk: Talk, *, tls: bool = False, reads_request: bool = True, host: str = "127.0.0.1"
) -> Iterator[str]:
    """Serve on loopback as `talk` says, and yield the URL of the web root; all of it has ended at the end."""
    over = threading.Event()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listening:
        listening.settimeout(PAUSE_S)
        thread = threading.Thread(target=_accept, args=(listening, talk, over, reads_request and not tls))
        thread.start()
        try:
            shown = f"[{host}]" if ":" in host else host
            yield f"http{'s' if tls else ''}://{shown}:{listening.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def _accept(listening: socket.socket, talk: Talk, over: threading.Event, reads_request: bool) -> None:  # noqa: FBT001
    connections: list[threading.Thread] = []
    while not over.is_set():
        with suppress(TimeoutError):
            connection, _ = listening.accept()
            thread = threading.Thread(target=_serve, args=(connection, talk, over, reads_request))
            thread.start()
            connections.append(thread)
    for thread in connections:
        thread.join()


def _serve(connection: socket.socket, talk: Talk, over: threading.Event, reads_request: bool) -> None:  # noqa: FBT001
    # A client that has enough closes its connection, as it should; the timeout ends a flood that nobody reads.
    with connection, suppress(OSError):
        connection.settimeout(5)
        if reads_request:
            read_request(connection)
        talk(connection, over)


def read_request(connection: socket.socket) -> bool:
    """Read a request with its body, which may come apart from its headers; return whether the client sent anything."""
    request, size = b"", None
    while size is None or len(request) < size:
        if not (received := connection.recv(65_536)):
            break
        request += received
        if size is None and (head := request.find(b"\r\n\r\n") + 4) > 3:
            length = re.search(rb"\r\ncontent-length: *(\d+)\r\n", request[:head], re.IGNORECASE)
            size = head + (int(length[1]) if length else 0)
    return bool(request)


@contextmanager
def silent_port() -> Iterator[str]:
    """Yield the URL of a port on which a connection is never completed, because its queue is full."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for client in waiting:
                client.settimeout(0)
                client.connect_ex(listening.getsockname())
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            for client in waiting:
                client.close()


class _Files(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Seconds without a request after which a connection ends: the server waits for all of them before it closes.
    timeout = 5.0
    server: "_FileServer"

    def do_GET(self) -> None:
        time.sleep(self.server.delay_s)
        content = self.server.files.get(self.server.root + self.path[1:])
        self.send_response(404 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class _FileServer(ThreadingHTTPServer):
    daemon_threads = False
    root: str

    def __init__(self, files: Mapping[str, bytes], delay_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Files)
        self.files, self.delay_s = files, delay_s
        self.root = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        """Log nothing about clients that close their connection."""


@contextmanager
def file_server(files: Mapping[str, bytes], *, delay_s: float = 0.0) -> Iterator[str]:
    """Serve files, given by URL, each `delay_s` after its request; yield the URL of the web root."""
    with _FileServer(files, delay_s) as server:
        thread = threading.Thread(target=server.serve_forever, args=(PAUSE_S,))
        thread.start()
        try:
            yield server.root
        finally:
            server.shutdown()
            thread.join()
