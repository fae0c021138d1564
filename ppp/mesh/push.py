"""Telling peers that there is something new: a peer that listens is told, one that only serves files will find it."""

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
#: What hosts of plain files answer to a POST.
_STATIC: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


class AnnouncementStatus(StrEnum):
    """How a peer took an announcement."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_LISTENING = "not listening"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """How one peer took an announcement, with the details as a line."""

    peer: Peer
    status: AnnouncementStatus
    detail: str


def push(store: Store, poster: Poster) -> list[Announcement]:
    """Announce the newest statement to every peer; raise `PeerError` if there is no statement or no peer yet."""
    newest = newest_statement(store.db)
    if newest is None:
        raise PeerError("there is no statement to announce", hint="publish first")
    known = list_peers(store.db)
    if not known:
        raise PeerError("there is no peer to announce to", hint="pin one with `ppp peer add URL KEY`")
    return [announce(peer, newest.text.encode(), poster) for peer in known]


def announce(peer: Peer, envelope: bytes, poster: Poster) -> Announcement:
    """Send a statement's envelope to one peer; whatever comes of it is reported, nothing raised."""
    try:
        status = poster.post(f"{peer.url}{ANNOUNCE_PATH}", envelope)
    except PeerError as error:
        return Announcement(peer=peer, status=AnnouncementStatus.NOT_LISTENING, detail=error.message)
    if status == HTTPStatus.ACCEPTED:
        heard = AnnouncementStatus.ACCEPTED
    else:
        heard = AnnouncementStatus.NOT_LISTENING if status in _STATIC else AnnouncementStatus.REFUSED
    return Announcement(peer=peer, status=heard, detail=f"answered {status}")
