"""Which releases a node or a shard checks: rendezvous hashing (the highest random weight), without a coordinator.

Each node weighs each release by a hash of both, and the `replicas` nodes with the highest weights check it. The key is
the release and not the cell, because a release's files are fetched once for all of its cells. A node that joins takes
releases from the others, and none moves between those.
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final

from ppp.model.queue_policy import ASKED_SOURCES, CHANGE_SOURCES

if TYPE_CHECKING:
    from hashlib import blake2b

MAX_SHARDS: Final = 999
_SHARD: Final = re.compile(r"([0-9]{1,3})/([0-9]{1,3})", re.ASCII)


class Elsewhere(StrEnum):
    """Who checks a queued cell that a run leaves to others: another node, or another shard of this one's share."""

    NODE = "node"
    SHARD = "shard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one of several nodes checks: each release is in the shares of `replicas` of them, or of all there are."""

    own: str
    nodes: tuple[str, ...]
    replicas: int = 1

    def __post_init__(self) -> None:
        """Raise `ValueError` if the shares would not be complete."""
        if len(set(self.nodes)) != len(self.nodes) or self.own not in self.nodes:
            raise ValueError(f"{self.own!r} is not among the nodes, or one is there twice: {', '.join(self.nodes)}")
        if self.replicas < 1:
            raise ValueError(f"{self.replicas} replicas: each release is checked by one node at least")

    def __call__(self, package: str, version: str) -> bool:
        """Return whether a release is in this share."""
        key = _key(package, version)
        own = (_weight(self.own, key), self.own)
        return sum((_weight(node, key), node) > own for node in self.nodes) < self.replicas

    def owners(self, package: str, version: str) -> list[str]:
        """Return the nodes that check a release, the one with the highest weight first."""
        return owners(self.nodes, package, version, replicas=self.replicas)

    @property
    def others(self) -> tuple[str, ...]:
        """The other nodes."""
        return tuple(node for node in self.nodes if node != self.own)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkShare:
    """What a run checks of its node's queue: a shard of what is in the node's share. None stands for all.

    What a person asked for is in every share. What this node has a verdict on, and is to check again because something
    has changed, no other node can do for it: to tell what changed takes two verdicts of one node.
    """

    node: Share | None = None
    shard: Share | None = None

    def __call__(self, package: str, version: str, source: str) -> bool:
        """Return whether a run checks a release that was queued by a source."""
        return self.elsewhere(package, version, source) is None

    def elsewhere(self, package: str, version: str, source: str) -> Elsewhere | None:
        """Return who a release is left to, None if it is in this share."""
        if source in ASKED_SOURCES:
            return None
        if self.node is not None and source not in CHANGE_SOURCES and not self.node(package, version):
            return Elsewhere.NODE
        if self.shard is not None and not self.shard(package, version):
            return Elsewhere.SHARD
        return None


def owners(nodes: Collection[str], package: str, version: str, *, replicas: int = 1) -> list[str]:
    """Return the `replicas` nodes that check a release, or all there are, the one with the highest weight first."""
    key = _key(package, version)
    return sorted(nodes, key=lambda node: (_weight(node, key), node), reverse=True)[:replicas]


def parse_shard(text: str) -> Share:
    """Return the share of a shard, such as `3/8`, counted from 1; raise `ValueError` if there is no such shard."""
    found = _SHARD.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise ValueError(f"{text[:20]!r} is no shard: 3/8 is the third of eight, of {MAX_SHARDS} at most")
    return Share(own=f"shard-{number}", nodes=tuple(f"shard-{one}" for one in range(1, count + 1)))


def _key(package: str, version: str) -> bytes:
    return f"{package}\0{version}".encode()


def _weight(node: str, key: bytes) -> bytes:
    keyed = _keyed(node).copy()
    keyed.update(key)
    return keyed.digest()


@cache
def _keyed(node: str) -> "blake2b":
    """Return the hash of a node before it is given a release: to begin one costs more than to go on with it."""
    return hashlib.blake2b(key=hashlib.sha256(node.encode()).digest(), digest_size=16)
