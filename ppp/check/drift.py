"""Drift, or a release's own fault: a failed cell is run with the index as it was, and what changed is searched for.

- A cell is run as of a day after its file was uploaded. The day is for projects that release several packages that need
  each other, in whatever order; what breaks a release within its first day counts as its own fault.
- A Python may be younger than the release: the build tools of that time do not run on it. So if the cell fails, it is
  run again with the build tools of the day after that Python came out, then with everything as of that day.
- If it passes, it is run once more as of now: a failure that does not return was none of a dependency's.
- If it passes at none of these times, and failed otherwise than it does today, what today's failure names may have
  bounds with which it passes all the same: a Python may be too new for what came with the release, and for that only.
- Then the culprits are searched for: see `ppp.check.culprits`.
- All of that has a limit of runs. What was not found within it is not claimed.

Pure but for the runs, which are those of the caller.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from packaging.version import Version

from ppp.check.culprits import BUILD_TOOLS, find_culprits, is_same_failure, known_culprits
from ppp.check.examined_cell import ExaminedCell, Moment, RunsSpentError
from ppp.check.index.view import IndexView, view_as_of
from ppp.model.drift import Culprit, Drift
from ppp.model.record import Blame, Phase, Record, Result

DAY_S: Final = 86_400
#: When Pythons came out: the build tools of that day run on them.
PYTHON_RELEASED: Final[Mapping[str, datetime]] = {
    "3.9": datetime(2020, 10, 5, tzinfo=UTC),
    "3.10": datetime(2021, 10, 4, tzinfo=UTC),
    "3.11": datetime(2022, 10, 24, tzinfo=UTC),
    "3.12": datetime(2023, 10, 2, tzinfo=UTC),
    "3.13": datetime(2024, 10, 7, tzinfo=UTC),
    "3.14": datetime(2025, 10, 7, tzinfo=UTC),
}
#: The setuptools without pkg_resources.
PKG_RESOURCES_GONE: Final = Version("82")


def is_examined(record: Record, uploaded_at: int | None) -> bool:
    """Return whether a record is of a failure that what came after its upload may have caused."""
    if record.result is not Result.FAIL or record.file is None or uploaded_at is None:
        return False
    if record.observed_at - uploaded_at <= DAY_S:
        return False
    builds = record.failed_phase is Phase.NODEPS and not record.file.filename.endswith(".whl")
    return builds or record.failed_phase in {Phase.FULL, Phase.IMPORT}


def examine(cell: ExaminedCell, *, known: Sequence[Culprit] = ()) -> Drift | None:
    """Return what a failed cell shows with the index as it was, and what fixes it; None if nothing is shown.

    `known` are culprits of another cell of the release: they are tried before they are searched for.
    """
    try:
        moments = _moments(cell, known)
    except RunsSpentError:
        return None
    if isinstance(moments, Drift):
        return moments
    first, last = moments[0], moments[-1]
    shown = last if last.ran.passed else first
    drift = Drift(as_of=shown.as_of, result_then=str(shown.ran.record.result), runs=cell.runs)
    if not last.ran.passed and _failed_alike(cell, moments):
        return drift
    try:
        now = cell.observe(cell.today({}))
        if now.passed:
            # It was not what changed.
            return None if last.ran.passed else replace(drift, runs=cell.runs)
        culprits = (last.ran.passed and known_culprits(cell, known)) or find_culprits(cell, shown, now)
    except RunsSpentError:
        culprits = ()
    return replace(drift, runs=cell.runs, culprits=culprits)


def proven(record: Record, drift: Drift | None) -> Record:
    """Return a record with what was shown; where it is drift, that outranks what the log suggests."""
    if drift is None or not drift.is_proven:
        return replace(record, drift=drift)
    if [culprit.name for culprit in drift.culprits] == ["setuptools"] and _breaks_pkg_resources(drift.culprits[0]):
        return replace(record, drift=drift, cause="pkg-resources", blame=Blame.PACKAGE)
    return replace(record, drift=drift, cause="dependency-drift", blame=Blame.DEPENDENCY)


def _breaks_pkg_resources(culprit: Culprit) -> bool:
    return culprit.fails_with is not None and Version(culprit.fails_with) >= PKG_RESOURCES_GONE


# ---------------------------------------------------------------- when it passed


def _moments(cell: ExaminedCell, known: Sequence[Culprit]) -> Sequence[Moment] | Drift:
    """Return the moments at which the cell was run, up to the first at which it passes; or what known culprits show."""
    as_of = cell.uploaded_at + DAY_S
    view = view_as_of(cell.record, as_of)
    first = Moment(as_of=as_of, view=view, ran=cell.observe(view))
    if first.ran.passed:
        return [first]
    if culprits := known_culprits(cell, known):
        return Drift(as_of=as_of, result_then=str(first.ran.record.result), runs=cell.runs, culprits=culprits)
    moments = [first]
    try:
        for later, other in _later_views(cell, view, as_of, first.ran.record):
            moments.append(Moment(as_of=later, view=other, ran=cell.observe(other)))
            if moments[-1].ran.passed:
                break
    except RunsSpentError:
        # What it showed at its upload stands.
        pass
    return moments


def _failed_alike(cell: ExaminedCell, moments: Sequence[Moment]) -> bool:
    """Return whether it failed as it does today when all but build tools were as of its upload."""
    return any(
        is_same_failure(moment.ran.record, cell.record) for moment in moments if moment.as_of == moments[0].as_of
    )


def _later_views(cell: ExaminedCell, view: IndexView, as_of: int, failed: Record) -> Iterable[tuple[int, IndexView]]:
    """Yield views for a Python that is younger than the release, each with its time."""
    released = PYTHON_RELEASED.get(cell.prepared.environment.python)
    usable = as_of if released is None else int(released.timestamp()) + DAY_S
    if usable <= as_of:
        return
    if failed.failed_phase is not Phase.IMPORT:
        tools = {tool: cell.visible(IndexView(uploaded_before=usable), tool) for tool in BUILD_TOOLS}
        yield as_of, replace(view, allowed={**tools, **view.allowed})
    yield usable, view_as_of(cell.record, usable)
