"""HTTP requests to servers that are not trusted: limited in time and bytes, whatever a server sends.

- *Time.* One deadline covers a whole request with its redirects: name resolution, connections, TLS handshakes, header
  lines, interim responses (`100 Continue`), chunk extensions, bodies and trailers. Each system call that waits gets
  what is left of it as its timeout, so no thread has to watch. Only name resolution cannot be interrupted: it runs in a
  thread that is left behind at the deadline.
- *Bytes.* All that is received is counted: what comes before a body, interim responses included, up to
  `TransferLimits.max_header_bytes`; a body up to `max_bytes`, after decompression too; and the framing around it.
- *Redirects* are followed only as far as the caller allows, and no body is read but that of a `200`, or of a `206` if
  the caller asks for a part.
- *Credentials* come from the caller alone, and are sent to their own origin alone, which is decided anew for each URL;
  those of `~/.netrc` and in URLs are not sent. No cookie is kept.
- *Connections* are kept for later requests. A server may close one at any time, also just when a request is sent: if
  it sent nothing of a response, the request is sent again on another connection (RFC 9112, section 9.3.1: what is sent
  with `post` asks or announces, and may arrive twice). A connection that was opened for the request has no such excuse.

Every failure is a `TransferError`, whose message continues a sentence that begins with the URL.
"""

import http.client
import socket
import time
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from ppp.bounded_http.connections import MeteredAdapter, current_transfer
from ppp.bounded_http.limits import (
    ForbiddenRedirectError,
    Resolver,
    Transfer,
    TransferError,
    TransferLimits,
    TransferTimeoutError,
    TransferTooLargeError,
    UnexpectedEncodingError,
)
from ppp.model.credentials import Credentials

DEFAULT_LIMITS: Final = TransferLimits()
CHUNK_BYTES: Final = 64 * 1024
#: What a response may need beside the bytes of its body, for the sizes and extensions of chunks and for trailers:
#: as much as the body itself, and this.
FRAMING_BYTES: Final = 64 * 1024

#: The `wbits` of zlib that accepts a gzip stream and no other format.
_GZIP: Final = 16 + zlib.MAX_WBITS
_NETWORK_ERRORS: Final = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response: the URL that sent it, its status, headers by name in lower case, and the body of a `200`.

    `body` is empty if the body was passed on while it arrived. If it was decompressed, `headers` has no
    `content-encoding`.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes


def same_origin(url: str, target: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    here, there = urlsplit(url), urlsplit(target)
    return (here.scheme, here.netloc) == (there.scheme, there.netloc)


def keeps_tls(url: str, target: str) -> bool:
    """Return whether what a URL leads to is fetched with TLS if the URL is."""
    return urlsplit(target).scheme == "https" or urlsplit(url).scheme != "https"


class BoundedSession:
    """Requests with connections that are kept alive; usable by several threads. Close it, or use it as a context."""

    def __init__(
        self,
        user_agent: str,
        *,
        limits: TransferLimits = DEFAULT_LIMITS,
        credentials: Credentials | None = None,
        resolve: Resolver = socket.getaddrinfo,
        verify: bool = True,
    ) -> None:
        """Set the limits of each request; `credentials` are sent to their own origin alone.

        Without `verify`, certificates are not checked: nothing that is received can be trusted then.
        """
        self._limits = limits
        self._credentials = credentials
        self._resolve = resolve
        self._verify = None if verify else False
        self._session = requests.Session()
        # By default, requests would send a server the password that the operator's ~/.netrc has for its host.
        self._session.auth = _no_credentials
        # A session is used for many files: a server must not mark its visitors.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        self._session.headers["User-Agent"] = user_agent
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, MeteredAdapter())

    def __enter__(self) -> Self:
        """Return the session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._session.close()

    def get(
        self,
        url: str,
        *,
        max_bytes: int,
        deadline: float | None = None,
        headers: Mapping[str, str] | None = None,
        accept_gzip: bool = False,
        accept_raw: Container[str] | None = None,
        max_redirects: int = 0,
        allow_redirect: Callable[[str, str], bool] = same_origin,
        write: Callable[[bytes], object] | None = None,
        begin: Callable[[int, Mapping[str, str]], object] | None = None,
    ) -> Response:
        """Request a file, and read at most `max_bytes` of it; `headers` must not hold credentials.

        `deadline`, on the clock of `time.monotonic`, shortens the session's limit. With `accept_gzip` a compressed body
        is decompressed, and `max_bytes` limits the result; without it, a body is returned as it was sent, if it was
        sent with one of the encodings `accept_raw` (any by default). `write` gets the body in parts as it arrives. With
        `begin`, which gets the status and the headers before the body, that of a `206` is read too. Up to
        `max_redirects` redirects are followed, each only if `allow_redirect` is true of the two URLs; with 0, the
        redirecting response itself is returned.

        Raise `TransferTimeoutError`, `TransferTooLargeError`, `ForbiddenRedirectError` or another `TransferError`.
        """
        transfer = self._transfer(deadline)
        sent = {**(headers or {}), "Accept-Encoding": "gzip" if accept_gzip else "identity"}
        for _ in range(max_redirects + 1):
            with self._open(transfer, "GET", url, sent) as response:
                if max_redirects == 0 or not response.is_redirect:
                    _check_encoding(response, {"identity", "gzip", "x-gzip"} if accept_gzip else accept_raw)
                    return _read_response(
                        response, transfer, max_bytes=max_bytes, gunzip=accept_gzip, write=write, begin=begin
                    )
                with _translated_errors(transfer):
                    target = _redirect_target(url, response.headers["Location"])
            if not allow_redirect(url, target):
                raise ForbiddenRedirectError(f"redirects to another host, {target}")
            url = target
        raise ForbiddenRedirectError(f"redirects more than {max_redirects} times")

    def head(self, url: str, *, headers: Mapping[str, str] | None = None, deadline: float | None = None) -> Response:
        """Request only the status and the headers; follow no redirect. Raise as `get` does."""
        transfer = self._transfer(deadline)
        with self._open(transfer, "HEAD", url, {**(headers or {}), "Accept-Encoding": "identity"}) as response:
            return Response(url=url, status=response.status_code, headers=_lower(response.headers), body=b"")

    def post(
        self,
        url: str,
        body: bytes,
        *,
        content_type: str,
        max_bytes: int | None = None,
        deadline: float | None = None,
        accept_gzip: bool = False,
        write: Callable[[bytes], object] | None = None,
    ) -> Response:
        """Send a body; with `max_bytes`, read at most so much of the response's, as `get` does; without, nothing of it.

        No redirect is followed. Raise as `get` does.
        """
        transfer = self._transfer(deadline)
        sent = {"Content-Type": content_type, "Accept-Encoding": "gzip" if accept_gzip else "identity"}
        with self._open(transfer, "POST", url, sent, body) as response:
            if max_bytes is None:
                return Response(url=url, status=response.status_code, headers=_lower(response.headers), body=b"")
            _check_encoding(response, {"identity", "gzip", "x-gzip"} if accept_gzip else {"identity"})
            return _read_response(response, transfer, max_bytes=max_bytes, gunzip=accept_gzip, write=write)

    def _transfer(self, deadline: float | None) -> Transfer:
        latest, late = time.monotonic() + self._limits.total_s, f"took longer than {self._limits.total_s:g} s"
        if deadline is not None and deadline < latest:
            latest, late = deadline, "was not complete at its deadline"
        return Transfer(limits=self._limits, resolve=self._resolve, deadline=latest, late=late)

    @contextmanager
    def _open(
        self, transfer: Transfer, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Iterator[requests.Response]:
        """Send a request; `transfer` is that of this thread until the response is closed."""
        token = current_transfer.set(transfer)
        try:
            with _translated_errors(transfer):
                request = self._session.prepare_request(requests.Request(method, url, headers=headers, data=body))
                if self._credentials and (authorization := self._credentials.authorization(url)):
                    request.headers["Authorization"] = authorization
                settings: dict[str, Any] = {
                    **self._session.merge_environment_settings(url, {}, stream=True, verify=self._verify, cert=None)
                }
                response = self._send(transfer, request, settings)
            with response:
                yield response
        finally:
            current_transfer.reset(token)
            while transfer.sources:
                transfer.sources.pop().close()

    def _send(
        self, transfer: Transfer, request: requests.PreparedRequest, settings: Mapping[str, Any]
    ) -> requests.Response:
        """Send a request, and again for as long as it meets kept connections that the server has closed."""
        room = transfer.limits.max_header_bytes
        while True:
            transfer.allow(room, f"sends more than {room:,} bytes before its body")
            opened = transfer.opened
            timeouts = (transfer.time_left(transfer.limits.connect_s), transfer.limits.read_s)
            try:
                # Not `Session.send`, which reads the whole body of a redirecting response.
                return self._session.get_adapter(str(request.url)).send(request, timeout=timeouts, **settings)
            except requests.ConnectionError as error:
                is_closed = isinstance(_innermost(error), ConnectionError)
                if not is_closed or transfer.opened > opened or transfer.room < room:
                    raise


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _redirect_target(url: str, location: str) -> str:
    # The values of headers arrive as Latin-1, but addresses are UTF-8 as a rule.
    target = urljoin(url, location.encode("latin-1").decode())
    if urlsplit(target).scheme not in {"http", "https"}:
        raise ForbiddenRedirectError(f"redirects to another host, {target}")
    return target


def _check_encoding(response: requests.Response, accepted: Container[str] | None) -> None:
    encoding = response.headers.get("Content-Encoding", "identity")
    has_body = response.status_code in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}
    if has_body and accepted is not None and encoding not in accepted:
        raise UnexpectedEncodingError(f"was sent compressed, as {encoding}")


def _read_response(
    response: requests.Response,
    transfer: Transfer,
    *,
    max_bytes: int,
    gunzip: bool,
    write: Callable[[bytes], object] | None,
    begin: Callable[[int, Mapping[str, str]], object] | None = None,
) -> Response:
    headers, body = _lower(response.headers), bytearray()
    read = {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT} if begin else {HTTPStatus.OK}
    if response.status_code in read:
        if begin:
            begin(response.status_code, headers)
        transfer.allow(2 * max_bytes + FRAMING_BYTES, f"is larger than {max_bytes:,} bytes with its framing")
        parts = _parts(response.raw, transfer)
        if gunzip and headers.get("content-encoding", "identity") != "identity":
            del headers["content-encoding"]
            parts = _decompress(parts)
        size = 0
        for part in parts:
            size += len(part)
            if size > max_bytes:
                raise TransferTooLargeError(f"is larger than {max_bytes:,} bytes")
            (write or body.extend)(part)
    return Response(url=response.url, status=response.status_code, headers=headers, body=bytes(body))


def _parts(raw: urllib3.BaseHTTPResponse, transfer: Transfer) -> Iterator[bytes]:
    # read1 returns what has arrived, so that a part is never waited for until it is whole.
    while True:
        with _translated_errors(transfer):
            transfer.time_left(transfer.limits.read_s)
            part = raw.read1(CHUNK_BYTES, decode_content=False)
        if not part:
            return
        yield part


def _decompress(parts: Iterator[bytes]) -> Iterator[bytes]:
    stream = zlib.decompressobj(_GZIP)
    try:
        for part in parts:
            compressed = part
            while compressed and not stream.eof:
                yield stream.decompress(compressed, CHUNK_BYTES)
                compressed = stream.unconsumed_tail
            if stream.unused_data:
                raise TransferError("has something after the end of its gzip stream")
        # What zlib still holds of the last part.
        while not stream.eof and (rest := stream.decompress(b"", CHUNK_BYTES)):
            yield rest
    except zlib.error as error:
        raise TransferError(f"is not valid gzip: {error}") from error
    if not stream.eof:
        raise TransferError("has a gzip stream that is cut short")


@contextmanager
def _translated_errors(transfer: Transfer) -> Iterator[None]:
    try:
        yield
    except _NETWORK_ERRORS as error:
        raise _transfer_error(error, transfer) from error


def _transfer_error(error: BaseException, transfer: Transfer) -> TransferError:
    if transfer.overrun:
        return TransferTooLargeError(transfer.overrun)
    if transfer.expired:
        return TransferTimeoutError(transfer.late)
    cause = _innermost(error)
    kind = TransferTimeoutError if isinstance(cause, TimeoutError) else TransferError
    return kind(f"cannot be reached: {cause}" if str(cause) else f"cannot be reached: {type(cause).__name__}")


def _innermost(error: BaseException) -> BaseException:
    # requests wraps errors of urllib3, which wraps those of the system: the innermost one names the cause.
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error
