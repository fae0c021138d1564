"""Announce a new statement to the peers that listen; the others find it when they next synchronize."""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from ppp.ledger.peers import Peer, list_peers
from ppp.ledger.statements import newest_statement
from ppp.ledger.store import Store
from ppp.mesh.fetch import Poster
from ppp.model.errors import PeerError

ANNOUNCE_PATH: Final = "announce"
#: The status with which servers of static files answer a POST.
_STATIC: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


class AnnouncementStatus(StrEnum):
    """How a peer answered an announcement."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_LISTENING = "not listening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """The result of one announcement; `detail` is a line for people."""

    peer: Peer
    status: AnnouncementStatus
    detail: str


def read_announcement(store: Store) -> tuple[bytes, list[Peer]]:
    """Return the envelope to announce, and the peers; raise `PeerError` if there is no statement or no peer."""
    newest = newest_statement(store.db)
    if newest is None:
        raise PeerError("there is no statement to announce", hint="publish first")
    known = list_peers(store.db)
    if not known:
        raise PeerError("there is no peer to announce to", hint="add one with `ppp peer add URL`")
    return newest.text.encode(), known


def announce(peer: Peer, envelope: bytes, poster: Poster, *, own: str) -> Announcement:
    """Send a statement's envelope of this node (`own`) to one peer; failures are part of the result, not raised."""
    try:
        http_status = poster.post(f"{peer.url}{ANNOUNCE_PATH}", envelope)
    except PeerError as error:
        return Announcement(peer=peer, status=AnnouncementStatus.NOT_LISTENING, detail=error.message)
    if http_status == HTTPStatus.ACCEPTED:
        status = AnnouncementStatus.ACCEPTED
    else:
        status = AnnouncementStatus.NOT_LISTENING if http_status in _STATIC else AnnouncementStatus.REFUSED
    detail = f"answered {http_status}"
    if http_status == HTTPStatus.FORBIDDEN:
        detail += f": this node is no peer there, until its operator runs `ppp peer add URL --key {own}`"
    return Announcement(peer=peer, status=status, detail=detail)
