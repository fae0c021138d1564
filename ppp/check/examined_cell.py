"""A failed cell that is examined: run again in views of the index, as often as its limits allow."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from packaging.version import Version

from ppp.check.index.choose import IndexFile, files_by_version
from ppp.check.index.client import Index
from ppp.check.index.view import IndexView, view_as_of
from ppp.check.runtime import PreparedEnvironment
from ppp.model.errors import UnknownPackageError
from ppp.model.record import Record, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class RanCell:
    """What was observed of a cell in a view, and the projects whose pages were asked for."""

    record: Record
    asked: frozenset[str]

    @property
    def passed(self) -> bool:
        """Whether the cell passed."""
        return self.record.result is Result.PASS


class RunsSpentError(Exception):
    """The limit of runs was reached, or a run ended in an `ERROR`."""


@dataclass(slots=True, kw_only=True)
class ExaminedCell:
    """A failed cell: its record, when its file was uploaded (epoch seconds), and how to run it in a view.

    Once `is_over`, it is not run again.
    """

    record: Record
    uploaded_at: int
    index: Index
    prepared: PreparedEnvironment
    run: Callable[[IndexView], RanCell]
    max_runs: int
    is_over: Callable[[], bool] = lambda: False
    runs: int = field(default=0, init=False)

    def observe(self, view: IndexView) -> RanCell:
        """Run the cell in a view; raise if that says nothing, or it was run too often."""
        if self.runs >= self.max_runs or self.is_over():
            raise RunsSpentError
        self.runs += 1
        ran = self.run(view)
        if ran.record.result is Result.ERROR:
            raise RunsSpentError
        return ran

    def passes(self, allowed: Mapping[str, frozenset[str]]) -> bool:
        """Return whether the cell passes today if some projects have only these files."""
        return self.observe(self.today(allowed)).record.result is Result.PASS

    def today(self, allowed: Mapping[str, frozenset[str]]) -> IndexView:
        """Return the view of the index of today in which some projects have only these files."""
        own = view_as_of(self.record, 0)
        return IndexView(allowed={**allowed, **own.allowed}, unyanked=own.unyanked)

    def files(self, project: str) -> tuple[IndexFile, ...]:
        """Return the files of a project, none if the index has no such project."""
        try:
            return self.index.files(project)
        except UnknownPackageError:
            return ()

    def visible(self, view: IndexView, project: str) -> frozenset[str]:
        """Return the hashes of a project's files that a view shows."""
        return frozenset(
            file.sha256
            for file in self.files(project)
            if file.sha256 and view.admits(project, sha256=file.sha256, uploaded_at=file.uploaded_at)
        )

    def up_to(self, project: str, version: Version) -> frozenset[str]:
        """Return the hashes of a project's files up to a version."""
        found = files_by_version(project, self.files(project))
        return frozenset(file.sha256 for v, files in found.items() if v <= version for file in files if file.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A view of the index as it was at a time (epoch seconds), and what came of the cell in it."""

    as_of: int
    view: IndexView
    ran: RanCell
