"""Whose records this node merges. Trust is in keys: where a batch comes from does not matter, because it is signed.

A key is trusted, in this order, if it is this node's own; if the operator decided so, or else not if the operator
decided against it; if it is a peer's; if the list says so that PPP ships (`matrices/trusted-keys.txt`), which a fork
can edit. Nothing is merged from a node that is quarantined, whoever trusts it.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.peers import list_peers
from ppp.ledger.quarantines import quarantined
from ppp.ledger.trust_decisions import trust_decisions
from ppp.mesh.node import is_node_id
from ppp.model.errors import ConfigError
from ppp.resources import resource

TRUSTED_KEYS_NAME: Final = "matrices/trusted-keys.txt"
MAX_TRUSTED_KEYS_BYTES: Final = 1_000_000
_SHOWN: Final = 80


class TrustSource(StrEnum):
    """Why a key is trusted."""

    OWN = "this node"
    OPERATOR = "by ppp peer trust"
    PEER = "as a peer"
    SHIPPED = f"by {TRUSTED_KEYS_NAME}"


def read_trusted_keys(path: Path) -> frozenset[str]:
    """Return the keys in a list of trusted keys; raise `ConfigError` for the first line that is none."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_TRUSTED_KEYS_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="an empty file trusts nobody") from error
    if len(text) > MAX_TRUSTED_KEYS_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_TRUSTED_KEYS_BYTES:,} bytes", hint="remove what is no key")
    return frozenset(_keys(text.decode("utf-8", "replace").splitlines(), path))


def _keys(lines: Iterable[str], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        key = line.partition("#")[0].strip().lower()
        if is_node_id(key):
            yield key
        elif key:
            raise ConfigError(f"{path}, line {number}: {key[:_SHOWN]!r} is not a key", hint="a key is 64 hex digits")


def shipped_keys() -> frozenset[str]:
    """Return the keys in the list that PPP ships; raise `ConfigError` if it is malformed."""
    return read_trusted_keys(resource(TRUSTED_KEYS_NAME))


def trust_sources(db: Database, own: str, shipped: Iterable[str]) -> dict[str, TrustSource]:
    """Return all nodes that are trusted, with the first reason for it; also those in quarantine."""
    decisions = trust_decisions(db)
    sources = dict.fromkeys(sorted(shipped), TrustSource.SHIPPED)
    sources |= dict.fromkeys((peer.node for peer in list_peers(db)), TrustSource.PEER)
    sources |= dict.fromkeys((node for node, trusted in decisions.items() if trusted), TrustSource.OPERATOR)
    refused = {node for node, trusted in decisions.items() if not trusted}
    # This node trusts itself: after it lost its ledger, it gets its own batches back from peers.
    return {node: source for node, source in sources.items() if node not in refused} | {own: TrustSource.OWN}


def trusted_nodes(db: Database, own: str, shipped: Iterable[str]) -> frozenset[str]:
    """Return the nodes whose batches are merged: those that are trusted and not quarantined."""
    return frozenset(trust_sources(db, own, shipped).keys() - quarantined(db).keys())
