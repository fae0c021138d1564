"""Pinning: a person names a node's key and where it publishes, and nothing else makes a node trusted."""

from typing import Final
from urllib.parse import urlsplit

from ppp.ledger.peers import Peer, add_peer, delete_peer, list_peers
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey, is_node_id
from ppp.model.errors import PeerError

MAX_URL_LENGTH: Final = 500
_URL_HINT: Final = "give the address of a web root, as in https://node.example/ or http://[200:1:2::3]:8080/"


def add(store: Store, key: NodeKey, url: str, node: str, *, now: int) -> Peer:
    """Pin a node (64 hex digits) at an http(s) address; raise `PeerError` for a bad, an own or a doubled one."""
    peer = Peer(node=parse_node_id(node), url=parse_url(url), added_at=now)
    if peer.node == key.id:
        raise PeerError("that is this node's own key", hint="give the peer's, as its `ppp node show` prints it")
    for held in list_peers(store.db):
        if peer.node == held.node:
            raise PeerError(f"node {peer.node} is a peer already, at {held.url}", hint="remove it first to move it")
        if peer.url == held.url:
            raise PeerError(f"{peer.url} is the peer {held.node} already", hint="remove it first to pin another key")
    add_peer(store, peer)
    return peer


def remove(store: Store, which: str) -> Peer:
    """Unpin the peer with a key or an address; raise `PeerError` if there is none. What came from it stays."""
    peer = find_peer(store, which)
    delete_peer(store, peer.node)
    return peer


def find_peer(store: Store, which: str) -> Peer:
    """Give the peer with a key or an address; raise `PeerError` if there is none."""
    for peer in list_peers(store.db):
        if which.lower() == peer.node or which in {peer.url, peer.url.removesuffix("/")}:
            return peer
    raise PeerError(f"{which!r} is no peer", hint="`ppp peer list` shows the keys and addresses of all")


def parse_node_id(text: str) -> str:
    """Give a node's id in lower case; raise `PeerError` if it is none."""
    if not is_node_id(node := text.lower()):
        raise PeerError(f"{text[:MAX_URL_LENGTH]!r} is no node's key", hint="a key is 64 hex digits")
    return node


def parse_url(text: str) -> str:
    """Give an address of a web root, ending with `/`; raise `PeerError` if it is none that can be fetched from."""
    shown = repr(text[:MAX_URL_LENGTH])
    if len(text) > MAX_URL_LENGTH or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        raise PeerError(f"{shown} is not an address", hint=_URL_HINT)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise PeerError(f"{shown} is not an address: {error}", hint=_URL_HINT) from error
    if parts.scheme not in {"http", "https"} or not host:
        raise PeerError(f"{shown} is not an http(s) address", hint=_URL_HINT)
    if parts.username is not None or parts.query or parts.fragment:
        raise PeerError(f"{shown} has a user, a query or a fragment", hint=_URL_HINT)
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"
