# ruff: noqa: INP001 - Datasette loads plugins from a plain folder
"""Limit the requests: few of one client at a time, none for minutes, and no page that describes this machine.

`PPP_QUERIES_PER_ADDRESS` in the environment is how many requests of one client address are worked on at a time; 0 is no
limit, for a server behind a reverse proxy, where all clients have one address.

Also serve a robots.txt that keeps crawlers off the tables, where every filter link would cost a query.
"""

import asyncio
import ipaddress
import os
from contextlib import AsyncExitStack, asynccontextmanager

from datasette import Response, hookimpl

ROBOTS = "User-agent: *\nDisallow: /ppp/\nDisallow: /ppp?\nDisallow: /-/\n"
PER_ADDRESS = 2
#: Requests of one address that wait for others of it, and requests of all addresses, before new ones are refused.
WAITING = 8
TOTAL = 24
#: One page may run many queries, each within Datasette's own time limit.
REQUEST_S = 15.0
IPV6_PREFIX = 64
#: No query runs for these.
STATIC = ("/-/static/", "/-/static-plugins/", "/robots.txt", "/favicon.ico")
#: Datasette's pages about itself: they show paths, versions, settings and threads.
DIAGNOSIS = "/-/"


@hookimpl
def register_routes() -> list[tuple[str, object]]:
    """Register the route of robots.txt."""
    return [(r"^/robots\.txt$", robots)]


def robots() -> Response:
    """Return robots.txt, which allows only the front page."""
    return Response.text(ROBOTS)


@hookimpl
def asgi_wrapper():  # noqa: ANN201 - a function that takes and returns applications
    """Return the wrapper that limits requests."""
    slots = Slots(int(os.environ.get("PPP_QUERIES_PER_ADDRESS") or PER_ADDRESS))
    return lambda app: Limited(app, slots)


class Busy(Exception):  # noqa: N818 - an answer, not an error of ours
    """There are too many requests."""


class Slots:
    """The requests that are worked on and those that wait, by client."""

    def __init__(self, per_address: int) -> None:
        """Start without requests; `per_address` is how many of a client run at a time (0: any number)."""
        self._per_address = per_address
        self._clients: dict[str, list[int | asyncio.Semaphore]] = {}
        self._total = 0

    @asynccontextmanager
    async def one(self, client: str):  # noqa: ANN201 - a context manager
        """Wait until a request of a client may run; raise `Busy` if too many wait."""
        if self._total >= TOTAL:
            raise Busy
        held = self._clients.setdefault(client, [0, asyncio.Semaphore(self._per_address or TOTAL)])
        if self._per_address and held[0] >= self._per_address + WAITING:
            raise Busy
        held[0] += 1
        self._total += 1
        try:
            async with held[1]:
                yield
        finally:
            held[0] -= 1
            self._total -= 1
            if not held[0]:
                self._clients.pop(client, None)


class Limited:
    """An application whose requests are limited."""

    def __init__(self, app, slots: Slots) -> None:  # noqa: ANN001 - any ASGI application
        """Wrap an application."""
        self._app = app
        self._slots = slots

    async def __call__(self, scope, receive, send) -> None:  # noqa: ANN001 - ASGI
        """Pass on a request, or answer that it is not allowed, or that there are too many."""
        if scope["type"] != "http" or scope["path"].startswith(STATIC):
            await self._app(scope, receive, send)
        elif scope["path"].startswith(DIAGNOSIS):
            await Response.text("not found\n", status=404).asgi_send(send)
        elif scope["method"] not in {"GET", "HEAD"}:
            await Response.text("this server is read-only\n", status=405, headers={"Allow": "GET, HEAD"}).asgi_send(
                send
            )
        else:
            await self._limited(scope, receive, send)

    async def _limited(self, scope, receive, send) -> None:  # noqa: ANN001 - ASGI
        started = False
        try:
            async with AsyncExitStack() as slot, asyncio.timeout(REQUEST_S) as deadline:
                await slot.enter_async_context(self._slots.one(client_of(scope)))

                async def first_send(message: dict[str, object]) -> None:
                    # From now on only the client's speed counts.
                    nonlocal started
                    if not started:
                        started = True
                        deadline.reschedule(None)
                        await slot.aclose()
                    await send(message)

                await self._app(scope, receive, first_send)
        except (Busy, TimeoutError):
            if started:
                raise
            retry = {"Retry-After": "5"}
            await Response.text("too many queries, or too long ones\n", status=503, headers=retry).asgi_send(send)


def client_of(scope) -> str:  # noqa: ANN001 - ASGI
    """Return what counts as one client: an IPv4 address, or the network of an IPv6 address."""
    address = (scope.get("client") or ("", 0))[0]
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if ip.version == 6 and ip.ipv4_mapped is None:  # noqa: PLR2004
        return str(ipaddress.ip_network((ip, IPV6_PREFIX), strict=False))
    return str(getattr(ip, "ipv4_mapped", None) or ip)
