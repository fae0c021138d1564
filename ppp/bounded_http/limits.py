"""The limits of a request, what is left of them while it runs, and the errors for exceeding them."""

import io
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Protocol

from ppp.model.credentials import without_userinfo
from ppp.model.printable import MAX_REASON_LENGTH, printable_reason


class TransferError(Exception):
    """A request failed; the message continues a sentence that begins with the URL, in printable characters."""

    def __init__(self, message: str) -> None:
        """Keep the message's first printable characters: a part of it may come from the server.

        The user name and password of a proxy are left out.
        """
        super().__init__(printable_reason(without_userinfo(message[: 5 * MAX_REASON_LENGTH])))


class TransferTimeoutError(TransferError):
    """The deadline was reached, or nothing arrived for too long."""


class TransferTooLargeError(TransferError):
    """The response is larger than allowed; reading stopped there."""


class UnexpectedEncodingError(TransferError):
    """The body was sent compressed, in a way that the caller does not accept."""


class ForbiddenRedirectError(TransferError):
    """The response redirects to a place that the caller does not allow, or too often."""


class Resolver(Protocol):
    """Resolves names as `socket.getaddrinfo` does."""

    def __call__(self, host: str, port: int, family: socket.AddressFamily, kind: socket.SocketKind, /) -> list[Any]:
        """Return the addresses of a host as `socket.getaddrinfo` does; raise `OSError` if there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """Limits in seconds: to connect, between two reads, and for a whole request; and in bytes before a body."""

    connect_s: float = 10.0
    read_s: float = 20.0
    total_s: float = 300.0
    max_header_bytes: int = 64 * 1024


@dataclass(slots=True, kw_only=True)
class Transfer:
    """What is left of one request's limits: its deadline on the monotonic clock, and bytes that may be received."""

    limits: TransferLimits
    resolve: Resolver
    deadline: float
    #: The message once the deadline is reached.
    late: str
    #: How many bytes may still be received in this part of the response, and the message if it has more.
    room: int = field(default=0, init=False)
    too_large: str = field(default="", init=False)
    #: That message, once it has happened.
    overrun: str = field(default="", init=False)
    #: What http.client reads from: urllib3 leaves it open where it refuses a response, such as one with two lengths.
    sources: list[io.IOBase] = field(default_factory=list, init=False)
    #: How many connections were opened for this request: none, as long as those of earlier requests are used again.
    opened: int = field(default=0, init=False)

    def allow(self, room: int, too_large: str) -> None:
        """Begin a part of the response."""
        self.room, self.too_large = room, too_large

    def time_left(self, at_most: float) -> float:
        """Return for how many seconds a system call may wait; raise `TimeoutError` once the deadline is reached."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline was reached")
        return min(left, at_most)

    @property
    def expired(self) -> bool:
        """Whether the deadline was reached."""
        return time.monotonic() >= self.deadline
