"""Looking at the way to the index: names, the page of pip with the server's clock, a gateway that runs for a moment."""

import errno
import http.client
import json
import os
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import requests
from pypi_simple import ACCEPT_JSON_PREFERRED, ProjectPage
from requests.utils import get_environ_proxies

from ppp.check.gateway.gateway import run_gateway
from ppp.check.gateway.nginx import NGINX_FOLDERS, GatewayError, NginxImage, find_nginx
from ppp.check.sandbox.docker import connect_engine
from ppp.doctor.machine import DnsFacts, GatewayFacts, IndexFacts, Reachability
from ppp.model.matrix import PinnedPip

#: To connect, and between two parts of an answer.
TIMEOUT_S: Final = (5, 8)
MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
OUT_OF_TIME: Final = frozenset({9, 10})


def resolve(url: str) -> DnsFacts:
    """Look up the host of an address."""
    parts = urlsplit(url)
    host, proxied = parts.hostname or "", bool(get_environ_proxies(url))
    try:
        found = socket.getaddrinfo(host, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return DnsFacts(host=host, reason=getattr(error, "strerror", None) or str(error), proxied=proxied)
    return DnsFacts(host=host, addresses=tuple(dict.fromkeys(str(row[4][0]) for row in found)), proxied=proxied)


def page(
    index_url: str, pip: PinnedPip, *, user_agent: str, now: int, timeout_s: tuple[float, float] = TIMEOUT_S
) -> IndexFacts:
    """Read the index's page of pip; `now` is our clock, in epoch seconds."""
    url = urljoin(index_url, "pip/")
    headers = {"User-Agent": user_agent, "Accept": ACCEPT_JSON_PREFERRED}
    try:
        with requests.get(url, headers=headers, timeout=timeout_s, stream=True) as answer:
            date = _date(answer.headers)
            if not answer.ok:
                return IndexFacts(
                    url=url,
                    reach=Reachability.UNEXPECTED,
                    requested_at=now,
                    server_time=date,
                    detail=f"status {answer.status_code}",
                )
            body = _body(answer)
            found = _parse(answer.headers.get("Content-Type", ""), body, answer.url)
    except (requests.RequestException, ValueError, KeyError, TypeError) as error:
        return _failed(url, error, now)
    except OSError as error:
        # What requests lets through, such as a bundle of certificates that is not there.
        return IndexFacts(url=url, reach=Reachability.BAD_CERTIFICATE, requested_at=now, detail=str(error))
    origins = {f"{part.scheme}://{part.netloc}" for file in found.packages if (part := urlsplit(file.url))}
    return IndexFacts(
        url=url,
        reach=Reachability.ANSWERED,
        requested_at=now,
        server_time=date,
        lists_pip=any(file.digests.get("sha256") == pip.sha256 for file in found.packages),
        origins=tuple(sorted(origins)),
    )


def _body(answer: requests.Response) -> bytes:
    body = bytearray()
    for chunk in answer.iter_content(256 * 1024):
        body += chunk
        if len(body) > MAX_PAGE_BYTES:
            raise ValueError(f"a page of more than {MAX_PAGE_BYTES} bytes")
    return bytes(body)


def _parse(content_type: str, body: bytes, url: str) -> ProjectPage:
    if "json" in content_type:
        return ProjectPage.from_json_data(json.loads(body), url)
    if "html" not in content_type:
        raise ValueError(f"it is {content_type or 'of no type'}")
    return ProjectPage.from_html("pip", body, url)


def _date(headers: Mapping[str, str] | Message) -> int | None:
    try:
        # What a cache gave has been lying there for so long.
        return int(parsedate_to_datetime(headers["Date"]).timestamp()) + int(headers.get("Age") or 0)
    except (KeyError, ValueError, OverflowError):
        return None


def _failed(url: str, error: Exception, now: int) -> IndexFacts:
    reach, detail, code = Reachability.UNEXPECTED, " ".join(f"{type(error).__name__}: {error}".split())[:160], None
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                reach, detail, code = Reachability.BAD_CERTIFICATE, str(cause.verify_message), int(cause.verify_code)
            case socket.gaierror():
                reach, detail = Reachability.NOT_FOUND, str(cause.strerror)
            case TimeoutError() | requests.Timeout():
                reach, detail = Reachability.TIMED_OUT, ""
            case OSError(errno=errno.ECONNREFUSED):
                reach, detail = Reachability.REFUSED, ""
            case OSError(errno=errno.ENETUNREACH | errno.EHOSTUNREACH):
                reach, detail = Reachability.TIMED_OUT, str(cause.strerror)
            case _:
                continue
        break
    date = _unverified_date(urlsplit(url)) if code in OUT_OF_TIME else None
    return IndexFacts(url=url, reach=reach, requested_at=now, detail=detail, server_time=date, verify_code=code)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that it came of, as requests and urllib3 wrap them."""
    seen: list[BaseException] = []
    pending: list[object] = [error]
    while pending:
        found = pending.pop(0)
        if isinstance(found, BaseException) and found not in seen:
            seen.append(found)
            yield found
            pending += [getattr(found, "reason", None), found.__cause__, found.__context__, *found.args]


def _unverified_date(address: SplitResult) -> int | None:
    # A clock that is off by years fails the certificate before that can be told: nothing but the date is believed.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    asking = http.client.HTTPSConnection(address.hostname or "", address.port, timeout=TIMEOUT_S[0], context=context)
    try:
        asking.request("HEAD", address.path)
        return _date(asking.getresponse().headers)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        asking.close()


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S[1])
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def has_nginx(environ: Mapping[str, str]) -> bool:
    """Say whether this machine has an nginx of its own."""
    return find_nginx(environ) is not None


def try_gateway(
    index_url: str,
    origins: Sequence[str],
    environ: Mapping[str, str],
    *,
    image: str | None = None,
    places: str = NGINX_FOLDERS,
) -> GatewayFacts:
    """Run a gateway with a cache that goes with it, and ask it for the page of pip.

    `image`, which must be here, is what nginx is taken from where the machine has none.
    """
    nginx = find_nginx(environ, places) or image
    if nginx is None:
        return GatewayFacts(nginx=None, reach=Reachability.NOT_FOUND)
    standby = NginxImage(name=image, engine=connect_engine, on_pull=lambda _: None) if image else None
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ppp-doctor-") as cache,
            run_gateway(
                index_url, origins, cache=Path(cache), environ=environ, image=standby, nginx_folders=places
            ) as running,
        ):
            return _asked(nginx, _SocketConnection(running.socket), urlsplit(running.index_url(80)).path + "pip/")
    except (GatewayError, OSError) as error:
        return GatewayFacts(nginx=nginx, reach=Reachability.UNEXPECTED, detail=" ".join(str(error).split())[:200])


def _asked(nginx: str, asking: http.client.HTTPConnection, path: str) -> GatewayFacts:
    try:
        asking.request("GET", path)
        status = asking.getresponse().status
    except http.client.RemoteDisconnected:
        # What a cell must not mistake for an answer of the index: the gateway hangs up instead.
        return GatewayFacts(nginx=nginx, reach=Reachability.UNEXPECTED, detail="the index gives it no page")
    except http.client.HTTPException as error:
        return GatewayFacts(nginx=nginx, reach=Reachability.UNEXPECTED, detail=f"{type(error).__name__}: {error}")
    finally:
        asking.close()
    if status != http.HTTPStatus.OK:
        return GatewayFacts(
            nginx=nginx, reach=Reachability.UNEXPECTED, detail=f"it gives the page of pip with status {status}"
        )
    return GatewayFacts(nginx=nginx, reach=Reachability.ANSWERED)
