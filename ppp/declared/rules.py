"""What a declared set must be, after IPWHL; pure, from what was declared and what the index and the wheels say.

1. *One version*: no two wheels of one project are installable on the same platform.
2. *Verifiable source*: the index lists each file, by this name, for this release, with this sha256, and not yanked.
3. *Matching metadata*: requires-python, extras and dependencies are what each wheel's METADATA says.
4. *Closed dependencies*: in each environment, the set meets every dependency that applies there.
5. *Joint*: in each environment all of it is installed together and imported; see `ppp.runner.declared`.

A violation says what is wrong, and what to change in the file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from ppp.declared.declaration import DeclaredFile, DeclaredPackage, DeclaredSet, normal_requirement
from ppp.declared.wheel_tags import clash, is_installable
from ppp.index_files.file import IndexedFile
from ppp.model.matrix import EnvironmentId
from ppp.model.printable import printable_reason
from ppp.model.release import InvalidReleaseError, Release
from ppp.publish.verified_index.closure import marker_values

#: The extra that a marker names, in the form in which packaging writes it.
_EXTRA: Final = re.compile(r"""extra == "([^"]*)"|"([^"]*)" == extra""")


class DeclaredRule(StrEnum):
    """The rules of a declared set."""

    ONE_VERSION = "one-version"
    SOURCE = "source"
    METADATA = "metadata"
    CLOSED = "closed"
    JOINT = "joint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What breaks a rule: about which package or environment, what is wrong, and what to change."""

    rule: DeclaredRule
    about: str
    problem: str
    change: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.rule}: {self.about}: {self.problem}; {self.change}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMetadata:
    """What a wheel's METADATA says: headers as they are written there, `""` or nothing where one is missing."""

    name: str
    version: str
    requires_python: str = ""
    requires_dist: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What is known of declared files, by sha256 and package: how the index lists them, and their METADATA.

    A file that is missing in `indexed` is not listed by the index; one that is missing in `metadata` could not be read.
    """

    indexed: Mapping[tuple[str, str], IndexedFile]
    metadata: Mapping[tuple[str, str], WheelMetadata]


def version_violations(declared: DeclaredSet) -> Iterator[Violation]:
    """Yield the wheels of one project that are installable on the same platform."""
    wheels = [(package, file.filename) for package in declared.packages for file in package.files]
    for (package, one), (other_package, other) in combinations(wheels, 2):
        if package.release.package != other_package.release.package:
            continue
        if (platform := clash(one, other)) is not None:
            yield Violation(
                rule=DeclaredRule.ONE_VERSION,
                about=package.release.package,
                problem=f"{one} and {other} are both installable on {platform}",
                change="leave one of the two out",
            )


def source_violations(declared: DeclaredSet, facts: SourceFacts) -> Iterator[Violation]:
    """Yield the files that the index does not list as they are declared."""
    for package in declared.packages:
        for file in package.files:
            if found := _source_problem(package, file, facts.indexed.get((file.sha256, package.release.package))):
                problem, change = found
                yield Violation(rule=DeclaredRule.SOURCE, about=str(package.release), problem=problem, change=change)


def _source_problem(
    package: DeclaredPackage, file: DeclaredFile, indexed: IndexedFile | None
) -> tuple[str, str] | None:
    if indexed is None:
        return (
            f"the index lists no file of {package.release.package} with the sha256 {file.sha256}",
            f"write the hash that it gives for {file.filename}",
        )
    if indexed.filename != file.filename:
        return (
            f"the index lists the file with this hash as {indexed.filename}, not as {file.filename}",
            f"write file = {indexed.filename!r}, or the hash of the other file",
        )
    if indexed.yanked is not None:
        reason = f" ({indexed.yanked})" if indexed.yanked else ""
        return f"the index has yanked {file.filename}{reason}", "declare another version"
    return None


def metadata_violations(declared: DeclaredSet, facts: SourceFacts) -> Iterator[Violation]:
    """Yield what is declared otherwise than a wheel's METADATA says; files of unknown METADATA are left out."""
    for package in declared.packages:
        for file in package.files:
            metadata = facts.metadata.get((file.sha256, package.release.package))
            if metadata is None:
                if (file.sha256, package.release.package) in facts.indexed:
                    problem = f"the METADATA of {file.filename} cannot be read"
                    yield _metadata(package, problem, "declare another file")
                continue
            for problem, change in _differences(package, metadata):
                yield _metadata(package, f"{file.filename} {problem}", change)


def _metadata(package: DeclaredPackage, problem: str, change: str) -> Violation:
    return Violation(rule=DeclaredRule.METADATA, about=str(package.release), problem=problem, change=change)


def _differences(package: DeclaredPackage, metadata: WheelMetadata) -> Iterator[tuple[str, str]]:
    """Yield what differs, as pairs of what METADATA says and what to write."""
    try:
        requires_python = str(SpecifierSet(metadata.requires_python))
        required = {normal_requirement(text) for text in metadata.requires_dist}
    except (InvalidSpecifier, InvalidRequirement, RecursionError) as error:
        yield f"has METADATA that cannot be read ({printable_reason(str(error), 120)})", "declare another version"
        return
    if _release_of(metadata) != package.release:
        yield f"is {metadata.name} {metadata.version} by its METADATA", "declare another file"
    if requires_python != package.requires_python:
        yield f"requires Python {requires_python or 'of any version'}", f"write requires-python = {requires_python!r}"
    known = {canonicalize_name(extra) for extra in metadata.extras}
    for extra in package.extras:
        if extra not in known:
            yield f"has no extra {extra}", f"leave {extra!r} out of extras"
    wanted = {text for text in required if _belongs(text, package.extras)}
    declared = {*package.dependencies}
    for text in sorted(wanted - declared):
        yield f"depends on {text!r}", f"add {text!r} to dependencies"
    for text in sorted(declared - wanted):
        yield f"does not depend on {text!r}", f"leave {text!r} out of dependencies"


def _release_of(metadata: WheelMetadata) -> Release | None:
    try:
        return Release.parse(metadata.name, metadata.version)
    except InvalidReleaseError:
        return None


def _belongs(text: str, extras: Sequence[str]) -> bool:
    """Return whether a dependency is one without extras, or of one that is declared."""
    named = {canonicalize_name(a or b) for a, b in _EXTRA.findall(str(Requirement(text).marker or ""))}
    return not named or not named.isdisjoint(extras)


def installable_packages(declared: DeclaredSet, environment: str, arch: str) -> list[DeclaredPackage]:
    """Return the packages of which an environment may install a wheel, by its tags and its Python."""
    python = EnvironmentId.parse(environment).python_version
    return [
        package
        for package in declared.packages
        if any(is_installable(file.filename, environment, arch) for file in package.files)
        # A bound such as >=3.9.2 excludes 3.9.0, and not 3.9.
        and any(SpecifierSet(package.requires_python).contains(f"{python}.{micro}") for micro in (0, 99))
    ]


def closure_violations(declared: DeclaredSet, arch: str) -> Iterator[Violation]:
    """Yield what packages need in an environment and the set does not have there."""
    for environment in declared.environments:
        there = installable_packages(declared, environment, arch)
        if not there:
            yield Violation(
                rule=DeclaredRule.CLOSED,
                about=environment,
                problem="nothing of the set is installable there",
                change="add wheels for it, or leave it out of environments",
            )
        by_name = {package.release.package: package for package in there}
        values = {**marker_values(EnvironmentId.parse(environment).python_version), "platform_machine": arch}
        for package in there:
            for problem, change in _unmet_needs(package, by_name, values):
                about = f"{package.release} in {environment}"
                yield Violation(rule=DeclaredRule.CLOSED, about=about, problem=problem, change=change)


def _unmet_needs(
    package: DeclaredPackage, by_name: Mapping[str, DeclaredPackage], values: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for text in package.dependencies:
        if problem := _unmet(Requirement(text), package, by_name, values):
            yield problem


def _unmet(
    requirement: Requirement,
    package: DeclaredPackage,
    by_name: Mapping[str, DeclaredPackage],
    values: Mapping[str, str],
) -> tuple[str, str] | None:
    """Return why the set does not meet a dependency and what to change; None if it does, or need not."""
    if not _applies(requirement.marker, package.extras, values):
        return None
    found = by_name.get(canonicalize_name(requirement.name))
    if found is None:
        return f"it needs {requirement}, of which nothing is there", f"add a wheel of {requirement.name} for it"
    version = found.release.version
    if not requirement.specifier.contains(version, prereleases=True):
        return f"it needs {requirement}, and {version} is declared", f"declare another version of {requirement.name}"
    missing = sorted({canonicalize_name(extra) for extra in requirement.extras} - {*found.extras})
    if missing:
        return f"it needs the extra {missing[0]} of {requirement.name}", f"add {missing[0]!r} to its extras"
    return None


def _applies(marker: Marker | None, extras: Sequence[str], values: Mapping[str, str]) -> bool:
    try:
        return marker is None or any(marker.evaluate({**values, "extra": extra}) for extra in ("", *extras))
    except (UndefinedComparison, UndefinedEnvironmentName):
        # Where it has no value, pip fails.
        return True
