"""A gateway to a local index, and requests to it as cells send them."""

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_index import LocalIndex

from ppp.check.gateway.gateway import Gateway, run_gateway
from ppp.check.index.client import SimpleIndex
from ppp.model.credentials import split_credentials

AGENT = "the-pypi-place/tests"


def index_client(url: str, cache: Path) -> SimpleIndex:
    """Return a client of an index, whose URL may contain credentials."""
    bare, credentials = split_credentials(url)
    return SimpleIndex(bare, cache=cache, user_agent=AGENT, credentials=credentials)


@contextmanager
def gateway_to(index: LocalIndex | str, folder: Path, **options: Any) -> Iterator[Gateway]:
    """Yield a gateway to an index, whose caches are in a folder."""
    url = index if isinstance(index, str) else index.url
    settings = {"environ": os.environ} | options
    with run_gateway(index_client(url, folder / "stored"), cache=folder / "gateway", **settings) as running:
        yield running


class SocketConnection(http.client.HTTPConnection):
    """A connection through a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, where: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    """Ask as a cell would; raise `RemoteDisconnected` where the gateway hangs up, as it does where the index fails."""
    connection = SocketConnection(path)
    try:
        connection.request(method, where, body=body, headers={"Accept": "text/html"} | headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
