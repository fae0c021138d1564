"""Manage peers, which are trusted nodes with the address where they publish, and nodes that are trusted without one.

Which keys are trusted for which reason is in `ppp.mesh.trust`.
"""

from typing import Final
from urllib.parse import urlsplit

from sqlite_utils import Database

from ppp.ledger.left_out import forget_left_out
from ppp.ledger.peers import Peer, add_peer, delete_peer, list_peers
from ppp.ledger.seen_statements import forget_seen
from ppp.ledger.store import Store
from ppp.ledger.trust_decisions import forget_trust_decision, save_trust_decision, trust_decisions
from ppp.mesh.node import NodeKey, is_node_id
from ppp.model.errors import PeerError
from ppp.storage_errors import translate_storage_errors

MAX_URL_LENGTH: Final = 500
_URL_HINT: Final = "use the address of a web root, such as https://node.example/ or http://[200:1:2::3]:8080/"


def add(store: Store, key: NodeKey, url: str, node: str, *, now: int) -> Peer:
    """Trust a node (64 hex digits) that publishes at an http(s) URL, also if it was distrusted before.

    Raises `PeerError` for an invalid key or URL, this node's own key, or a key or URL that another peer has.
    """
    peer = Peer(node=parse_node_id(node), url=parse_url(url), added_at=now)
    _refuse_own(key, peer.node)
    # A URL serves the statement of one node: of two keys at one URL, one would always be rejected.
    for other in list_peers(store.db):
        if peer.node == other.node:
            raise PeerError(
                f"node {peer.node} is already a peer, at {other.url}", hint="remove it first to change this"
            )
        if peer.url == other.url:
            raise PeerError(
                f"{peer.url} already belongs to the peer {other.node}",
                hint="remove it first to change this",
            )
    with translate_storage_errors(store.path), store.db.atomic():
        add_peer(store, peer)
        if not trust_decisions(store.db).get(peer.node, True):
            forget_trust_decision(store, peer.node)
    return peer


def remove(store: Store, key_or_url: str) -> Peer:
    """Stop trusting the peer with this key or URL; raise `PeerError` if there is none. Its records are kept.

    What was seen of its statements is forgotten, but not the evidence against it. It stays trusted only if the shipped
    list names it.
    """
    peer = find_peer(store, key_or_url)
    with translate_storage_errors(store.path), store.db.atomic():
        _forget(store, peer.node)
        forget_trust_decision(store, peer.node)
    return peer


def _forget(store: Store, node: str) -> None:
    delete_peer(store, node)
    # Added again, it starts anew; only a quarantine stays, because another address does not end it.
    forget_seen(store, node)
    forget_left_out(store, node)


def trust(store: Store, key: NodeKey, node: str, *, now: int) -> str:
    """Trust a node (64 hex digits), whoever serves its batches, and return its id.

    Raises `PeerError` for an invalid key, or this node's own.
    """
    _refuse_own(key, parsed := parse_node_id(node))
    save_trust_decision(store, parsed, trusted=True, now=now)
    return parsed


def distrust(store: Store, key: NodeKey, key_or_url: str, *, now: int) -> str:
    """Trust a node no more, even if the shipped list names it, and forget its address; return its id.

    Its records are kept. Raises `PeerError` if that is neither a key nor the URL of a peer, or this node's own key.
    """
    _refuse_own(key, node := find_node(store.db, key_or_url))
    with translate_storage_errors(store.path), store.db.atomic():
        _forget(store, node)
        save_trust_decision(store, node, trusted=False, now=now)
    return node


def _refuse_own(key: NodeKey, node: str) -> None:
    if node == key.id:
        raise PeerError("that is this node's own key", hint="use another node's, as its `ppp node show` prints it")


def find_peer(store: Store, key_or_url: str) -> Peer:
    """Return the peer with this key or URL; raise `PeerError` if there is none."""
    return _find_peer(store.db, key_or_url)


def _find_peer(db: Database, key_or_url: str) -> Peer:
    for peer in list_peers(db):
        if key_or_url.lower() == peer.node or key_or_url in {peer.url, peer.url.removesuffix("/")}:
            return peer
    raise PeerError(f"{key_or_url!r} is not a peer", hint="`ppp peer list` shows the key and address of each peer")


def find_node(db: Database, key_or_url: str) -> str:
    """Return the key of the peer with this key or URL; of a node that is no peer (any more), only the key is known.

    Raises `PeerError` if it is neither a key nor the URL of a peer.
    """
    if is_node_id(node := key_or_url.lower()):
        return node
    return _find_peer(db, key_or_url).node


def parse_node_id(text: str) -> str:
    """Return a node's id in lower case; raise `PeerError` if it is not 64 hex digits."""
    if not is_node_id(node := text.lower()):
        raise PeerError(f"{text[:MAX_URL_LENGTH]!r} is not a node's key", hint="a key is 64 hex digits")
    return node


def parse_url(text: str) -> str:
    """Return the URL of a web root, ending with `/`; raise `PeerError` if it is not a plain http(s) URL."""
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
    # A password in the URL would be shown in logs and lists of peers; a query makes no sense for a folder of files.
    if parts.username is not None or parts.query or parts.fragment:
        raise PeerError(f"{shown} has a user, a query or a fragment", hint=_URL_HINT)
    path = parts.path if parts.path.endswith("/") else f"{parts.path}/"
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"
