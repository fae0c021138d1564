"""What a client of one of our servers may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """What a client may take.

    `request_s`: seconds for a whole request, from the connection or the end of the response before; `send_s`: seconds
    in which it must read a buffer of a response (about 50 kB); `connections`: of all clients; `per_address`: of one
    IPv4 address or one IPv6 network of 64 bits (0: as many as all clients together, for a server behind a proxy).
    """

    request_s: float = 10.0
    send_s: float = 30.0
    connections: int = 400
    per_address: int = 20
