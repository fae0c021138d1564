"""What was read from an index's pages, by project, up to a number of files: each is held in memory."""

import threading
from collections import OrderedDict
from collections.abc import Sized
from typing import Generic, TypeVar

Files = TypeVar("Files", bound=Sized)


class PageStore(Generic[Files]):
    """The files of projects whose pages were read. Usable by several threads.

    Where there are more than `max_files`, the pages used longest ago are dropped; the one added last is kept.
    """

    def __init__(self, max_files: int) -> None:
        """Start with no page."""
        self._max_files = max_files
        self._pages: OrderedDict[str, Files] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, project: str) -> Files | None:
        """Return a project's files, or None if its page is not stored."""
        with self._lock:
            if project in self._pages:
                self._pages.move_to_end(project)
            return self._pages.get(project)

    def add(self, project: str, files: Files) -> None:
        """Store what a project's page lists, in place of what it listed before."""
        with self._lock:
            self._pages[project] = files
            self._pages.move_to_end(project)
            total = sum(map(len, self._pages.values()))
            while total > self._max_files and len(self._pages) > 1:
                total -= len(self._pages.popitem(last=False)[1])
