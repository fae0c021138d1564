"""A network namespace with nothing but loopback, in which commands run and servers record what they are asked for.

`OfflineNetwork` starts this file as a program inside the namespace, by bubblewrap, and sends it lines of JSON. Each
recorder listens on a fixed port and passes requests on to a server behind it: a recorder can also claim another media
type for what the server sends.
"""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

NAMESPACE: Final = ("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--die-with-parent")
#: What a request may pass on, and what its response may.
_SENT: Final = ("Accept", "Range", "If-None-Match", "If-Modified-Since")
_RECEIVED: Final = ("Content-Type", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified", "Location", "Vary")
_START_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as a recorder saw it: its path, the status it was answered with, and the response's media type."""

    method: str
    path: str
    status: int
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended: its exit code, and all of its output."""

    code: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineServer:
    """A server's command and port, the port of the recorder before it, and a media type that this claims for JSON."""

    command: Sequence[str]
    port: int
    recorder: int
    claimed_type: str | None = None


class OfflineNetwork:
    """The namespace; use it as a context manager."""

    def __init__(self, servers: Sequence[OfflineServer], environ: Mapping[str, str]) -> None:
        """Start the servers in the namespace, with these variables."""
        started = json.dumps([asdict(server) for server in servers])
        command = [*NAMESPACE, sys.executable, "-I", __file__, started]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**environ}
        )

    def __enter__(self) -> Self:
        """Return the namespace, once all servers listen."""
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        """End the servers."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def run(self, command: Sequence[str], *, environ: Mapping[str, str], folder: Path) -> Ended:
        """Run a command in the namespace to its end."""
        answer = self._ask({"command": [*command], "environ": {**environ}, "folder": str(folder)})
        return Ended(code=answer["code"], output=answer["output"])

    def take_requests(self) -> list[SeenRequest]:
        """Return what all recorders saw since the last call."""
        return [SeenRequest(**row) for row in self._ask({"requests": True})]

    def _ask(self, question: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the namespace has ended"
        return json.loads(line)


# ---------------------------------------------------------------- inside the namespace


class _Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, server: Mapping[str, Any], seen: list[SeenRequest]) -> None:
        super().__init__(("127.0.0.1", server["recorder"]), _Handler)
        self.port: int = server["port"]
        self.claimed_type: str | None = server["claimed_type"]
        self.seen = seen


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Pass a request on, and the response back."""
        recorder = self.server
        assert isinstance(recorder, _Recorder)
        connection = http.client.HTTPConnection("127.0.0.1", recorder.port)
        headers = {name: value for name in _SENT if (value := self.headers.get(name))}
        connection.request(self.command, self.path, headers={**headers, "Host": self.headers["Host"]})
        response = connection.getresponse()
        body = response.read()
        received = {name: value for name in _RECEIVED if (value := response.headers.get(name))}
        if recorder.claimed_type and "json" in received.get("Content-Type", ""):
            received["Content-Type"] = recorder.claimed_type
        recorder.seen.append(
            SeenRequest(
                method=self.command,
                path=self.path,
                status=response.status,
                media_type=received.get("Content-Type", "").partition(";")[0],
            )
        )
        self.send_response(response.status)
        for name, value in received.items():
            self.send_header(name, value)
        is_head = self.command == "HEAD"
        self.send_header("Content-Length", response.headers["Content-Length"] if is_head else str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        connection.close()

    do_HEAD = do_GET  # noqa: N815 - the name that http.server calls

    def log_message(self, *_: object) -> None:
        """Write nothing to standard error."""


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


@contextmanager
def _running(servers: Sequence[Mapping[str, Any]], seen: list[SeenRequest]) -> Iterator[None]:
    commands = {server["port"]: server["command"] for server in servers}
    processes = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands.values()
    ]
    try:
        for port in commands:
            _wait_for(port)
        for server in servers:
            threading.Thread(target=_Recorder(server, seen).serve_forever, daemon=True).start()
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def _tell(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _serve() -> None:
    seen: list[SeenRequest] = []
    with _running(json.loads(sys.argv[1]), seen):
        _tell("ready")
        for line in sys.stdin:
            question = json.loads(line)
            answer: Any
            if "command" in question:
                done = subprocess.run(
                    question["command"],
                    env=question["environ"],
                    cwd=question["folder"],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    errors="replace",
                    check=False,
                )
                answer = {"code": done.returncode, "output": done.stdout}
            else:
                answer = [asdict(request) for request in seen]
                seen.clear()
            _tell(answer)


if __name__ == "__main__":
    _serve()
