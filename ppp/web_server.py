"""A web server that its clients cannot exhaust: limits on time, on connections, and on those of one address.

A client has a deadline for each whole request and must keep reading each response. It holds few connections, and where
there is no room for another one, the connection that has waited longest for its client is closed.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import get_remote_addr

from ppp.client_limits import ClientLimits
from ppp.model.errors import ListenError

#: A request in progress may be aborted this many seconds after the server was told to stop.
STOP_GRACE_S: Final = 5
BACKLOG: Final = 512
MAX_PORT: Final = 65_535
#: The kernel holds no more unsent bytes of a connection than these, so that a client that reads slowly is noticed.
_UNSENT_BYTES: Final = 128 * 1024
#: Whoever has one address of IPv6 usually has all that begin with these bits.
_IPV6_PREFIX: Final = 64
_REFUSAL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 10\r\n"
    b"Content-Length: 42\r\nConnection: close\r\n\r\ntoo many connections from this IP address\n"
)


@dataclass(slots=True, kw_only=True)
class Connections:
    """The open connections of a server, by client address."""

    limits: ClientLimits = field(default_factory=ClientLimits)
    _open: dict["LimitedProtocol", str] = field(default_factory=dict)
    _by_address: Counter[str] = field(default_factory=Counter)

    def admit(self, connection: "LimitedProtocol", address: str) -> bool:
        """Return whether there is room for one more connection; close another one to make it, where that is needed."""
        limits = self.limits
        if limits.per_address and self._by_address[address] >= limits.per_address:
            return False
        if len(self._open) >= limits.connections:
            waiting = next((each for each in self._open if each.is_waiting), None)
            if waiting is None:
                return False
            waiting.abort()
        self._open[connection] = address
        self._by_address[address] += 1
        return True

    def remove(self, connection: "LimitedProtocol") -> None:
        """Forget a connection that was closed, if it was admitted."""
        address = self._open.pop(connection, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]


def network_of(address: str) -> str:
    """Return what counts as one client: an IPv4 address, or the network of an IPv6 address; other text unchanged."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 connection, which is aborted where its client takes longer than the limits allow.

    uvicorn itself limits only the time between two requests.
    """

    #: Set by `_protocol_class`: a server gets a class of its own, because uvicorn creates the instances.
    open_connections: Connections
    _request_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None

    @property
    def is_waiting(self) -> bool:
        """Return whether the server waits for a request, or for the rest of one."""
        return self.conn.their_state in {h11.IDLE, h11.SEND_BODY, h11.ERROR}

    def abort(self) -> None:
        """Close the connection now, whatever has not been sent."""
        self.open_connections.remove(self)
        self.transport.abort()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to serve a client, or refuse it."""
        super().connection_made(transport)
        client = get_remote_addr(transport)
        if not self.open_connections.admit(self, network_of(client[0] if client else "")):
            transport.write(_REFUSAL)
            transport.close()
            return
        if connected := transport.get_extra_info("socket"):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        self._watch_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        self.open_connections.remove(self)
        self._stop_request_timer()
        self._stop_reading_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on what a client sent, unless the connection is being closed."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        self._watch_request()

    def on_response_complete(self) -> None:
        """Start to wait for the next request, and for the client to read the rest of the response."""
        super().on_response_complete()
        self._watch_request()
        self._watch_reading()

    def pause_writing(self) -> None:
        """Start to wait for the client to read what it was sent."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """Stop waiting: the client has read."""
        self._stop_reading_timer()
        super().resume_writing()

    def _watch_request(self) -> None:
        if not self.is_waiting:
            self._stop_request_timer()
        elif self._request_timer is None:
            self._request_timer = self.loop.call_later(self.open_connections.limits.request_s, self.abort)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _watch_reading(self) -> None:
        self._stop_reading_timer()
        self._reading_timer = self.loop.call_later(self.open_connections.limits.send_s, self._abort_if_unread)

    def _stop_reading_timer(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None

    def _abort_if_unread(self) -> None:
        self._reading_timer = None
        if self.transport.get_write_buffer_size():
            self.abort()


def _protocol_class(connections: Connections) -> type[LimitedProtocol]:
    return type("ServerProtocol", (LimitedProtocol,), {"open_connections": connections})


def open_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket on an IPv4 or IPv6 address (`::` accepts both) and port (0 for any free one).

    Raises `ListenError` if that is not possible.
    """
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    hint = "choose another address with --host and --port"
    if not 0 <= port <= MAX_PORT:
        raise ListenError(f"cannot listen on port {port}: a port is a number from 0 to {MAX_PORT}", hint=hint)
    try:
        # Python would do this too, and leave a socket open if the name has no form for DNS.
        host.encode("idna")
        return socket.create_server((host, port), family=family, dualstack_ipv6=host == "::", backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"cannot listen on {host} port {port}: {error}", hint=hint) from error


def local_url(listening: socket.socket) -> str:
    """Return the URL under which a browser on this machine reaches a socket."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


def create_server(application: ASGIApp, *, limits: ClientLimits | None = None) -> uvicorn.Server:
    """Return a server that logs nothing, ignores proxy headers, and stops within `STOP_GRACE_S` seconds."""
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=_protocol_class(Connections(limits=limits or ClientLimits())),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_GRACE_S,
        )
    )


def run_server(application: ASGIApp, listening: socket.socket, *, limits: ClientLimits | None = None) -> None:
    """Serve an application on an open socket until SIGINT or SIGTERM."""
    create_server(application, limits=limits).run(sockets=[listening])
