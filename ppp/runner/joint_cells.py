"""Run one joint cell with the index narrowed to what is proven: see `ppp.check.joint`."""

import re
import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from sqlite_utils import Database

from ppp.check.causes import missing_requirement
from ppp.check.index.view import IndexView
from ppp.check.joint import JointCell, JointChecker, JointRun
from ppp.check.phases import PhaseReport
from ppp.check.runtime import PreparedEnvironment
from ppp.ledger.passes import PassedFile, files_that_passed, results_in
from ppp.ledger.queries import records_by_id
from ppp.ledger.schema import read_ledger
from ppp.locks.joint import Blocker, BlockKind, unmet
from ppp.model.errors import NoEnvironmentError
from ppp.model.matrix import Environment
from ppp.model.record import Blame, Outcome
from ppp.run_folders import run_folder
from ppp.runner.between_canaries import between_canaries, prepared_of
from ppp.runner.context import Context
from ppp.runner.environments import ReadyEnvironments
from ppp.watch.joint_requirements import JointRequirement
from ppp.watch.markers import applies_in

#: How often a cell is run if that ends in an `ERROR`.
ATTEMPTS: Final = 2
#: How many releases a command in a hint names.
MAX_NAMED: Final = 20
BUILD_DEPENDENCY: Final = "build-dependency"
#: In pip's words, which names the versions in the same way.
_NEEDED_BY: Final = re.compile(
    r"^ERROR: Could not find a version that satisfies the requirement .{1,1000}? \(from (?!versions: )([\w.-]+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenFiles:
    """The files that pass in an environment now, by project and sha256."""

    files: Mapping[tuple[str, str], PassedFile]

    @classmethod
    def read(cls, db: Database, environment: str) -> "ProvenFiles":
        """Return those of an environment."""
        return cls(files={(file.package, file.sha256): file for file in files_that_passed(db, environment)})

    @property
    def view(self) -> IndexView:
        """The view of the index that has these files, and no other ones of any project."""
        allowed: defaultdict[str, set[str]] = defaultdict(set)
        for project, sha256 in self.files:
            allowed[project].add(sha256)
        return IndexView(allowed={project: frozenset(found) for project, found in allowed.items()}, is_closed=True)

    def modules(self, package: str, sha256: str) -> Sequence[str]:
        """Return the modules that decide whether a release imports, by its file; raise `KeyError` for others."""
        return self.files[package, sha256].modules


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRequest:
    """What is to be locked together in one environment, and of which files."""

    environment: Environment
    requirements: Sequence[JointRequirement]
    proven: ProvenFiles

    def applying(self, facts: Mapping[str, str]) -> list[JointRequirement]:
        """Return the requirements that apply there; without `facts` of its interpreter, those that certainly do."""
        return [one for one in self.requirements if applies_in(one.marker, self.environment, facts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointCellResult:
    """What came of a joint cell: that it passed, with the requirements that applied there; or what blocks it."""

    prepared: PreparedEnvironment | None = None
    run: JointRun | None = None
    requirements: tuple[str, ...] = ()
    blockers: tuple[Blocker, ...] = ()


def unmet_requirements(db: Database, request: JointRequest, facts: Mapping[str, str]) -> tuple[Blocker, ...]:
    """Return which of the requirements that apply nothing proven meets; `facts` are as in `JointRequest.applying`."""
    id_ = request.environment.id
    found = (
        unmet(Requirement(one.text), results_in(db, one.wanted.package, id_), id_) for one in request.applying(facts)
    )
    return tuple(dict.fromkeys(blocker for blocker in found if blocker))


def run_joint_cell(context: Context, ready: ReadyEnvironments, request: JointRequest) -> JointCellResult:
    """Return what came of the joint cell of a request, between two runs of its environment's canary."""
    try:
        prepared = prepared_of(ready, request.environment)
        with closing(read_ledger(context.config.data)) as db:
            if found := unmet_requirements(db, request, prepared.markers):
                return JointCellResult(blockers=found)
        requirements = by_package(request.applying(prepared.markers))
        if not requirements:
            detail, hint = "no requirement applies there", "see their markers"
            return _blocked(BlockKind.NOTHING_APPLIES, detail, hint)
        with between_canaries(ready, prepared):
            run = _run(ready, request, prepared, requirements)
    except NoEnvironmentError as error:
        return _blocked(BlockKind.UNAVAILABLE, error.message, error.hint)
    if run.passed:
        return JointCellResult(
            prepared=prepared, run=run, requirements=tuple(text for _, text in sorted(requirements.items()))
        )
    with closing(read_ledger(context.config.data)) as db:
        return JointCellResult(blockers=(_blocker(db, request, run),))


def by_package(requirements: Sequence[JointRequirement]) -> dict[str, str]:
    """Return one requirement for each package, of all that is said of it."""
    grouped: defaultdict[str, list[JointRequirement]] = defaultdict(list)
    for one in requirements:
        grouped[one.wanted.package].append(one)
    found = {}
    for package, said in grouped.items():
        extras = ",".join(sorted({extra for one in said for extra in one.extras}))
        specifiers = ",".join(sorted({str(part) for one in said for part in Requirement(one.text).specifier}))
        found[package] = str(Requirement(f"{package}{f'[{extras}]' if extras else ''}{specifiers}"))
    return found


def _run(
    ready: ReadyEnvironments, request: JointRequest, prepared: PreparedEnvironment, requirements: Mapping[str, str]
) -> JointRun:
    assert ready.gateway is not None  # noqa: S101 - the open network was refused
    checker = JointChecker(
        runtime=ready.runtimes[request.environment.platform],
        prepared=replace(prepared, index_view=ready.gateway.open_view(request.proven.view)),
        matrix=ready.matrix,
        hosts=ready.index.hosts,
        hide=ready.index.hide_credentials,
    )
    cell = JointCell(
        requirements=requirements,
        modules=request.proven.modules,
        is_proven=lambda project, sha256: (project, sha256) in request.proven.files,
    )
    for _ in range(ATTEMPTS):
        with run_folder("ppp-cell-") as folder:
            run = checker.check(cell, folder)
        if run.report.outcome is not Outcome.ERROR:
            break
        # On a full disk every other cell would end in an error too.
        ready.check_room()
    return run


def _blocker(db: Database, request: JointRequest, run: JointRun) -> Blocker:
    """Return what blocks a joint cell that did not pass."""
    report = run.report
    said = f"{report.cause}: {report.detail}" if report.detail else str(report.cause)
    if report.outcome is Outcome.ERROR:
        return Blocker(kind=BlockKind.UNDECIDED, requirement="", detail=said, hint="run the same command again")
    if run.package is not None:
        return Blocker(
            kind=BlockKind.NOT_IMPORTED_TOGETHER,
            requirement=run.package,
            detail=f"installed with the others it does not import, with the cause {said}",
            hint="each passed alone: bound one of them to another proven version",
        )
    return _missing(db, request, report) or Blocker(
        kind=BlockKind.NOT_INSTALLED_TOGETHER,
        requirement="",
        detail=f"pip cannot install them together from what is proven, with the cause {said}",
        hint="bound them to other versions, or check more of what they need",
    )


def _missing(db: Database, request: JointRequest, report: PhaseReport) -> Blocker | None:
    """Return that nothing proven meets what a package, or its build, requires; None if that is not why pip failed."""
    builds = report.cause == BUILD_DEPENDENCY
    # Of a build's own pip the log has the same lines.
    asked = replace(report, cause="no-distribution", blame=Blame.DEPENDENCY) if builds else report
    wanted, environment = missing_requirement(asked), request.environment.id
    if wanted is None:
        return None
    needs = _NEEDED_BY.findall(report.log)
    needed_by = "what builds one of them" if builds else needs[-1] if needs else ""
    found = unmet(wanted, results_in(db, canonicalize_name(wanted.name), environment), environment, needed_by=needed_by)
    # pip stops at the first: the records say what else there is.
    if found and not builds and len(others := _unproven(db, request)) > 1:
        command = shlex.join(["ppp", "check", environment, *others[:MAX_NAMED]])
        hint = f"`{command}` checks what these were installed with when they passed, as far as that is not proven"
        return replace(found, hint=hint)
    return found


def _unproven(db: Database, request: JointRequest) -> list[str]:
    """Return the releases with which the newest proven ones that were asked for passed, and that are not proven."""
    proven = {(file.package, file.version): file for file in request.proven.files.values()}
    found: set[str] = set()
    for one in request.requirements:
        specifier = Requirement(one.text).specifier
        versions = [*specifier.filter([version for package, version in proven if package == one.wanted.package])]
        newest = max(versions, key=Version, default=None)
        for record in records_by_id(db, proven[one.wanted.package, newest].record, limit=1) if newest else ():
            found |= {
                f"{each.name}=={each.version}" for each in record.installed if (each.name, each.version) not in proven
            }
    return sorted(found)


def _blocked(kind: BlockKind, detail: str, hint: str) -> JointCellResult:
    return JointCellResult(blockers=(Blocker(kind=kind, requirement="", detail=detail, hint=hint),))
