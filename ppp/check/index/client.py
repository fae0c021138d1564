"""The package index: its pages, and its files, fetched once for all cells and checked against the index's hashes.

Nothing that is fetched is executed here. URLs are read from pages at run time and never stored.
"""

import hashlib
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import requests
import urllib3
from packaging.version import Version
from pypi_simple import (
    NoSuchProjectError,
    PyPISimple,
    UnexpectedRepoVersionWarning,
    UnparsableFilenameError,
    UnsupportedRepoVersionError,
)

from ppp.check.index.choose import IndexFile, file_version, newest_version, release_files
from ppp.model.credentials import Credentials
from ppp.model.errors import DiskFullError, IndexUnreachableError, UnknownPackageError, UnknownVersionError
from ppp.model.release import Release, RequestedPackage

TIMEOUT_S: Final = (10, 60)
CHUNK: Final = 256 * 1024
_INVALID_PAGE_ERRORS: Final = (UnexpectedRepoVersionWarning, UnparsableFilenameError, UnsupportedRepoVersionError)
_SHA256: Final = re.compile("[0-9a-f]{64}")


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

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of the file, whose hash was checked; raise `DownloadError` or `DownloadTimeoutError`."""


class IndexSession(requests.Session):
    """A session that sends an index's credentials to their origin alone, also after redirects, and no others.

    By default, requests would send any server the password that the operator's ~/.netrc has for its host.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        """Send these credentials, where they belong."""
        super().__init__()
        self._credentials = credentials
        self.auth = self._authorize

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.pop("Authorization", None)
        if self._credentials:
            request.headers.update(self._credentials.headers(request.url or ""))
        return request

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:  # noqa: ARG002 - requests' interface
        """Decide anew for the target of a redirect."""
        self._authorize(prepared_request)


class SimpleIndex:
    """An index with the simple API (PEP 503, PEP 691), read with pypi-simple; files are stored in `cache`."""

    def __init__(self, url: str, *, cache: Path, user_agent: str, credentials: Credentials | None = None) -> None:
        """Use the index at `url`; store files by their sha256 in `cache`; send `credentials` to their origin alone."""
        self.url = url
        self.user_agent = user_agent
        self.cache = cache
        self._credentials = credentials
        self.session = IndexSession(credentials)
        self.session.headers["User-Agent"] = user_agent
        self.session.hooks["response"].append(self._note_time)
        #: The index's clock at its last answer, in epoch seconds; None if it sent no date.
        self.server_time: int | None = None
        self._client = PyPISimple(url, session=self.session)
        self._pages: dict[str, tuple[IndexFile, ...]] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def _note_time(self, response: requests.Response, **_: object) -> None:
        self.server_time = read_server_time(response.headers)

    def hosts(self) -> frozenset[str]:
        """Return the hosts of the index and of every file it has named so far, with their ports and without."""
        named = {urlsplit(file.url) for page in list(self._pages.values()) for file in page}
        parts = {urlsplit(self.url), *named}
        return frozenset(host for part in parts for host in (part.netloc, part.hostname) if host)

    def hide_credentials(self, text: str) -> str:
        """Return a text without the credentials for this index."""
        return self._credentials.hide(text) if self._credentials else text

    def file_origins(self, package: str) -> frozenset[str]:
        """Return the origins (`https://host`) of a project's files; other projects' files are usually there too."""
        parts = (urlsplit(file.url) for file in self.files(package))
        return frozenset(f"{part.scheme}://{part.netloc}" for part in parts)

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return a project's files, see `Index`; a page is read once in the life of this object."""
        with self._locks[package]:
            if package not in self._pages:
                self._pages[package] = self._read_page(package)
            return self._pages[package]

    def _read_page(self, package: str) -> tuple[IndexFile, ...]:
        try:
            page = self._client.get_project_page(package, timeout=TIMEOUT_S)
        except NoSuchProjectError as error:
            raise UnknownPackageError(
                f"the index has no package {package!r}",
                hint="check the spelling; a brand-new one may need a few minutes",
            ) from error
        except (requests.RequestException, ValueError, *_INVALID_PAGE_ERRORS) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise IndexUnreachableError(
                f"the package index gave no page for {package!r} ({reason})", hint="check the network, or PPP_INDEX_URL"
            ) from error
        return tuple(
            IndexFile(
                filename=file.filename,
                url=file.url,
                sha256=file.digests.get("sha256"),
                requires_python=file.requires_python,
                yanked=file.is_yanked,
            )
            for file in page.packages
        )

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of the file in the cache, alone in a folder named by its hash; fetch it first if needed."""
        if file.sha256 is None or not _SHA256.fullmatch(file.sha256):
            raise DownloadError("hash", f"the index gives no sha256 for {file.filename}")
        path = self.cache / file.sha256 / file.filename
        with self._locks[file.sha256]:
            if not path.exists():
                self._download(file, path, time.monotonic() + timeout_s, max_bytes)
        return path

    def _download(self, file: IndexFile, path: Path, deadline: float, max_bytes: int) -> None:
        part = path.with_name(f".{path.name}.part")
        digest = hashlib.sha256()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with self.session.get(file.url, stream=True, timeout=TIMEOUT_S) as response, part.open("wb") as out:
                response.raise_for_status()
                size = 0
                # read1 returns what has arrived: iter_content would wait for a whole chunk, however slow it is.
                while chunk := response.raw.read1(CHUNK, decode_content=True):
                    size += len(chunk)
                    if size > max_bytes:
                        raise DownloadError("file-size", f"{file.filename} is larger than {max_bytes} bytes")
                    if time.monotonic() > deadline:
                        raise DownloadTimeoutError(file.filename)
                    digest.update(chunk)
                    out.write(chunk)
            if digest.hexdigest() != file.sha256:
                raise DownloadError(
                    "hash", f"{file.filename} has sha256 {digest.hexdigest()}, the index says {file.sha256}"
                )
            part.replace(path)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise DownloadError("network", f"{file.filename} could not be fetched: {type(error).__name__}") from error
        except OSError as error:
            raise DownloadError("disk", f"{file.filename} could not be stored: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)


def read_server_time(headers: Mapping[str, str] | Message) -> int | None:
    """Return a server's clock by the headers of its answer, in epoch seconds; None if they have no valid date."""
    try:
        # A cache adds the age of its copy.
        return int(parsedate_to_datetime(headers["Date"]).timestamp()) + int(headers.get("Age") or 0)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def resolve(index: Index, wanted: RequestedPackage) -> Release:
    """Return the newest release that is wanted, whatever Python it requires; raise `UnknownVersionError` for none."""
    yanked: dict[Version, bool] = {}
    for file in index.files(wanted.package):
        if (version := file_version(file, wanted.package)) is not None:
            yanked[version] = yanked.get(version, True) and file.yanked
    found = newest_version(yanked.items(), wanted.specifier)
    if found is None:
        latest = ", ".join(str(v) for v in sorted(yanked, reverse=True)[:3]) or "no file at all"
        raise UnknownVersionError(
            f"the index has no release {wanted}", hint=f"newest it has of {wanted.package}: {latest}"
        )
    return Release(package=wanted.package, version=str(found))


def fetch_pinned_pip(index: Index, version: str, sha256: str, *, cache: Path, max_bytes: int) -> Path:
    """Return the folder with the pinned pip, unpacked from the wheel with this sha256; fetch it first if needed.

    Raises `UnknownVersionError` if the index has no such wheel, `DiskFullError` or `IndexUnreachableError` if it cannot
    be fetched.
    """
    folder = cache / f"pip-{version}-{sha256[:16]}"
    if not folder.exists():
        files = release_files(Release(package="pip", version=version), index.files("pip"))
        wheel = next((f for f in files if f.sha256 == sha256), None)
        if wheel is None:
            raise UnknownVersionError(
                f"the index has no pip {version} with sha256 {sha256}",
                hint="fix [pip] in the matrix, or PPP_INDEX_URL",
            )
        try:
            path = index.fetch(wheel, timeout_s=sum(TIMEOUT_S), max_bytes=max_bytes)
        except (DownloadError, DownloadTimeoutError) as error:
            if isinstance(error, DownloadError) and error.cause == "disk":
                raise DiskFullError(
                    f"no space left for the pinned pip: {error}",
                    hint="free some space, then run the same command again",
                ) from error
            raise IndexUnreachableError(
                f"the pinned pip could not be fetched: {error}", hint="check the network"
            ) from error
        _unpack(path, folder)
    return folder


def _unpack(wheel: Path, folder: Path) -> None:
    # Into a temporary folder, which is renamed when complete: a killed run leaves nothing that looks finished.
    import tempfile  # noqa: PLC0415
    import zipfile  # noqa: PLC0415

    partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".pip-"))
    partial.chmod(0o755)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    os.replace(partial, folder)  # noqa: PTH105 - Path.replace would do the same
