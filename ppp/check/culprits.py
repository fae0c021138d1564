"""Which projects have to stay below which versions for a cell to pass that passed once, found by runs.

- What the failure names is tried first, with the loosest bound with which that failure ends; if another one follows,
  what that names as well. The loosest: of what depends on the culprit pip then takes the newest release that it can,
  and that may bound others by itself. In the end each bound is confirmed while all others hold: with one version more,
  the cell fails.
- Where failures name nobody, a smallest set that has to stay as it was is searched for by halves, among the projects
  whose pages were asked for, in builds too, and of which files came later; then, for each, the first version that
  breaks it.

Pure but for the runs, which are those of the caller.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from packaging.version import InvalidVersion, Version

from ppp.check.examined_cell import ExaminedCell, Moment, RanCell
from ppp.check.index.choose import IndexFile, choose_file, files_by_version
from ppp.check.index.view import IndexView
from ppp.model.drift import MAX_CULPRITS, Culprit
from ppp.model.record import Record

#: Among how many projects a culprit is searched for.
MAX_CANDIDATES: Final = 64
#: How many bounds are searched for, one after the other, as failures name projects.
MAX_STEPS: Final = 8
#: Projects that only builds need, as a rule, the usual culprit first.
BUILD_TOOLS: Final = (
    "setuptools", "cython", "wheel", "setuptools-scm", "poetry-core", "hatchling", "flit-core", "pbr",
)  # fmt: skip
_WORD: Final = re.compile(r"[a-z0-9]+")
_VERSION: Final = re.compile(r"(?<!\d)\d+(\.\w+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _BoundSearch:
    """A culprit whose bound is searched for, with the files that others may have, and a run in which it fails."""

    name: str
    others: Mapping[str, frozenset[str]]
    then: Moment
    now: RanCell


def known_culprits(cell: ExaminedCell, known: Sequence[Culprit]) -> tuple[Culprit, ...]:
    """Return the culprits of another cell if the same bounds make this one pass, else none."""
    if not known:
        return ()
    held = {one.name: cell.up_to(one.name, Version(one.works_with)) for one in known}
    return tuple(known) if cell.passes(held) else ()


def find_culprits(cell: ExaminedCell, then: Moment, now: RanCell) -> tuple[Culprit, ...]:
    """Return the culprits of a cell that fails `now`; none if they are not found, or are too many.

    Where it failed `then` too, only what its failures name is tried: there is no set of files with which it passes.
    """
    candidates = _candidates(cell, then, now)
    if not candidates or len(candidates) > MAX_CANDIDATES:
        return ()
    held = {project: cell.visible(then.view, project) for project in candidates}
    if found := _followed(cell, held, then, now):
        return found
    return _smallest_bounded(cell, held, then, now) if then.ran.passed else ()


def _smallest_bounded(
    cell: ExaminedCell, held: Mapping[str, frozenset[str]], then: Moment, now: RanCell
) -> tuple[Culprit, ...]:
    """Return a smallest set of culprits, each with its bound while the others are as they were, or have theirs."""
    names = _smallest(cell, held, tuple(held))
    if len(names) > MAX_CULPRITS:
        return ()
    bounded = {name: held[name] for name in names}
    culprits: list[Culprit] = []
    for name in names:
        culprit, _ = _bound(cell, _BoundSearch(name=name, others=bounded, then=then, now=now), _passed)
        bounded[name] = cell.up_to(name, Version(culprit.works_with))
        culprits.append(culprit)
    return tuple(culprits)


def _candidates(cell: ExaminedCell, then: Moment, now: RanCell) -> tuple[str, ...]:
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


def _followed(
    cell: ExaminedCell, held: Mapping[str, frozenset[str]], then: Moment, now: RanCell
) -> tuple[Culprit, ...]:
    """Return the culprits that failures name, each bounded as loosely as that failure allows before the next is read.

    A loose bound lets pip take newer releases of what depends on the culprit, and these may bound others themselves.
    None if that ends nowhere.
    """
    culprits: dict[str, Culprit] = {}
    allowed: dict[str, frozenset[str]] = {}
    failed = now
    for _ in range(MAX_STEPS):
        named = _named(failed.record, held)
        if named is None or len({*culprits, named}) > MAX_CULPRITS:
            return ()
        others = {name: files for name, files in allowed.items() if name != named}
        oldest = cell.observe(cell.today({**others, named: held[named]}))
        if is_same_failure(oldest.record, failed.record):
            return ()
        # One that is named again failed unseen in versions that its bound allows: it gets a lower bound.
        step = _BoundSearch(name=named, others=others, then=then, now=failed)
        culprits[named], loosest = _bound(cell, step, partial(_is_past, failed))
        allowed[named] = cell.up_to(named, Version(culprits[named].works_with))
        failed = loosest or oldest
        if failed.passed:
            return _confirmed(cell, culprits, step, now)
    return ()


def _is_past(failed: RanCell, ran: RanCell) -> bool:
    # Versions that are too old for the Python may fail in another way; the right one is between them and these.
    return not is_same_failure(ran.record, failed.record)


def is_same_failure(one: Record, other: Record) -> bool:
    """Return whether two records are of one failure, whatever the versions in its text."""
    return (one.result, one.failed_phase, one.cause, _unversioned(one)) == (
        other.result,
        other.failed_phase,
        other.cause,
        _unversioned(other),
    )


def _unversioned(record: Record) -> str:
    return _VERSION.sub("", record.detail or "")


def _confirmed(
    cell: ExaminedCell, culprits: Mapping[str, Culprit], last: _BoundSearch, now: RanCell
) -> tuple[Culprit, ...]:
    """Return culprits, all but the last confirmed: with one version more the cell fails while all others are bounded.

    A failure may name one that is not at fault: it gets another bound, or is left out. The last was just shown to be
    one.
    """
    found = dict(culprits)
    for name in last.others:
        others = {one.name: cell.up_to(one.name, Version(one.works_with)) for one in found.values() if one.name != name}
        beyond = found[name].fails_with
        if not cell.passes(others if beyond is None else {**others, name: cell.up_to(name, Version(beyond))}):
            continue
        if beyond is None or cell.passes(others):
            del found[name]
        else:
            found[name], _ = _bound(cell, replace(last, name=name, others=others, now=now), _passed)
    return tuple(found.values())


def _passed(ran: RanCell) -> bool:
    return ran.passed


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


def _bound(cell: ExaminedCell, step: _BoundSearch, works: Callable[[RanCell], bool]) -> tuple[Culprit, RanCell | None]:
    """Return a culprit with the last version it works with and the first it fails with; others stay as they are.

    The run with that last version is returned too, unless it is the version that there was then.
    """
    name, versions = step.name, _versions(cell, step.name)
    was = _version_in(step.then.ran.record, name) or _newest(versions, cell, name, cell.visible(step.then.view, name))
    newest = _version_in(step.now.record, name) or (versions[-1] if versions else None)
    if was is None or newest is None or newest <= was:
        return Culprit(name=name, works_with=str(was or newest), fails_with=None), None
    later = [version for version in versions if was < version <= newest]
    working, failing, loosest = -1, len(later) - 1, None
    while failing - working > 1:
        middle = (working + failing) // 2
        ran = cell.observe(cell.today({**step.others, name: cell.up_to(name, later[middle])}))
        if works(ran):
            working, loosest = middle, ran
        else:
            failing = middle
    works_with = later[working] if working >= 0 else was
    return Culprit(name=name, works_with=str(works_with), fails_with=str(later[failing]) if later else None), loosest


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
