"""Which releases a node or a shard checks: rendezvous hashing (the highest random weight), without a coordinator.

Each node weighs each release by a hash of both, and the `replicas` nodes with the highest weights check it. The key is
the release and not the cell, because a release's files are fetched once for all of its cells. A node that joins takes
releases from the others, and none moves between those.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

MAX_SHARDS: Final = 999
_SHARD: Final = re.compile(r"([0-9]{1,3})/([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one of several nodes checks: each release is in the shares of exactly `replicas` of them."""

    own: str
    nodes: tuple[str, ...]
    replicas: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` if the shares would not be complete."""
        if len(set(self.nodes)) != len(self.nodes) or self.own not in self.nodes:
            raise ValueError(f"{self.own!r} is not among the nodes, or one is there twice: {', '.join(self.nodes)}")
        if not 1 <= self.replicas <= len(self.nodes):
            raise ValueError(f"{self.replicas} replicas need as many nodes, but there are {len(self.nodes)}")

    def __call__(self, package: str, version: str) -> bool:
        """Return whether a release is in this share."""
        return self.own in owners(self.nodes, package, version, replicas=self.replicas)


def owners(nodes: Collection[str], package: str, version: str, *, replicas: int = 1) -> list[str]:
    """Return the `replicas` nodes that check a release, the one with the highest weight first."""
    key = f"{package}\0{version}".encode()
    return sorted(nodes, key=lambda node: (_weight(node, key), node), reverse=True)[:replicas]


def parse_shard(text: str) -> Share:
    """Return the share of a shard, such as `3/8`, counted from 1; raise `ValueError` if there is no such shard."""
    found = _SHARD.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f"{text[:20]!r} is no shard: 3/8 is the third of eight, of {MAX_SHARDS} at most")
    return Share(own=f"shard-{number}", nodes=tuple(f"shard-{one}" for one in range(1, count + 1)))


def _weight(node: str, key: bytes) -> bytes:
    return hashlib.blake2b(key, key=hashlib.sha256(node.encode()).digest(), digest_size=16).digest()
