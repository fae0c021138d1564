"""A view of an index: the index with fewer files, as it was at a time, or narrowed to files that are known. Pure.

- `allowed` names files by their sha256 for some projects: of these, nothing else is there.
- `uploaded_before` is a time: of all other projects, only files that the index had by then are there. Where the index
  gives no time for a file it stays, because nobody can tell.
- `is_closed` leaves nothing of all other projects.

The gateway's pages leave out the same files, whatever pip asks for: also what builds need. A view can only be as right
as the index's times of upload; what was deleted or yanked since is as it is today.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ppp.check.index.choose import IndexFile
from ppp.check.index.client import Index
from ppp.check.index.page import ProjectStatus
from ppp.model.canonical import canonical_json, sha256_hex
from ppp.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexView:
    """Which files of an index are there: hashes (sha256, hex) by normalized project, and a time in epoch seconds.

    Files of `unyanked` projects count as not yanked: they were installed before they were.
    """

    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    uploaded_before: int | None = None
    unyanked: frozenset[str] = frozenset()
    is_closed: bool = False

    @property
    def digest(self) -> str:
        """A hash (hex) over all that the view depends on."""
        allowed = {project: sorted(hashes) for project, hashes in self.allowed.items()}
        parts = {
            "allowed": allowed,
            "uploaded_before": self.uploaded_before,
            "unyanked": sorted(self.unyanked),
            "is_closed": self.is_closed,
        }
        return sha256_hex(canonical_json(parts))

    def admits(self, project: str, *, sha256: str | None, uploaded_at: int | None) -> bool:
        """Return whether a file of a project is there."""
        if (hashes := self.allowed.get(project)) is not None:
            return sha256 in hashes
        if self.is_closed:
            return False
        return self.uploaded_before is None or uploaded_at is None or uploaded_at <= self.uploaded_before

    def hides_yank(self, project: str) -> bool:
        """Return whether files of a project count as not yanked."""
        return project in self.unyanked


def recorded_view(record: Record) -> IndexView:
    """Return the view in which a cell gets the files that its record names, and no other ones of these projects.

    What a record does not name, such as what a build needed, is as it was when the cell was observed.
    """
    allowed: dict[str, frozenset[str]] = {}
    if record.file:
        allowed[record.release.package] = frozenset({record.file.sha256})
    for one in record.installed:
        if one.sha256:
            allowed[one.name] = allowed.get(one.name, frozenset()) | {one.sha256}
    return IndexView(allowed=allowed, uploaded_before=record.observed_at, unyanked=frozenset(allowed))


def view_as_of(record: Record, at: int) -> IndexView:
    """Return the view of the index as it was at a time, with the file of a record's release whenever that came."""
    allowed = {record.release.package: frozenset({record.file.sha256})} if record.file else {}
    return IndexView(allowed=allowed, uploaded_before=at, unyanked=frozenset(allowed))


class ViewedIndex:
    """An index in a view; see `ppp.check.index.client.Index`."""

    def __init__(self, index: Index, view: IndexView) -> None:
        """Show `index` in `view`."""
        self._index = index
        self._view = view

    def files(self, package: str) -> tuple[IndexFile, ...]:
        """Return the files of a project that are there; raise as the index does."""
        files = (
            file
            for file in self._index.files(package)
            if self._view.admits(package, sha256=file.sha256, uploaded_at=file.uploaded_at)
        )
        if self._view.hides_yank(package):
            return tuple(replace(file, yanked=False, yanked_reason="") for file in files)
        return tuple(files)

    def status(self, package: str) -> ProjectStatus | None:
        """Return a project's status, which is that of today."""
        return self._index.status(package)

    def fetch(self, file: IndexFile, *, timeout_s: float, max_bytes: int) -> Path:
        """Return the path of a file; see `Index`."""
        return self._index.fetch(file, timeout_s=timeout_s, max_bytes=max_bytes)
