"""The package index: its pages, and its files, fetched once for all cells and checked against the index's hashes.

Nothing that is fetched is executed here. URLs are read from pages at run time and never stored. What an index, or
anyone between it and this machine, sends is limited in bytes and time: see `ppp.bounded_http` and `page`.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

from packaging.version import Version
from pypi_simple import ACCEPT_JSON_PREFERRED, DistributionPackage

from ppp.bounded_http.limits import TransferError, TransferLimits, TransferTooLargeError
from ppp.bounded_http.session import BoundedSession, keeps_tls
from ppp.check.index.choose import (
    IndexFile,
    all_yanked,
    file_version,
    has_unread_name,
    is_safe_filename,
    newest_version,
)
from ppp.check.index.file_cache import FileCache, WrongHashError
from ppp.check.index.page import MAX_PAGE_BYTES, InvalidPageError, ProjectStatus, Status, parse_page
from ppp.check.index.page_store import PageStore
from ppp.model.canonical import is_sha256
from ppp.model.credentials import Credentials
from ppp.model.errors import IndexUnreachableError, UnknownPackageError, UnknownVersionError
from ppp.model.printable import printable_reason
from ppp.model.release import Release, RequestedPackage

#: How long a page may take as a whole, in seconds. nginx waits a little longer for it.
PAGE_TIMEOUT_S: Final = 90
#: How long a server may say nothing, in seconds; the last limit is for a file, whose own timeout is usually shorter.
LIMITS: Final = TransferLimits(connect_s=10, read_s=60, total_s=3600)
MAX_REDIRECTS: Final = 5
#: How many files of pages are held in memory, each about 700 bytes.
MAX_STORED_FILES: Final = 200_000
#: Statuses with which an index says that it has no such project (any more).
NO_SUCH_PAGE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
#: The longest reason of an index that is passed on, in characters.
MAX_INDEX_REASON: Final = 200


class DownloadError(Exception):
    """A file that could not be fetched; `cause` is `network`, `disk`, `hash` or `file-size`."""

    def __init__(self, cause: str, detail: str) -> None:
        """Set the cause, and a sentence as the message."""
        super().__init__(detail)
        self.cause = cause


class DownloadTimeoutError(Exception):
    """A file that did not arrive in time."""


class Index(Protocol):
    """What cells need of an index, from several threads at once."""

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return the files of a normalized project name; raise `UnknownPackageError` or `IndexUnreachableError`."""

    def status(self, package: str) -> ProjectStatus | None:
        """Return a project's status, with a reason of one line, or None for an active one; raise as `files` does."""

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of the file, whose hash was checked; raise `DownloadError` or `DownloadTimeoutError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """A project's page, parsed; with its `etag` an index can be asked later whether it has changed."""

    files: tuple[DistributionPackage, ...]
    status: ProjectStatus | None
    etag: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Project:
    files: tuple[IndexFile, ...]
    status: ProjectStatus | None

    def __len__(self) -> int:
        # What counts in a `PageStore`.
        return len(self.files)


class NoSuchPageError(Exception):
    """The index has no such project."""


def open_session(user_agent: str, credentials: Credentials | None = None) -> BoundedSession:
    """Return a session for an index."""
    return BoundedSession(user_agent, limits=LIMITS, credentials=credentials)


def fetch_page(
    session: BoundedSession,
    index_url: str,
    project: str,
    *,
    etag: str | None = None,
    timeout_s: float = PAGE_TIMEOUT_S,
    max_bytes: int = MAX_PAGE_BYTES,
    on_headers: Callable[[Mapping[str, str]], object] = lambda _: None,
) -> FetchedPage | None:
    """Return a project's page; None if it still has this `etag`. `on_headers` gets the headers of any answer.

    Raise `NoSuchPageError`, `InvalidPageError`, or `TransferError` if the index gives no complete answer.
    """
    # A cache on the way must ask the index whether its copy is current: releases are minutes old here.
    headers = {"Accept": ACCEPT_JSON_PREFERRED, "Cache-Control": "max-age=0"}
    headers |= {"If-None-Match": etag} if etag else {}
    response = session.get(
        urljoin(index_url, f"{project}/"),
        max_bytes=max_bytes,
        deadline=time.monotonic() + timeout_s,
        headers=headers,
        accept_gzip=True,
        max_redirects=MAX_REDIRECTS,
        allow_redirect=keeps_tls,
    )
    on_headers(response.headers)
    if etag and response.status == HTTPStatus.NOT_MODIFIED:
        return None
    if response.status in NO_SUCH_PAGE:
        raise NoSuchPageError(project)
    if response.status != HTTPStatus.OK:
        raise InvalidPageError(f"has status {response.status}")
    page = parse_page(project, response.body, response.headers.get("content-type", ""), response.url)
    return FetchedPage(files=page.files, status=page.status, etag=response.headers.get("etag"))


def read_server_time(headers: Mapping[str, str] | Message, ours: float) -> int | None:
    """Return a server's clock by the headers of its answer, in epoch seconds; None if they have no valid date.

    A cache adds the age of its copy. Some pass on the date of the copy, others give that of their answer: of the times
    that are possible, this is the one nearest to our own clock, `ours`.
    """
    date, age = headers.get("date") or headers.get("Date"), headers.get("age") or headers.get("Age")
    try:
        earliest = int(parsedate_to_datetime(date or "").timestamp())
        latest = earliest + max(int(age or 0), 0)
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(int(ours), earliest), latest)


class SimpleIndex:
    """An index with the simple API (PEP 503, PEP 691), read with pypi-simple; files are stored in `cache`."""

    def __init__(
        self,
        url: str,
        *,
        cache: Path,
        user_agent: str,
        credentials: Credentials | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Use the index at `url`; store files by their sha256 in `cache`; send `credentials` to their origin alone."""
        self.url = url
        self.user_agent = user_agent
        self.cache = cache
        self.session = open_session(user_agent, credentials)
        #: The index's clock at its last answer, in epoch seconds; None if it sent no date.
        self.server_time: int | None = None
        #: The names of files that were skipped because they could not be read, by project.
        self.unread_names: dict[str, tuple[str, ...]] = {}
        #: The files that were fetched, or taken from the cache, by sha256 and project; those of no page are left out.
        self.fetched: dict[tuple[str, str], IndexFile] = {}
        self._clock = clock
        self._credentials = credentials
        self._files = FileCache(cache)
        self._pages: PageStore[_Project] = PageStore(MAX_STORED_FILES)
        self._hosts = _hosts([url])
        self._hosts_lock = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def hosts(self) -> frozenset[str]:
        """Return the hosts of the index and of every file it has named so far, with their ports and without."""
        return self._hosts

    def hide_credentials(self, text: str) -> str:
        """Return a text without the credentials for this index."""
        return self._credentials.hide(text) if self._credentials else text

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return a project's files, see `Index`; a page is read once, or again after many others."""
        return self._project(package).files

    def status(self, package: str) -> ProjectStatus | None:
        """Return a project's status, see `Index`; it is read with the files."""
        return self._project(package).status

    def _project(self, package: str) -> _Project:
        with self._locks[package]:
            project = self._pages.get(package)
            if project is None:
                project = self._read_page(package)
                self._pages.add(package, project)
                with self._hosts_lock:
                    self._hosts |= _hosts(file.url for file in project.files)
            return project

    def _read_page(self, package: str) -> _Project:
        try:
            page = fetch_page(self.session, self.url, package, on_headers=self._note_time)
        except NoSuchPageError as error:
            raise UnknownPackageError(
                f"the index has no package {package!r}",
                hint="check the spelling; a brand-new one may need a few minutes",
            ) from error
        except (TransferError, InvalidPageError) as error:
            raise IndexUnreachableError(
                f"the package index gave no page for {package!r}: it {error}",
                hint="check the network, or PPP_INDEX_URL",
            ) from error
        files = tuple(_index_file(file, package) for file in page.files) if page else ()
        if unread := tuple(file.filename for file in files if has_unread_name(file, package)):
            self.unread_names[package] = unread
        return _Project(files=files, status=_printable_status(page.status) if page and page.status else None)

    def _note_time(self, headers: Mapping[str, str]) -> None:
        self.server_time = read_server_time(headers, self._clock())

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of the file in the cache, alone in a folder named by its hash; fetch it first if needed.

        Its hash is checked at each use: a file that has changed is removed and fetched again.
        """
        if not is_sha256(file.sha256):
            raise DownloadError("hash", f"the index gives no sha256 for {file.filename[:100]}")
        if not is_safe_filename(file.filename):
            raise DownloadError("missing-file", f"the index lists a file with the name {file.filename[:100]!r}")
        with self._locks[file.sha256]:
            try:
                cached = self._files.get(file.sha256, file.filename, max_bytes=max_bytes)
                path = cached or self._download(file, file.sha256, time.monotonic() + timeout_s, max_bytes)
            except OSError as error:
                raise DownloadError("disk", f"{file.filename} could not be stored: {error.strerror}") from error
        if file.project:
            self.fetched[file.sha256, file.project] = file
        return path

    def _download(self, file: IndexFile, sha256: str, deadline: float, max_bytes: int) -> Path:
        if not keeps_tls(self.url, file.url):
            raise DownloadError("network", f"{file.filename} is to be fetched without TLS, which the index has")
        try:
            with self._files.add(sha256, file.filename) as new:
                status = self.session.get(
                    file.url,
                    max_bytes=max_bytes,
                    deadline=deadline,
                    max_redirects=MAX_REDIRECTS,
                    allow_redirect=keeps_tls,
                    write=new.write,
                ).status
                if status != HTTPStatus.OK:
                    raise DownloadError("network", f"{file.filename} could not be fetched: status {status}")
        except TransferTooLargeError as error:
            raise DownloadError("file-size", f"{file.filename} {error}") from error
        except TransferError as error:
            if time.monotonic() >= deadline:
                raise DownloadTimeoutError(f"{file.filename} did not arrive in time") from error
            raise DownloadError("network", f"{file.filename} could not be fetched: it {error}") from error
        except WrongHashError as error:
            raise DownloadError("hash", f"{file.filename} has sha256 {error}, the index says {sha256}") from error
        return new.path


def upload_time(package: DistributionPackage) -> datetime | None:
    """Return when a file was uploaded, in UTC, as a page says (PEP 700); None if it says nothing usable."""
    time = package.upload_time
    try:
        # By PEP 700 it is in UTC, also if it does not say so.
        return time and (time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC))
    except OverflowError:
        return None


def _hosts(urls: Iterable[str]) -> frozenset[str]:
    parts = map(urlsplit, urls)
    return frozenset(host for part in parts for host in (part.netloc, part.hostname) if host)


def _index_file(package: DistributionPackage, project: str) -> IndexFile:
    return IndexFile(
        filename=package.filename,
        url=package.url,
        sha256=package.digests.get("sha256"),
        requires_python=package.requires_python,
        yanked=package.is_yanked,
        yanked_reason=printable_reason(" ".join((package.yanked_reason or "").split()), MAX_INDEX_REASON),
        metadata_sha256=(package.metadata_digests or {}).get("sha256"),
        project=project,
        size=package.size,
        upload_time=upload_time(package),
    )


def _printable_status(status: ProjectStatus) -> ProjectStatus:
    return ProjectStatus(
        status=status.status, reason=printable_reason(" ".join(status.reason.split()), MAX_INDEX_REASON)
    )


def resolve(index: Index, wanted: RequestedPackage) -> Release:
    """Return the newest release that is wanted, whatever Python it requires; raise `UnknownVersionError` for none."""
    yanked: dict[Version, bool] = {}
    for file in index.files(wanted.package):
        if (version := file_version(file, wanted.package)) is not None:
            yanked[version] = yanked.get(version, True) and file.yanked
    found = newest_version(yanked.items(), wanted.specifier)
    if found is None:
        raise _no_release(wanted, yanked, index.status(wanted.package))
    return Release(package=wanted.package, version=str(found))


def _no_release(
    wanted: RequestedPackage, yanked: Mapping[Version, bool], status: ProjectStatus | None
) -> UnknownVersionError:
    """Return the error that says why pip would find no release, of versions by whether they are yanked."""
    latest = ", ".join(str(v) for v in sorted(yanked, reverse=True)[:3]) or "no file at all"
    if status is not None and status.status is Status.QUARANTINED:
        reason = f": {status.reason}" if status.reason else ""
        return UnknownVersionError(
            f"the index has quarantined {wanted.package}{reason}",
            hint="it offers no file of it: wait until the index has decided, and do not install copies of it",
        )
    if newest := all_yanked(yanked.items(), wanted.specifier):
        return UnknownVersionError(
            f"every release that {wanted} admits is yanked, and pip installs a yanked one only if it is pinned",
            hint=f"pin it: {wanted.package}=={newest}",
        )
    return UnknownVersionError(
        f"the index has no release {wanted}", hint=f"newest it has of {wanted.package}: {latest}"
    )
