"""Check a declared set against the index, its wheels and its environments, and make a release of it.

What is cheap is checked first: cells run only if nothing else is wrong. The rules are in `ppp.declared.rules`.
"""

import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from ppp.check.index.choose import IndexFile
from ppp.check.index.client import DownloadError, DownloadTimeoutError, SimpleIndex
from ppp.check.index.listed_files import read_project
from ppp.check.wheel_contents import read_wheel
from ppp.declared.declaration import DeclaredPackage, DeclaredSet
from ppp.declared.folder import read_latest, write_release
from ppp.declared.release import DeclaredRelease, make_release, sign_release
from ppp.declared.rules import (
    DeclaredRule,
    SourceFacts,
    Violation,
    WheelMetadata,
    closure_violations,
    installable_packages,
    metadata_violations,
    source_violations,
    version_violations,
)
from ppp.index_files.file import IndexedFile
from ppp.index_files.store import open_index_files
from ppp.ledger.schema import read_ledger
from ppp.locks.lock import Lock
from ppp.locks.pylock import write_pylock
from ppp.mesh.node import load_or_create_key
from ppp.model.errors import UnknownPackageError
from ppp.model.matrix import Environment, Matrix
from ppp.model.release import RequestedPackage
from ppp.runner.context import Context
from ppp.runner.environments import open_index
from ppp.runner.joint import answer_requests
from ppp.runner.joint_cells import JointRequest, ProvenFiles
from ppp.watch.joint_requirements import JointRequirement

#: How long a wheel may take to arrive, in seconds.
FETCH_TIMEOUT_S: Final = 600
MIB: Final = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedSet:
    """What breaks the rules; if nothing does, what a release is made of: the index's word, a lock for each environment.

    There are no locks if cells were not run.
    """

    violations: tuple[Violation, ...]
    indexed: Mapping[tuple[str, str], IndexedFile] = field(default_factory=dict)
    locks: Mapping[str, Lock] = field(default_factory=dict)


def check_declared(
    context: Context, matrix: Matrix, environments: Sequence[Environment], declared: DeclaredSet, *, runs_cells: bool
) -> CheckedSet:
    """Return what breaks the rules of a set; `environments` are those that it names.

    Raise `IndexUnreachableError`, and as `answer_requests` does.
    """
    facts = read_facts(context, matrix, declared)
    arch = platform.machine()
    found = [
        *version_violations(declared),
        *source_violations(declared, facts),
        *metadata_violations(declared, facts),
        *closure_violations(declared, arch),
    ]
    if found or not runs_cells:
        return CheckedSet(violations=tuple(dict.fromkeys(found)), indexed=facts.indexed)
    requests, unproven = _requests(context, environments, declared, arch)
    if unproven:
        return CheckedSet(violations=tuple(unproven), indexed=facts.indexed)
    answers = answer_requests(context, matrix, requests)
    blocked = [
        Violation(
            rule=DeclaredRule.JOINT, about=one.environment, problem=blocker.about, change=blocker.hint or "run it again"
        )
        for one in answers
        for blocker in one.blockers
    ]
    locks = {one.environment: one.lock for one in answers if one.lock}
    return CheckedSet(violations=tuple(blocked), indexed=facts.indexed, locks=locks)


def read_facts(context: Context, matrix: Matrix, declared: DeclaredSet) -> SourceFacts:
    """Return what the index says of the declared files, and what the wheels that it lists say of themselves."""
    index = open_index(context.config)
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for package in declared.packages:
        wanted[package.release.package].update(file.sha256 for file in package.files)
    # As it lists them now: what is known here may be from before a yank.
    listed = [file for project in sorted(wanted) for file in _listed(index, project, context.now)]
    indexed = {(file.sha256, file.project): file for file in listed if file.sha256 in wanted[file.project]}
    with open_index_files(context.config.data) as index_files:
        index_files.add(indexed.values())
    metadata = {
        key: found for key, file in indexed.items() if (found := _metadata(index, file, matrix.limits.file_mb * MIB))
    }
    return SourceFacts(indexed=indexed, metadata=metadata)


def _listed(index: SimpleIndex, project: str, now: int) -> list[IndexedFile]:
    try:
        return [file for file in read_project(index, project, now) if file.project == project]
    except UnknownPackageError:
        return []


def _metadata(index: SimpleIndex, file: IndexedFile, max_bytes: int) -> WheelMetadata | None:
    listed = IndexFile(
        filename=file.filename,
        url=file.url,
        sha256=file.sha256,
        requires_python=file.requires_python,
        yanked=file.yanked is not None,
    )
    try:
        contents = read_wheel(index.fetch(listed, timeout_s=FETCH_TIMEOUT_S, max_bytes=max_bytes))
    except (DownloadError, DownloadTimeoutError, OSError):
        return None
    return parse_metadata(contents.metadata) if contents and contents.metadata else None


def parse_metadata(content: bytes) -> WheelMetadata:
    """Return what the headers of a METADATA file say."""
    headers = BytesHeaderParser().parsebytes(content)

    def all_of(name: str) -> tuple[str, ...]:
        return tuple(" ".join(str(value).split()) for value in headers.get_all(name, []))

    return WheelMetadata(
        name=str(headers.get("Name", "")),
        version=str(headers.get("Version", "")),
        requires_python=str(headers.get("Requires-Python", "")).strip(),
        requires_dist=all_of("Requires-Dist"),
        extras=all_of("Provides-Extra"),
    )


def _requests(
    context: Context, environments: Sequence[Environment], declared: DeclaredSet, arch: str
) -> tuple[list[JointRequest], list[Violation]]:
    """Return a joint cell for each environment, of the declared files alone; and files that are not proven there."""
    requests, unproven = [], []
    with closing(read_ledger(context.config.data)) as db:
        for environment in environments:
            proven = ProvenFiles.read(db, environment.id)
            packages = installable_packages(declared, environment.id, arch)
            files = {
                key: proven.files[key]
                for package in packages
                for key in ((package.release.package, file.sha256) for file in package.files)
                if key in proven.files
            }
            unproven += [_not_proven(one, environment) for one in packages if not _has_proven(one, files)]
            wanted = [_requirement(package) for package in packages]
            requests.append(JointRequest(environment=environment, requirements=wanted, proven=ProvenFiles(files=files)))
    return requests, unproven


def _has_proven(package: DeclaredPackage, files: Mapping[tuple[str, str], object]) -> bool:
    return any((package.release.package, file.sha256) in files for file in package.files)


def _not_proven(package: DeclaredPackage, environment: Environment) -> Violation:
    return Violation(
        rule=DeclaredRule.JOINT,
        about=environment.id,
        problem=f"no declared file of {package.release} is proven there",
        change=f"check it with `ppp check {environment.id} {package.release}`, or declare the file that passes there",
    )


def _requirement(package: DeclaredPackage) -> JointRequirement:
    parsed = Requirement(package.requirement)
    wanted = RequestedPackage(package=package.release.package, specifier=str(parsed.specifier))
    return JointRequirement(wanted=wanted, extras=package.extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRelease:
    """What became of a set that was to be released: what breaks the rules, or its release and whether it is new."""

    violations: tuple[Violation, ...]
    release: DeclaredRelease | None = None
    is_new: bool = False


def build_release(
    context: Context, matrix: Matrix, environments: Sequence[Environment], declared: DeclaredSet, folder: Path
) -> BuiltRelease:
    """Check a set, and write its release on top of the newest one in a folder, signed by this node.

    A set that is the same as in the newest release makes none: then all is checked but the cells. Raise
    `DeclaredReleaseError` if what is there is not this node's own, and as `check_declared` does.
    """
    key, _ = load_or_create_key(context.config.data, context.config.node_seed)
    previous = read_latest(folder, declared.name, {key.id})
    is_new = previous is None or previous.declared != declared
    checked = check_declared(context, matrix, environments, declared, runs_cells=is_new)
    if checked.violations or not is_new:
        return BuiltRelease(violations=checked.violations, release=None if checked.violations else previous)
    release = make_release(declared, checked.indexed, checked.locks, previous)
    locks = {environment: write_pylock(lock) for environment, lock in checked.locks.items()}
    write_release(folder, release, sign_release(release, key), locks)
    return BuiltRelease(violations=(), release=release, is_new=True)
