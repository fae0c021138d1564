"""Probe the network path to the index: DNS, the page of pip and the server's clock, and a gateway started briefly."""

import errno
import hashlib
import http.client
import json
import os
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from pypi_simple import ACCEPT_JSON_PREFERRED
from requests.utils import get_environ_proxies
from urllib3.exceptions import InsecureRequestWarning

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession
from ppp.check.gateway.gateway import run_gateway
from ppp.check.gateway.nginx import NGINX_FOLDERS, GatewayError, NginxImage, find_nginx
from ppp.check.index.client import NoSuchPageError, SimpleIndex, fetch_page, read_server_time
from ppp.check.index.page import InvalidPageError
from ppp.check.sandbox.docker import connect_engine
from ppp.doctor.machine import CERTIFICATE_OUT_OF_TIME, DnsFacts, GatewayFacts, IndexAccess, IndexFacts, Reachability
from ppp.model.credentials import without_userinfo
from ppp.model.matrix import PinnedPip
from ppp.run_folders import run_folder

#: To connect, and between two reads.
TIMEOUT_S: Final = (5, 8)
#: For the whole page, with its redirects.
PAGE_DEADLINE_S: Final = 30.0
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024


def resolve(url: str) -> DnsFacts:
    """Resolve the host of a URL."""
    parts = urlsplit(url)
    host, proxied = parts.hostname or "", bool(get_environ_proxies(url))
    try:
        found = socket.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return DnsFacts(host=host, reason=getattr(error, "strerror", None) or str(error), proxied=proxied)
    return DnsFacts(host=host, addresses=tuple(dict.fromkeys(str(row[4][0]) for row in found)), proxied=proxied)


def page(
    index: IndexAccess,
    pip: PinnedPip,
    *,
    user_agent: str,
    now: int,
    timeout_s: tuple[float, float] = TIMEOUT_S,
    deadline_s: float = PAGE_DEADLINE_S,
) -> IndexFacts:
    """Read the index's page of pip within a deadline; `now` is our clock, in epoch seconds."""
    url = urljoin(index.url, "pip/")
    limits = TransferLimits(connect_s=timeout_s[0], read_s=timeout_s[1], total_s=deadline_s)
    headers: dict[str, str] = {}
    try:
        with BoundedSession(user_agent, limits=limits, credentials=index.credentials) as session:
            found = fetch_page(
                session,
                index.url,
                "pip",
                timeout_s=deadline_s,
                max_bytes=MAX_PAGE_BYTES,
                on_headers=headers.update,
            )
    except (NoSuchPageError, InvalidPageError) as error:
        failed = replace(_failed(url, error, now), server_time=read_server_time(headers, now))
        return replace(failed, detail="status 404") if isinstance(error, NoSuchPageError) else failed
    except TransferError as error:
        # Not one of the network, but that of a certificate bundle that is missing.
        if type(error.__cause__) is OSError:
            return IndexFacts(
                url=url, reach=Reachability.BAD_CERTIFICATE, requested_at=now, detail=str(error.__cause__)
            )
        failed = _failed(url, error, now)
        if failed.verify_code not in CERTIFICATE_OUT_OF_TIME:
            return failed
        return replace(failed, server_time=_unverified_date(url, now, user_agent=user_agent, limits=limits))
    return IndexFacts(
        url=url,
        reach=Reachability.ANSWERED,
        requested_at=now,
        server_time=read_server_time(headers, now),
        lists_pip=found is not None and any(file.digests.get("sha256") == pip.sha256 for file in found.files),
    )


def _failed(url: str, error: Exception, now: int) -> IndexFacts:
    text = without_userinfo(" ".join(f"{type(error).__name__}: {error}".split()))
    reach, detail, code = Reachability.UNEXPECTED, text[:160], None
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                reach, detail, code = Reachability.BAD_CERTIFICATE, str(cause.verify_message), int(cause.verify_code)
            case socket.gaierror():
                reach, detail = Reachability.NOT_FOUND, str(cause.strerror)
            case TimeoutError():
                reach, detail = Reachability.TIMED_OUT, ""
            case OSError(errno=errno.ECONNREFUSED):
                reach, detail = Reachability.REFUSED, ""
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                reach, detail = Reachability.TIMED_OUT, str(cause.strerror)
            case _:
                continue
        break
    return IndexFacts(url=url, reach=reach, requested_at=now, detail=detail, verify_code=code)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes, however requests and urllib3 wrapped them."""
    seen: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        found = pending.pop(0)
        if isinstance(found, BaseException) and found not in seen:
            seen.append(found)
            yield found
            pending += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]


def _unverified_date(url: str, now: int, *, user_agent: str, limits: TransferLimits) -> int | None:
    # If our clock is off by years the certificate check fails first, so the date is read without that check. Nothing
    # else of the response is used.
    with warnings.catch_warnings(), BoundedSession(user_agent, limits=limits, verify=False) as session:
        warnings.simplefilter("ignore", InsecureRequestWarning)
        try:
            return read_server_time(session.head(url).headers, now)
        except TransferError:
            return None


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S[1])
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def has_nginx(environ: Mapping[str, str]) -> bool:
    """Return whether this machine has nginx installed."""
    return find_nginx(environ) is not None


def try_gateway(
    access: IndexAccess,
    pip: PinnedPip,
    environ: Mapping[str, str],
    *,
    image: str | None = None,
    nginx_folders: str = NGINX_FOLDERS,
) -> GatewayFacts:
    """Run a gateway with a temporary cache, and request the pinned pip through it, as a cell would: page and file.

    `image` is a local image whose nginx is used if the machine has none.
    """
    nginx = find_nginx(environ, nginx_folders) or image
    if nginx is None:
        return GatewayFacts(nginx=None, reach=Reachability.NOT_FOUND)
    standby = NginxImage(name=image, engine=connect_engine, on_pull=lambda _: None) if image else None
    try:
        with run_folder("ppp-doctor-") as cache:
            index = SimpleIndex(
                access.url, cache=cache / "files", user_agent="the-pypi-place", credentials=access.credentials
            )
            with (
                run_gateway(index, cache=cache, environ=environ, image=standby, nginx_folders=nginx_folders) as running,
                running.cell_socket() as cell,
            ):
                detail = _problem_with_pip(cell, urlsplit(running.index_url(80)).path, pip)
    except (GatewayError, OSError) as error:
        detail = " ".join(str(error).split())[:200]
    return GatewayFacts(nginx=nginx, reach=Reachability.UNEXPECTED if detail else Reachability.ANSWERED, detail=detail)


def _problem_with_pip(cell: Path, index_path: str, pip: PinnedPip) -> str:
    """Return what is wrong with the pinned pip's page or file as a cell gets it; empty if it is right."""
    page, problem = _request(cell, f"{index_path}pip/")
    if problem:
        return f"{problem} for the page of pip"
    files = json.loads(page)["files"]
    path = next((file["url"] for file in files if file["hashes"].get("sha256") == pip.sha256), None)
    if path is None:
        return "its page of pip does not list the pinned one"
    file, problem = _request(cell, path)
    if problem:
        return f"{problem} for the file of pip"
    if hashlib.sha256(file).hexdigest() != pip.sha256:
        return "it serves another file than the pinned pip"
    return ""


def _request(cell: Path, path: str) -> tuple[bytes, str]:
    """Return what a cell's socket serves, and what is wrong with the answer."""
    connection = _SocketConnection(cell)
    try:
        connection.request("GET", path, headers={"Accept": ACCEPT_JSON_PREFERRED})
        response = connection.getresponse()
        body = response.read()
    except http.client.RemoteDisconnected:
        # The gateway closes the connection when the index fails, so that a cell cannot take its error for the index's.
        return b"", "it gets no answer from the index"
    except http.client.HTTPException as error:
        return b"", f"it answers with {type(error).__name__}"
    finally:
        connection.close()
    return body, "" if response.status == http.HTTPStatus.OK else f"it answers with status {response.status}"
