"""Fetch the wheels of a lock into the cache: several at once, each from where an earlier attempt ended.

A server that ignores `Range` sends the whole file, and then all of it is taken. What arrives is hashed at once; a file
that was resumed and is wrong is fetched again from its beginning, once, as the fault may be in what was there.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from ppp.bounded_http.limits import TransferError, TransferLimits
from ppp.bounded_http.session import BoundedSession, keeps_tls
from ppp.model.credentials import without_userinfo
from ppp.model.errors import LockedFileError
from ppp.project_env.cache import DownloadStoppedError, PartialFile, WheelCache, check_content
from ppp.project_env.locked import LockedWheel

#: A wheel may have gigabytes, and a line may be slow.
LIMITS: Final = TransferLimits(total_s=6 * 3600)
WORKERS: Final = 8
_MAX_REDIRECTS: Final = 5
_COPY_BYTES: Final = 256 * 1024
_POLL_S: Final = 0.1
#: How long a download that was told to stop is waited for: one that waits for its server ends with the process.
_STOP_S: Final = 1.0


class DownloadProgress(Protocol):
    """Who is told how downloads proceed, from several threads."""

    def begin(self, wheels: Sequence[LockedWheel]) -> None:
        """Take note that downloads of these wheels begin."""

    def start(self, wheel: LockedWheel, offset: int) -> None:
        """Take note that a download begins at `offset` bytes; it may begin again."""

    def advance(self, wheel: LockedWheel, count: int) -> None:
        """Take note that so many bytes have arrived."""

    def finish(self, wheel: LockedWheel) -> None:
        """Take note that a wheel is complete."""

    def end(self) -> None:
        """Take note that all downloads have ended."""


class WheelFetcher:
    """Fetches single wheels; usable by several threads."""

    def __init__(self, session: BoundedSession, cache: WheelCache, progress: DownloadProgress) -> None:
        """Fetch by `session` into `cache`."""
        self._session = session
        self._cache = cache
        self.progress = progress
        self.stop = threading.Event()

    def is_cached(self, wheel: LockedWheel) -> bool:
        """Return whether a wheel is in the cache; whether it is right is not looked at."""
        return self._cache.path_of(wheel).exists()

    def fetch(self, wheel: LockedWheel) -> Path:
        """Return the path of a wheel in the cache, where it is complete and right; raise `LockedFileError`."""
        if (path := self._cache.get(wheel)) is not None:
            return path
        with self._cache.partial(wheel, self.stop) as partial:
            # Another process may have completed it while this one waited.
            if (path := self._cache.get(wheel)) is not None:
                partial.path.unlink(missing_ok=True)
                return path
            resumed = partial.size > 0
            self._receive(wheel, partial)
            if resumed and partial.sha256 != wheel.sha256:
                partial.restart()
                self._receive(wheel, partial)
            try:
                source = f"from {_host(wheel.url)}"
                check_content(wheel, size=partial.size, sha256=partial.sha256, where=source, hint=_wrong_hint())
            except LockedFileError:
                partial.path.unlink(missing_ok=True)
                raise
            path = self._cache.complete(wheel, partial)
        self.progress.finish(wheel)
        return path

    def _receive(self, wheel: LockedWheel, partial: PartialFile) -> None:
        if partial.size > wheel.max_bytes:
            partial.restart()
        if partial.size and partial.sha256 == wheel.sha256:
            return
        if urlsplit(wheel.url).scheme == "file":
            self._copy(wheel, partial)
        else:
            self._request(wheel, partial)

    def _copy(self, wheel: LockedWheel, partial: PartialFile) -> None:
        partial.restart()
        self.progress.start(wheel, 0)
        try:
            with Path(unquote(urlsplit(wheel.url).path)).open("rb") as file:
                while (part := file.read(_COPY_BYTES)) and partial.size <= wheel.max_bytes:
                    self._take(wheel, partial, part)
        except OSError as error:
            raise LockedFileError(f"{wheel.url} cannot be read: {error.strerror}", hint="is it still there?") from error

    def _request(self, wheel: LockedWheel, partial: PartialFile) -> None:
        def begin(status: int, headers: Mapping[str, str]) -> None:
            if status != HTTPStatus.PARTIAL_CONTENT or not _starts_at(headers, partial.size):
                if status == HTTPStatus.PARTIAL_CONTENT:
                    raise TransferError("sent another part than was asked for")
                partial.restart()
            self.progress.start(wheel, partial.size)

        url = without_userinfo(wheel.url)
        try:
            response = self._session.get(
                wheel.url,
                max_bytes=wheel.max_bytes,
                headers={"Range": f"bytes={partial.size}-"} if partial.size else None,
                accept_raw=("identity",),
                max_redirects=_MAX_REDIRECTS,
                allow_redirect=keeps_tls,
                write=lambda part: self._take(wheel, partial, part),
                begin=begin,
            )
        except TransferError as error:
            raise LockedFileError(f"{url} {error}", hint="run it again: what has arrived is kept") from error
        if response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size:
            partial.restart()
            self._request(wheel, partial)
        elif response.status not in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
            raise LockedFileError(f"{url} responded with {response.status}", hint="is it still there?")

    def _take(self, wheel: LockedWheel, partial: PartialFile, part: bytes) -> None:
        if self.stop.is_set():
            raise DownloadStoppedError
        partial.write(part)
        self.progress.advance(wheel, len(part))


def fetch_wheels(fetcher: WheelFetcher, wheels: Sequence[LockedWheel], *, workers: int = WORKERS) -> dict[str, Path]:
    """Return where each wheel is in the cache, by name, once all are complete and right.

    Raise the first error, such as `LockedFileError`; the other downloads are stopped then, and what has arrived is
    kept.
    """
    results: queue.SimpleQueue[tuple[LockedWheel, Path | BaseException]] = queue.SimpleQueue()
    waiting: queue.SimpleQueue[LockedWheel] = queue.SimpleQueue()
    # The largest first: it takes longest.
    for wheel in sorted(wheels, key=lambda wheel: -(wheel.size or 0)):
        waiting.put(wheel)
    # No thread pool: that waits at the end of the process for a thread which waits for its server.
    threads = [
        threading.Thread(target=_work, args=(fetcher.fetch, waiting, results, fetcher.stop), daemon=True)
        for _ in range(min(workers, len(wheels)))
    ]
    paths: dict[str, Path] = {}
    try:
        fetcher.progress.begin([wheel for wheel in wheels if not fetcher.is_cached(wheel)])
        for thread in threads:
            thread.start()
        while len(paths) < len(wheels):
            try:
                wheel, result = results.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(result, BaseException):
                raise result
            paths[wheel.name] = result
    finally:
        fetcher.stop.set()
        for thread in threads:
            if thread.ident is not None:
                thread.join(_STOP_S)
        fetcher.progress.end()
    return paths


def _work(
    fetch: Callable[[LockedWheel], Path],
    waiting: "queue.SimpleQueue[LockedWheel]",
    results: "queue.SimpleQueue[tuple[LockedWheel, Path | BaseException]]",
    stop: threading.Event,
) -> None:
    while not stop.is_set():
        try:
            wheel = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            results.put((wheel, fetch(wheel)))
        except Exception as error:  # noqa: BLE001 - the thread that waits raises it
            results.put((wheel, error))


def _starts_at(headers: Mapping[str, str], offset: int) -> bool:
    return headers.get("content-range", "").startswith(f"bytes {offset}-")


def _host(url: str) -> str:
    return urlsplit(without_userinfo(url)).netloc or "this machine"


def _wrong_hint() -> str:
    return "nothing was installed; if the lock is out of date, `ppp env lock` makes it again"
