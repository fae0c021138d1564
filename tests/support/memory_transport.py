"""The fake of the mesh's network ports: web roots in memory. `tests/contract` runs the ports' tests on it too."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ppp.mesh.fetch import UnavailableFileError
from ppp.mesh.untrusted import reject
from ppp.model.errors import PeerError


@dataclass
class MemoryTransport:
    """Files by URL, the status with which each URL answers a POST, and what was requested and sent."""

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    connections: int = 0
    requested: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    @contextmanager
    def connect(self) -> Iterator["MemoryTransport"]:
        self.connections += 1
        yield self

    def get(self, url: str, *, max_bytes: int) -> bytes:
        self.requested.append(url)
        if url not in self.files:
            raise UnavailableFileError(f"{url} answered 404", hint="it does not exist")
        if len(self.files[url]) > max_bytes:
            reject(url, f"it is larger than {max_bytes:,} bytes")
        return self.files[url]

    def post(self, url: str, body: bytes) -> int:
        if url not in self.statuses:
            raise PeerError(f"{url} cannot be reached: nothing listens there", hint="it does not exist")
        self.sent.append((url, body))
        return self.statuses[url]
