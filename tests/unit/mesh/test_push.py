"""Announcing to peers, some of which listen."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.mesh.push import AnnouncementStatus, announce, read_announcement
from ppp.model.errors import PeerError


def test_each_peer_gets_the_announcement_and_is_reported(node: Callable[[int], Any]) -> None:
    here = node(1)
    here.publish()
    for number, status in ((2, 202), (3, 403), (4, 405), (5, None), (6, 404), (7, 500)):
        peer = node(number)
        here.trust(peer)
        if status:
            here.web.statuses[f"{peer.url}announce"] = status
    envelope, peers = read_announcement(here.store)
    announcements = [announce(peer, envelope, here.web, own=here.key.id) for peer in peers]
    assert [(a.peer.url, a.status, a.detail) for a in sorted(announcements, key=lambda a: a.peer.url)] == [
        ("http://node2.example/", AnnouncementStatus.ACCEPTED, "answered 202"),
        (
            "http://node3.example/",
            AnnouncementStatus.REFUSED,
            f"answered 403: this node is no peer there, until its operator runs `ppp peer add URL --key {here.key.id}`",
        ),
        ("http://node4.example/", AnnouncementStatus.NOT_LISTENING, "answered 405"),
        (
            "http://node5.example/",
            AnnouncementStatus.NOT_LISTENING,
            "http://node5.example/announce cannot be reached: nothing listens there",
        ),
        ("http://node6.example/", AnnouncementStatus.NOT_LISTENING, "answered 404"),
        ("http://node7.example/", AnnouncementStatus.REFUSED, "answered 500"),
    ]
    assert {body for _, body in here.web.sent} == {here.web.files[f"{here.url}statement.json"]}


def test_an_announcement_needs_a_statement_and_a_peer(node: Callable[[int], Any]) -> None:
    here = node(1)
    here.trust(node(2))
    with pytest.raises(PeerError, match=r"no statement to announce .publish first"):
        read_announcement(here.store)
    alone = node(3)
    alone.publish()
    with pytest.raises(PeerError, match="no peer to announce to"):
        read_announcement(alone.store)
