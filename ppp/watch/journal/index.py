"""The simple index as a journal: which projects have changed, by their serials, and then what each of them has.

The whole index in JSON (PEP 691) has the serial of each project's last event, `_last-serial`, which is Warehouse's own
addition; HTML has none, so that a mirror that serves only HTML cannot be followed this way. An answer is read while it
arrives, in bounded memory. A project's page may be older than the index, because caches hold it: one with a smaller
serial than the wanted one is asked for again later.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urljoin

from pypi_simple import ACCEPT_JSON_PREFERRED

from ppp.bounded_http.limits import TransferError, TransferLimits, TransferTooLargeError
from ppp.bounded_http.session import BoundedSession, Response, keeps_tls
from ppp.model.credentials import Credentials
from ppp.model.errors import JournalMalformedError, JournalThrottledError, JournalUnreachableError
from ppp.model.printable import printable_reason
from ppp.model.release import InvalidReleaseError, parse_package
from ppp.watch.journal.json_list import InvalidListError, JsonListReader
from ppp.watch.journal.port import (
    MAX_SERIAL,
    NO_VALIDATORS,
    ChangedProject,
    JournalKind,
    JournalPage,
    RejectedEvent,
    Validators,
)
from ppp.watch.journal.project_files import ProjectFilesReader, is_quarantined
from ppp.watch.journal.throttling import THROTTLING, Pace, Throttle

#: The largest answers, after decompression: the whole index has 40 MB, the largest project 20 MB.
MAX_INDEX_BYTES: Final = 400 * 1024 * 1024
MAX_PROJECT_BYTES: Final = 64 * 1024 * 1024
LIMITS: Final = TransferLimits(connect_s=10, read_s=60, total_s=600)
#: How many changed projects are named at once: those with the smallest serials.
MAX_CHANGED: Final = 100_000
MAX_REJECTED: Final = 1_000
MAX_REDIRECTS: Final = 5
MAX_ATTEMPTS: Final = 20
#: A longer ETag is not kept.
MAX_ETAG: Final = 256
#: The header with the serial of a page, in lower case.
SERIAL_HEADER: Final = "x-pypi-last-serial"
#: Statuses with which an index says that it has no such project (any more).
_NO_SUCH_PAGE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_HINT: Final = "check PPP_INDEX_URL and the network; PPP_JOURNAL=feed names another way"
_MALFORMED_HINT: Final = "nothing of the answer was used; PPP_JOURNAL=feed names another way"


@dataclass(slots=True, kw_only=True)
class ProjectIndex:
    """The simple index at an address that ends with a slash; a `ProjectJournal`. Serially used."""

    url: str
    user_agent: str
    credentials: Credentials | None = None
    limits: TransferLimits = LIMITS
    max_index_bytes: int = MAX_INDEX_BYTES
    max_changed: int = MAX_CHANGED
    #: Pages are files of a CDN: one after the other, without a pause.
    throttle: Throttle = field(default_factory=lambda: Throttle(pace=Pace(between_s=0.0)))
    wall_clock: Callable[[], float] = time.time

    @property
    def kind(self) -> JournalKind:
        """The second way."""
        return JournalKind.INDEX

    def last_serial(self) -> int:
        """See `Journal.last_serial`. It is in a header; where the server has no such header, the index is read."""
        response = self._ask(self.url, method="HEAD")
        serial = _header_serial(response.headers) if response.status == HTTPStatus.OK else None
        return self._read_index(MAX_SERIAL)[0].last_serial if serial is None else serial

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`: no events, but the projects to read."""
        changed, response = self._read_index(serial, etag=validators.etag)
        if response.status == HTTPStatus.NOT_MODIFIED:
            return JournalPage(last_serial=serial, validators=validators, unchanged=True)
        kept = changed.kept()
        etag = response.headers.get("etag", "")
        usable = 0 < len(etag) <= MAX_ETAG and etag.isascii() and etag.isprintable()
        return JournalPage(
            to_read=kept,
            rejected=tuple(changed.rejected),
            last_serial=max(serial, kept[-1].serial if changed.has_more else changed.last_serial),
            has_more=changed.has_more,
            validators=Validators(etag=etag) if usable and not changed.has_more else NO_VALIDATORS,
        )

    def project_page(self, project: ChangedProject, *, since: int) -> JournalPage | None:
        """See `ProjectJournal.project_page`."""
        files = ProjectFilesReader(project=project, since=since)
        reader = JsonListReader("files", files.add, keep=frozenset({"meta", "project-status"}))
        # A cache on the way must ask whether its copy is current.
        response = self._ask(
            urljoin(self.url, f"{project.package}/"), reader, MAX_PROJECT_BYTES, {"Cache-Control": "max-age=0"}
        )
        if response.status in _NO_SUCH_PAGE:
            return self._missing_page(project)
        self._close(reader, response)
        serial = _page_serial(reader.members, response.headers)
        if serial is not None and serial < project.serial:
            return None
        return JournalPage(
            events=tuple(files.events(is_quarantined=is_quarantined(reader.members), now=int(self.wall_clock()))),
            rejected=tuple(files.rejected),
            last_serial=project.serial if serial is None else serial,
        )

    def _missing_page(self, project: ChangedProject) -> JournalPage | None:
        """Return the removal of a project without a page, if the index does not name it either; else None."""
        changed, _ = self._read_index(project.serial - 1)
        if any(other.package == project.package for other in changed.kept()):
            return None
        removal = ProjectFilesReader(project=project, since=0).removal(int(self.wall_clock()))
        return JournalPage(events=(removal,), last_serial=project.serial)

    def _read_index(self, serial: int, *, etag: str | None = None) -> tuple["_Changed", Response]:
        changed = _Changed(after=serial, most=self.max_changed)
        reader = JsonListReader("projects", changed.add, keep=frozenset({"meta"}))
        headers = {"If-None-Match": etag} if etag else {}
        response = self._ask(self.url, reader, self.max_index_bytes, headers)
        if etag and response.status == HTTPStatus.NOT_MODIFIED:
            return changed, response
        self._close(reader, response)
        if changed.named and not changed.numbered:
            raise self._malformed("names projects without serials (_last-serial)")
        stated = _page_serial(reader.members, response.headers)
        changed.last_serial = changed.largest if stated is None else stated
        return changed, response

    # ---------------------------------------------------------------- HTTP

    def _ask(
        self,
        url: str,
        reader: JsonListReader | None = None,
        max_bytes: int = 0,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
    ) -> Response:
        """Return a response that is not a refusal for now; wait and repeat a request that was one too many."""
        for _ in range(MAX_ATTEMPTS):
            if wait_s := self.throttle.wait():
                break
            response = self._send(method, url, reader, max_bytes, {"Accept": ACCEPT_JSON_PREFERRED, **(headers or {})})
            if response.status not in THROTTLING:
                self.throttle.accepted(response.headers)
                return response
            self.throttle.refused(response.headers, now=self.wall_clock())
        else:
            wait_s = self.throttle.pace.longest_wait_s
        raise JournalThrottledError(
            f"the index {self.url} is asked too often: it may be asked again in {wait_s:.0f} s",
            hint="the next run goes on where this one ends",
            retry_after_s=wait_s,
        )

    def _send(
        self, method: str, url: str, reader: JsonListReader | None, max_bytes: int, headers: Mapping[str, str]
    ) -> Response:
        try:
            with BoundedSession(self.user_agent, limits=self.limits, credentials=self.credentials) as session:
                if method == "HEAD":
                    return session.head(url, headers=headers)
                return session.get(
                    url,
                    max_bytes=max_bytes,
                    headers=headers,
                    accept_gzip=True,
                    max_redirects=MAX_REDIRECTS,
                    allow_redirect=keeps_tls,
                    write=reader.feed if reader else None,
                )
        except (InvalidListError, TransferTooLargeError) as error:
            raise self._malformed(str(error)) from error
        except TransferError as error:
            raise self._unreachable(str(error)) from error

    def _close(self, reader: JsonListReader, response: Response) -> None:
        if response.status != HTTPStatus.OK:
            raise self._unreachable(f"answered with status {response.status}")
        try:
            reader.close()
        except InvalidListError as error:
            raise self._malformed(str(error)) from error

    def _unreachable(self, what: str) -> JournalUnreachableError:
        return JournalUnreachableError(f"the index {self.url} {printable_reason(what)}", hint=_HINT)

    def _malformed(self, what: str) -> JournalMalformedError:
        if "HTML" in what:
            what += ": only JSON has the serials by which an index can be followed"
        return JournalMalformedError(f"the answer of the index {self.url} {what}", hint=_MALFORMED_HINT)


@dataclass(slots=True, kw_only=True)
class _Changed:
    """Collects the projects that changed after a serial: of too many, those with the smallest serials."""

    after: int
    most: int
    rejected: list[RejectedEvent] = field(default_factory=list)
    #: How many projects were named, and how many of them with a serial; the largest of these.
    named: int = 0
    numbered: int = 0
    largest: int = 0
    last_serial: int = 0
    has_more: bool = False
    _found: list[ChangedProject] = field(default_factory=list)

    def add(self, row: Any) -> None:  # noqa: ANN401 - whatever JSON has
        """Add an element of `projects`."""
        self.named += 1
        # Not `match`: this is done for every project of an index.
        name, serial = (row.get("name"), row.get("_last-serial")) if isinstance(row, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(serial, int) or not 0 <= serial <= MAX_SERIAL:
            self._reject(None, f"an entry of the index is no project with a serial: {str(row)[:100]!r}")
            return
        self.numbered += 1
        self.largest = max(self.largest, serial)
        if serial <= self.after:
            return
        try:
            self._found.append(ChangedProject(serial=serial, package=parse_package(name)))
        except InvalidReleaseError as error:
            self._reject(serial, error.message)
        if len(self._found) > 2 * self.most:
            self._cut()

    def kept(self) -> tuple[ChangedProject, ...]:
        """Return the changed projects, in the order of their serials."""
        self._cut()
        return tuple(self._found)

    def _cut(self) -> None:
        self._found.sort()
        if len(self._found) > self.most:
            del self._found[self.most :]
            self.has_more = True

    def _reject(self, serial: int | None, reason: str) -> None:
        if len(self.rejected) < MAX_REJECTED:
            self.rejected.append(RejectedEvent(serial=serial, reason=printable_reason(reason)))


def _page_serial(members: Mapping[str, Any], headers: Mapping[str, str]) -> int | None:
    """Return the serial of a page, by what it says itself or by its header; None if neither does."""
    match members.get("meta"):
        case {"_last-serial": int(serial)} if 0 <= serial <= MAX_SERIAL:
            return serial
    return _header_serial(headers)


def _header_serial(headers: Mapping[str, str]) -> int | None:
    text = headers.get(SERIAL_HEADER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004 - fits 63 bits
