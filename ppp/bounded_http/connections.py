"""Connections whose every wait ends at the deadline of the request that uses them, and that count what they receive.

urllib3 makes connections, and http.client reads responses from them. Both only know a timeout for each system call, and
read what comes before and after a body without a limit. So a socket is read through a `_MeteredReader`, which gives
each system call what is left of the request's time, and stops at the number of bytes that it may still receive.
"""

import http.client
import io
import ipaddress
import queue
import socket
import threading
from contextvars import ContextVar
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from ppp.bounded_http.limits import Transfer

#: The transfer of the request that this thread is waiting for: connections, which urllib3 makes, find it here.
current_transfer: ContextVar[Transfer] = ContextVar("transfer")


class _MeteredReader(io.RawIOBase):
    """What a socket receives, counted; each wait ends at the deadline."""

    def __init__(self, sock: socket.socket, transfer: Transfer) -> None:
        super().__init__()
        self._sock = sock
        self._source = sock.makefile("rb", buffering=0)
        self._transfer = transfer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer: its type is public as of Python 3.12
        transfer = self._transfer
        if transfer.room <= 0:
            transfer.overrun = transfer.too_large
            raise http.client.HTTPException("more was sent than is allowed")
        self._sock.settimeout(transfer.time_left(transfer.limits.read_s))
        received = self._source.readinto(memoryview(buffer)[: transfer.room]) or 0
        transfer.room -= received
        return received

    def close(self) -> None:
        self._source.close()
        super().close()


class _MeteredResponse(http.client.HTTPResponse):
    """A response that is read through a `_MeteredReader`, from its status line to its trailers."""

    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        transfer = current_transfer.get()
        self.fp.close()
        self.fp = io.BufferedReader(_MeteredReader(sock, transfer))
        transfer.sources.append(self.fp)


def _connect(connection: HTTPConnection, host: str) -> socket.socket:
    """Return a connected socket, whose timeout is what is left for a TLS handshake and for sending."""
    transfer = current_transfer.get()
    transfer.opened += 1
    error = OSError(f"the name {host} has no address")
    try:
        addresses = _addresses(transfer, host, connection.port)
    except TimeoutError as failure:
        raise ConnectTimeoutError(connection, f"the name {host} was not resolved in time") from failure
    except (OSError, UnicodeError) as failure:
        raise NameResolutionError(host, connection, socket.gaierror(str(failure))) from failure
    for family, kind, protocol, _, address in addresses:
        sock = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                sock.setsockopt(*option)
            sock.settimeout(transfer.time_left(transfer.limits.connect_s))
            sock.connect(address)
            sock.settimeout(transfer.time_left(transfer.limits.connect_s))
        except OSError as failure:
            sock.close()
            error = failure
        else:
            return sock
    if isinstance(error, TimeoutError):
        raise ConnectTimeoutError(connection, "no connection was made in time") from error
    raise NewConnectionError(connection, str(error)) from error


def _addresses(transfer: Transfer, host: str, port: int) -> list[Any]:
    family = allowed_gai_family()
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    else:
        return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    answers: queue.SimpleQueue[list[Any] | Exception] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(transfer.resolve(host, port, family, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    # No thread can be stopped: at the deadline this one is left to the resolver's own timeout.
    threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
    try:
        answer = answers.get(timeout=transfer.time_left(transfer.limits.connect_s))
    except queue.Empty:
        raise TimeoutError(f"the name {host} was not resolved in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


class _Connection(HTTPConnection):
    response_class = _MeteredResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)


class _SecureConnection(HTTPSConnection):
    response_class = _MeteredResponse

    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class MeteredAdapter(HTTPAdapter):
    """The adapter of requests with connections of ours, also to proxies."""

    def __init__(self) -> None:
        """Make connections to servers as `ppp.bounded_http.connections` says."""
        super().__init__()
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def close(self) -> None:
        """Close the connections that are kept.

        urllib3 closes those of a pool only once nothing refers to it any more, and a traceback or a cycle may.
        """
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - a copy: it cannot be iterated over
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()

    def proxy_manager_for(self, proxy: str, **options: object) -> ProxyManager:
        """Make connections to HTTP proxies in the same way."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager
