"""The changelog of an index over XML-RPC: every event, in pages by serial.

The mirroring methods `changelog_last_serial` and `changelog_since_serial` are those that Warehouse supports. A page is
read while it arrives, in bounded time, bytes and memory. A serial that does not advance, although the index says that
there is more, is an error; rows in any order, or given twice, are none.
"""

import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from ppp.bounded_http.limits import TransferError, TransferLimits, TransferTooLargeError
from ppp.bounded_http.session import BoundedSession, Response
from ppp.model.credentials import Credentials
from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError
from ppp.model.printable import printable_reason
from ppp.watch.journal.actions import RowReader
from ppp.watch.journal.port import MAX_SERIAL, NO_VALIDATORS, JournalKind, JournalPage, Validators
from ppp.watch.journal.throttling import THROTTLING, Throttle
from ppp.watch.journal.xmlrpc import InvalidResponseError, ResponseReader, RpcFault, Value

#: A page has at most so many rows, of about 250 bytes each.
MAX_ROWS: Final = 50_000
MAX_PAGE_BYTES: Final = 64 * 1024 * 1024
#: How long a page may take as a whole, in seconds, and how long the server may say nothing.
LIMITS: Final = TransferLimits(connect_s=10, read_s=60, total_s=300)
#: How often a request is repeated that the index refused as one too many.
MAX_ATTEMPTS: Final = 20
#: What the text of a fault has that means: later. Its number is that of all faults of the server's own.
_TOO_MANY: Final = "HTTPTooManyRequests"
_HINT: Final = "check PPP_JOURNAL_URL and the network; PPP_JOURNAL=index or feed names another way"
_MALFORMED_HINT: Final = "check that PPP_JOURNAL_URL is an XML-RPC address; nothing of the answer was used"


@dataclass(slots=True, kw_only=True)
class Changelog:
    """The changelog at an address; a `Journal`. Serially used: it waits between two requests."""

    url: str
    user_agent: str
    credentials: Credentials | None = None
    limits: TransferLimits = LIMITS
    max_page_bytes: int = MAX_PAGE_BYTES
    throttle: Throttle = field(default_factory=Throttle)
    wall_clock: Callable[[], float] = time.time
    #: The index's last serial, as it said at some time.
    _newest: int = field(default=-1, init=False)

    @property
    def kind(self) -> JournalKind:
        """The complete way."""
        return JournalKind.CHANGELOG

    def last_serial(self) -> int:
        """See `Journal.last_serial`."""
        rows: list[Value] = []
        value = self._call("changelog_last_serial", (), rows.append)
        if isinstance(value, int) and not rows and 0 <= value <= MAX_SERIAL:
            self._newest = value
            return value
        raise self._malformed("has no serial in answer to changelog_last_serial")

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`; an XML-RPC server knows no validators."""
        del validators
        # Once for all pages of an interval: each request costs the index, and a second.
        newest = self._newest if self._newest > serial else self.last_serial()
        if newest <= serial:
            return JournalPage(last_serial=serial)
        reader = self._rows_after(serial, newest)
        if reader.last_serial == serial:
            why = "".join(f"; {rejected.reason}" for rejected in reader.rejected[:1])
            raise self._malformed(
                f"has no event after serial {serial} in {reader.rows} rows, although its last serial is {newest}{why}"
            )
        return JournalPage(
            events=tuple(reader.events),
            rejected=reader.rejected,
            last_serial=reader.last_serial,
            has_more=reader.last_serial < newest,
        )

    def _rows_after(self, serial: int, newest: int) -> RowReader:
        reader = RowReader(serial, newest)

        def add(row: Value) -> None:
            if reader.rows >= MAX_ROWS:
                raise InvalidResponseError(f"has more than {MAX_ROWS:,} rows")
            reader.add(row)

        value = self._call("changelog_since_serial", (serial,), add)
        # Of a response whose array is empty, the empty array is the value.
        if value not in (None, []):
            raise self._malformed("is no list of rows")
        return reader

    def _call(self, method: str, arguments: tuple[int, ...], on_row: Callable[[Value], object]) -> Value:
        """Return the value of a response; wait and repeat a request that was one too many."""
        request = _request(method, arguments)
        for _ in range(MAX_ATTEMPTS):
            if wait_s := self.throttle.wait():
                break
            rows = ResponseReader(on_row)
            response = self._post(request, rows)
            if response.status in THROTTLING:
                self.throttle.refused(response.headers, now=self.wall_clock())
                continue
            if response.status != HTTPStatus.OK:
                raise self._unreachable(f"answered with status {response.status}")
            value = self._close(rows)
            if not isinstance(value, RpcFault):
                self.throttle.accepted(response.headers)
                return value
            if _TOO_MANY not in value.text:
                raise self._unreachable(f"refuses {method}: fault {value.code}: {value.text}")
            self.throttle.refused(response.headers, now=self.wall_clock())
        else:
            wait_s = self.throttle.pace.longest_wait_s
        raise JournalThrottledError(
            f"the journal {self.url} is asked too often: it may be asked again in {wait_s:.0f} s",
            hint="the next run goes on where this one ends",
            retry_after_s=wait_s,
        )

    def _post(self, request: bytes, reader: ResponseReader) -> Response:
        try:
            with BoundedSession(self.user_agent, limits=self.limits, credentials=self.credentials) as session:
                return session.post(
                    self.url,
                    request,
                    content_type="text/xml",
                    max_bytes=self.max_page_bytes,
                    accept_gzip=True,
                    write=reader.feed,
                )
        except (InvalidResponseError, TransferTooLargeError) as error:
            raise self._malformed(str(error)) from error
        except TransferError as error:
            raise self._unreachable(str(error)) from error

    def _close(self, reader: ResponseReader) -> RpcFault | Value:
        try:
            return reader.close()
        except InvalidResponseError as error:
            raise self._malformed(str(error)) from error

    def _unreachable(self, what: str) -> JournalUnreachableError:
        return JournalUnreachableError(f"the journal {self.url} {printable_reason(what)}", hint=_HINT)

    def _malformed(self, what: str) -> JournalMalformedError:
        return JournalMalformedError(f"the answer of the journal {self.url} {what}", hint=_MALFORMED_HINT)


def _request(method: str, arguments: tuple[int, ...]) -> bytes:
    # XML-RPC's integers have 32 bits, but serials need not: `i8` is what servers in Python read, and what is sent only
    # if it is needed.
    text = xmlrpc.client.dumps((), method)
    kinds = (("int" if argument < xmlrpc.client.MAXINT else "i8", argument) for argument in arguments)
    parameters = "".join(f"<param><value><{kind}>{n}</{kind}></value></param>\n" for kind, n in kinds)
    return text.replace("<params>\n</params>", f"<params>\n{parameters}</params>").encode()
