"""The fake behind the mesh's network ports: a handful of web roots in memory. `tests/contract` holds it to the port."""

from dataclasses import dataclass, field

from ppp.mesh.untrusted import refuse
from ppp.model.errors import PeerError


@dataclass
class MemoryTransport:
    """Files by address, the status each address answers a POST with, and what was asked for and sent."""

    files: dict[str, bytes] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    sent: list[tuple[str, bytes]] = field(default_factory=list)

    def get(self, url: str, *, max_bytes: int) -> bytes:
        self.asked.append(url)
        if url not in self.files:
            raise PeerError(f"{url} answered 404", hint="it is not there")
        if len(self.files[url]) > max_bytes:
            refuse(url, f"it is larger than {max_bytes:,} bytes")
        return self.files[url]

    def post(self, url: str, body: bytes) -> int:
        if url not in self.statuses:
            raise PeerError(f"{url} cannot be reached: nobody is there", hint="it is not there")
        self.sent.append((url, body))
        return self.statuses[url]
