"""Drift, or a release's own fault: a failed cell is run with the index as it was, and what changed is searched for.

- A cell is run as of a day after its file was uploaded. The day is for projects that release several packages that need
  each other, in whatever order; what breaks a release within its first day counts as its own fault.
- A Python may be younger than the release: the build tools of that time do not run on it. So if the cell fails, it is
  run again with the build tools of the day after that Python came out, then with everything as of that day.
- If it passes, it is run once more as of now: a failure that does not return was none of a dependency's.
- Culprits are a smallest set of projects that have to stay as they were. It is searched for by halves, among the
  projects whose pages were asked for, in builds too, and of which files came later. What the failure names is tried
  first; if another failure follows, what that one names as well. Then the versions of each culprit are searched for the
  first that breaks it.
- All of that has a limit of runs. What was not found within it is not claimed.

Pure but for the runs, which are those of the caller.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from packaging.version import InvalidVersion, Version

from ppp.check.index.choose import IndexFile, choose_file, files_by_version
from ppp.check.index.client import Index
from ppp.check.index.view import IndexView, view_as_of
from ppp.check.runtime import PreparedEnvironment
from ppp.model.drift import MAX_CULPRITS, Culprit, Drift
from ppp.model.errors import UnknownPackageError
from ppp.model.record import Blame, Phase, Record, Result

DAY_S: Final = 86_400
#: How often a cell is run for one answer at most.
MAX_RUNS: Final = 24
#: Among how many projects a culprit is searched for.
MAX_CANDIDATES: Final = 64
#: Projects that only builds need, as a rule, the usual culprit first.
BUILD_TOOLS: Final = (
    "setuptools", "cython", "wheel", "setuptools-scm", "poetry-core", "hatchling", "flit-core", "pbr",
)  # fmt: skip
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
_WORD: Final = re.compile(r"[a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RanCell:
    """What was observed of a cell in a view, and the projects whose pages were asked for."""

    record: Record
    asked: frozenset[str]


class _RunsSpentError(Exception):
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
    is_over: Callable[[], bool] = lambda: False
    max_runs: int = MAX_RUNS
    runs: int = field(default=0, init=False)

    def observe(self, view: IndexView) -> RanCell:
        """Run the cell in a view; raise if that says nothing, or it was run too often."""
        if self.runs >= self.max_runs or self.is_over():
            raise _RunsSpentError
        self.runs += 1
        ran = self.run(view)
        if ran.record.result is Result.ERROR:
            raise _RunsSpentError
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
        moment = _moment_of_success(cell, known)
    except _RunsSpentError:
        return None
    if isinstance(moment, Drift):
        return moment
    shown = Drift(as_of=moment.as_of, result_then="PASS", runs=cell.runs)
    try:
        now = cell.observe(cell.today({}))
        if now.record.result is Result.PASS:
            # It was not what changed.
            return None
        culprits = _known_ones(cell, known) or _search(cell, moment, now)
    except _RunsSpentError:
        culprits = ()
    return replace(shown, runs=cell.runs, culprits=culprits)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Success:
    as_of: int
    view: IndexView
    ran: RanCell


def _moment_of_success(cell: ExaminedCell, known: Sequence[Culprit]) -> "_Success | Drift":
    """Return a view in which the cell passes; if there is none, what it showed at its upload."""
    as_of = cell.uploaded_at + DAY_S
    view = view_as_of(cell.record, as_of)
    first = cell.observe(view)
    if first.record.result is Result.PASS:
        return _Success(as_of=as_of, view=view, ran=first)
    result = str(first.record.result)
    if culprits := _known_ones(cell, known):
        return Drift(as_of=as_of, result_then=result, runs=cell.runs, culprits=culprits)
    try:
        for later, other in _later_views(cell, view, as_of, first.record):
            ran = cell.observe(other)
            if ran.record.result is Result.PASS:
                return _Success(as_of=later, view=other, ran=ran)
    except _RunsSpentError:
        # What it showed at its upload stands.
        pass
    return Drift(as_of=as_of, result_then=result, runs=cell.runs)


def _later_views(cell: ExaminedCell, view: IndexView, as_of: int, failed: Record) -> Iterable[tuple[int, IndexView]]:
    """Yield views for a Python that is younger than the release, each with its time."""
    released = PYTHON_RELEASED.get(cell.prepared.environment.python)
    usable = as_of if released is None else int(released.timestamp()) + DAY_S
    if usable <= as_of:
        return
    if failed.failed_phase is not Phase.IMPORT:
        tools = {tool: _visible(cell, IndexView(uploaded_before=usable), tool) for tool in BUILD_TOOLS}
        yield as_of, replace(view, allowed={**tools, **view.allowed})
    yield usable, view_as_of(cell.record, usable)


def _visible(cell: ExaminedCell, view: IndexView, project: str) -> frozenset[str]:
    return frozenset(
        file.sha256
        for file in cell.files(project)
        if file.sha256 and view.admits(project, sha256=file.sha256, uploaded_at=file.uploaded_at)
    )


# ---------------------------------------------------------------- what changed since


def _known_ones(cell: ExaminedCell, known: Sequence[Culprit]) -> tuple[Culprit, ...]:
    """Return the culprits of another cell if the same bounds make this one pass, else none."""
    if not known:
        return ()
    held = {one.name: _up_to(cell, one.name, Version(one.works_with)) for one in known}
    return tuple(known) if cell.passes(held) else ()


def _search(cell: ExaminedCell, then: _Success, now: RanCell) -> tuple[Culprit, ...]:
    candidates = _candidates(cell, then, now)
    held = {project: _visible(cell, then.view, project) for project in candidates}
    if not candidates or len(candidates) > MAX_CANDIDATES:
        return ()
    names = _followed(cell, held, now) or _smallest(cell, held, candidates)
    if len(names) > MAX_CULPRITS:
        return ()
    culprits: list[Culprit] = []
    bounded = {name: held[name] for name in names}
    for name in names:
        culprit = _bound(cell, name, bounded, then, now)
        bounded[name] = _up_to(cell, name, Version(culprit.works_with))
        culprits.append(culprit)
    return tuple(culprits)


def _candidates(cell: ExaminedCell, then: _Success, now: RanCell) -> tuple[str, ...]:
    """Return the projects that may be culprits: asked for, and changed since."""
    before, after = _installed(then.ran.record), _installed(now.record)
    asked = (then.ran.asked | now.asked | {*before}) - {cell.record.release.package}
    changed = [project for project in sorted(asked) if _has_changed(cell, then.view, project)]
    unequal = [p for p in changed if p in BUILD_TOOLS or p not in before or before[p] != after.get(p)]
    return tuple(unequal)


def _has_changed(cell: ExaminedCell, view: IndexView, project: str) -> bool:
    files = cell.files(project)
    return any(not view.admits(project, sha256=file.sha256, uploaded_at=file.uploaded_at) for file in files)


def _installed(record: Record) -> Mapping[str, tuple[str, str | None]]:
    return {one.name: (one.version, one.sha256) for one in record.installed}


def _followed(cell: ExaminedCell, held: Mapping[str, frozenset[str]], now: RanCell) -> tuple[str, ...]:
    """Return the culprits that failures name, each once those before it are as they were; none if that ends nowhere."""
    names: list[str] = []
    failed = now
    while len(names) < MAX_CULPRITS:
        named = _named(failed.record, {*held} - {*names})
        if named is None:
            return ()
        names.append(named)
        failed = cell.observe(cell.today({name: held[name] for name in names}))
        if failed.record.result is Result.PASS:
            return _needed(cell, held, names)
    return ()


def _needed(cell: ExaminedCell, held: Mapping[str, frozenset[str]], names: Sequence[str]) -> tuple[str, ...]:
    """Return those of some culprits without which the cell fails; the last one was just shown to be one."""
    needed = [*names]
    for name in names[:-1]:
        others = [other for other in needed if other != name]
        if cell.passes({other: held[other] for other in others}):
            needed = others
    return tuple(needed)


def _named(record: Record, projects: Iterable[str]) -> str | None:
    """Return the project that a failure names first, of some; None if it names none."""
    # A release's own name may begin with a project's: flask-uploads is not flask.
    text = _spaced(record.detail or "").replace(_spaced(record.release.package), "  ")
    places = {project: text.find(_spaced(project)) for project in projects}
    return min((one for one in places if places[one] >= 0), key=lambda one: (places[one], -len(one), one), default=None)


def _spaced(text: str) -> str:
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _smallest(cell: ExaminedCell, held: Mapping[str, frozenset[str]], candidates: tuple[str, ...]) -> tuple[str, ...]:
    """Return a smallest set of candidates with which the cell passes if they have only the files that they had."""

    def passes(names: Iterable[str]) -> bool:
        return cell.passes({name: held[name] for name in names})

    # What fails in a build names the tool least of all.
    if "setuptools" in candidates and len(candidates) > 1 and passes(["setuptools"]):
        return ("setuptools",)

    def minimal(fixed: tuple[str, ...], among: tuple[str, ...]) -> tuple[str, ...]:
        # With `fixed` and all of `among` the cell passes.
        if len(among) == 1:
            return among
        left, right = among[: len(among) // 2], among[len(among) // 2 :]
        for half in (left, right):
            if passes((*fixed, *half)):
                return minimal(fixed, half)
        kept = minimal((*fixed, *right), left)
        return (*kept, *minimal((*fixed, *kept), right))

    return minimal((), candidates)


def _bound(
    cell: ExaminedCell, name: str, bounded: Mapping[str, frozenset[str]], then: _Success, now: RanCell
) -> Culprit:
    """Return a culprit with the last version it works with and the first it fails with; others stay as they were."""
    versions = _versions(cell, name)
    was = _version_in(then.ran.record, name) or _newest(versions, cell, name, bounded[name])
    newest = _version_in(now.record, name) or (versions[-1] if versions else None)
    if was is None or newest is None or newest <= was:
        return Culprit(name=name, works_with=str(was or newest), fails_with=None)
    later = [version for version in versions if was < version <= newest]
    works, fails = -1, len(later) - 1
    while fails - works > 1:
        middle = (works + fails) // 2
        if cell.passes({**bounded, name: _up_to(cell, name, later[middle])}):
            works = middle
        else:
            fails = middle
    works_with = later[works] if works >= 0 else was
    return Culprit(name=name, works_with=str(works_with), fails_with=str(later[fails]) if later else None)


def _versions(cell: ExaminedCell, project: str) -> list[Version]:
    """Return the versions that pip may choose in the cell's environment, in their order."""
    found = files_by_version(project, cell.files(project))
    chosen = {version: choose_file(files, cell.prepared) for version, files in found.items()}
    return sorted(
        version
        for version, file in chosen.items()
        if isinstance(file, IndexFile) and not file.yanked and not version.is_prerelease
    )


def _newest(versions: Sequence[Version], cell: ExaminedCell, project: str, hashes: frozenset[str]) -> Version | None:
    found = files_by_version(project, (file for file in cell.files(project) if file.sha256 in hashes))
    return max((version for version in versions if version in found), default=None)


def _version_in(record: Record, project: str) -> Version | None:
    try:
        return next((Version(one.version) for one in record.installed if one.name == project), None)
    except InvalidVersion:
        return None


def _up_to(cell: ExaminedCell, project: str, version: Version) -> frozenset[str]:
    """Return the hashes of a project's files up to a version."""
    found = files_by_version(project, cell.files(project))
    return frozenset(file.sha256 for v, files in found.items() if v <= version for file in files if file.sha256)
