"""What each cell has asked of the gateway, and how much it may: one cell's requests are no other cell's trouble.

A request counts only if it reaches the index, or sends a file. Cells that stay within these limits do not notice them.
"""

import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

#: For how long something that the index did not answer in time is not asked for again, in seconds: pip's six tries end
#: sooner.
TIMEOUT_MEMORY_S: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLimits:
    """Limits of one cell: pages that the index is asked for, at once and in all; failed requests; bytes of files.

    The largest installations that are known ask for a few hundred pages, and get about five gigabytes.
    """

    pages_at_once: int = 2
    pages: int = 3000
    failures: int = 100
    file_bytes: int = 32 * 1024**3


class RecentTimeouts:
    """What the index did not answer in time a moment ago, and is not asked for again until a while has passed.

    pip tries six times. If each try lasted until our own timeout, the cell's would end first, and the package would
    seem to take too long; so the next tries end at once, and pip reports the network. Usable by several threads.
    """

    def __init__(self, *, memory_s: float = TIMEOUT_MEMORY_S, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember each timeout for `memory_s` seconds on a monotonic `clock`."""
        self._memory_s = memory_s
        self._clock = clock
        self._until: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()

    def add(self, *what: str) -> None:
        """Remember that something was not answered in time."""
        with self._lock:
            now = self._clock()
            self._until = {one: until for one, until in self._until.items() if until > now}
            self._until[what] = now + self._memory_s

    def __contains__(self, what: tuple[str, ...]) -> bool:
        """Return whether something was not answered in time a moment ago."""
        with self._lock:
            return self._until.get(what, 0.0) > self._clock()


class CellLimitError(Exception):
    """A cell has reached one of its limits."""


@dataclass(slots=True, kw_only=True)
class _CellUse:
    slots: threading.Semaphore
    pages: int = 0
    failures: int = 0
    file_bytes: int = 0


@dataclass(slots=True)
class Cells:
    """The open cells by their addresses, which nginx passes on to the page server. Usable by several threads."""

    limits: CellLimits = field(default_factory=CellLimits)
    _uses: dict[str, _CellUse] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: int = 0

    @contextmanager
    def open(self) -> Iterator[str]:
        """Yield the address of a new cell, an IPv6 address; the cell ends with the context."""
        with self._lock:
            self._last += 1
            address = str(ipaddress.IPv6Address(self._last))
            self._uses[address] = _CellUse(slots=threading.Semaphore(self.limits.pages_at_once))
        try:
            yield address
        finally:
            with self._lock:
                del self._uses[address]

    @contextmanager
    def page_request(self, address: str) -> Iterator[None]:
        """Count a request of a page from the index, and wait until it may start; raise `CellLimitError`."""
        use = self._use(address)
        with use.slots:
            with self._lock:
                if use.pages >= self.limits.pages:
                    raise CellLimitError(f"this cell has asked for {use.pages} pages")
                use.pages += 1
            yield

    def count_failure(self, address: str) -> None:
        """Count a request that the index could not answer with a page or file."""
        with self._lock:
            if use := self._uses.get(address):
                use.failures += 1

    def count_file(self, address: str, size: int) -> None:
        """Count a file of `size` bytes; raise `CellLimitError`."""
        use = self._use(address)
        with self._lock:
            if use.file_bytes + size > self.limits.file_bytes:
                raise CellLimitError(f"this cell has got {use.file_bytes} bytes of files")
            use.file_bytes += size

    def check(self, address: str) -> None:
        """Raise `CellLimitError` if a cell has had too many failures, or does not exist."""
        self._use(address)

    def _use(self, address: str) -> _CellUse:
        with self._lock:
            use = self._uses.get(address)
        if use is None:
            raise CellLimitError("there is no such cell")
        if use.failures >= self.limits.failures:
            raise CellLimitError(f"the index could not answer {use.failures} requests of this cell")
        return use
