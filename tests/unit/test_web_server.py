"""Which connections are admitted: pure counting. tests/redteam/test_public_server.py has the sockets."""

from typing import cast

import pytest

from ppp.client_limits import ClientLimits
from ppp.web_server import Connections, LimitedProtocol, network_of


class Connection:
    """A connection that is waiting for its client or busy, and tells whether it was closed."""

    def __init__(self, connections: Connections, *, waiting: bool) -> None:
        self._connections = connections
        self.is_waiting = waiting
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True
        self._connections.remove(self.typed)

    @property
    def typed(self) -> LimitedProtocol:
        return cast("LimitedProtocol", self)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_ipv6_network_counts_as_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_an_address_holds_few_connections() -> None:
    connections = Connections(limits=ClientLimits(connections=10, per_address=2))
    held = [Connection(connections, waiting=False) for _ in range(3)]
    assert [connections.admit(each.typed, "a") for each in held] == [True, True, False]
    assert connections.admit(Connection(connections, waiting=False).typed, "b")
    connections.remove(held[2].typed)
    assert not connections.admit(held[2].typed, "a"), "one that was refused frees nothing"
    connections.remove(held[0].typed)
    connections.remove(held[0].typed)
    assert connections.admit(held[2].typed, "a")
    assert not connections.admit(Connection(connections, waiting=False).typed, "a")


def test_the_connection_that_waits_longest_makes_room() -> None:
    connections = Connections(limits=ClientLimits(connections=3, per_address=3))
    busy, first, second = (Connection(connections, waiting=waiting) for waiting in (False, True, True))
    for each in (busy, first, second):
        assert connections.admit(each.typed, "a")
    assert connections.admit(Connection(connections, waiting=False).typed, "b")
    assert (busy.aborted, first.aborted, second.aborted) == (False, True, False)
    assert connections.admit(Connection(connections, waiting=False).typed, "b")
    assert second.aborted
    assert not connections.admit(Connection(connections, waiting=False).typed, "c"), "all are busy"
