"""What an installation installed, by the description that came out of the sandbox, held against what is known here.

The description is untrusted: what a build left running may have changed pip's report and the package's dist-info until
it was killed. So nothing in it may contradict what is known outside: the release, and the hash of the file that was
given to pip. What a package claims about itself (its metadata, its RECORD) is its own word and is taken as such; a
build of the package can forge nothing but that. Where only a wheel was installed, nothing was built, so nobody could
change anything. Pure.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ppp.check.causes import one_line
from ppp.check.contents import Requires
from ppp.check.modules import InstalledMetadata
from ppp.check.phases import PhaseReport
from ppp.check.shared_files import Claim, ClaimedFile
from ppp.model.canonical import is_sha256
from ppp.model.printable import first_of
from ppp.model.record import Blame, DistributionFile, Installed, Outcome
from ppp.model.release import MAX_VERSION_LENGTH, InvalidReleaseError, Release, parse_package

#: How many distributions a record may hold.
MAX_INSTALLED: Final = 2000
#: How many characters of Requires-Dist are parsed: ten times what the largest releases have.
MAX_REQUIRES_CHARS: Final = 400_000
#: A marker in its normal form, in which values are quoted, that depends on an extra.
_NAMES_EXTRA: Final = re.compile(r"\bextra == |== extra\b")
#: How many changed files a text names.
MAX_NAMED_FILES: Final = 3


class InvalidInspectionError(Exception):
    """A description that is not in the expected form. The text says what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DistInfo:
    """A package's own dist-info: the name of its folder, what it says about modules, sha256 (hex) of files by name.

    `entry_points` are rows of group, name and value.
    """

    folder: str
    metadata: InstalledMetadata
    digests: Mapping[str, str]
    entry_points: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A parsed description of an installation; see `sandbox/inside/inspection.py`, which makes it.

    `installed` is what pip reports, as it is published; `requested` the distributions that were asked for, as reported.
    `folders` are the dist-infos of the package's name. `requires` says what it requires here. `owned` are the modules
    that each distribution brought, where dependencies were installed; `shared` are the files that several name.
    `requirements` are the Requires-Dist of all of `installed`, by normalized name, None if they are too long; `markers`
    are the values of the marker variables here.
    """

    installed: tuple[Installed, ...]
    requested: tuple[Installed, ...]
    folders: frozenset[str]
    target: DistInfo | None
    requires: Requires
    requirements: Mapping[str, tuple[str, ...]] | None = None
    markers: Mapping[str, str] = field(default_factory=dict)
    owned: tuple[tuple[str, tuple[str, ...]], ...] = ()
    shared: tuple[ClaimedFile, ...] = ()

    @property
    def has_dependencies(self) -> bool:
        """Whether a dependency applies here."""
        return self.requires is Requires.HERE


def parse_inspection(output: str) -> Inspection:
    """Parse the output of an inspection; raise `InvalidInspectionError` if it is not one."""
    try:
        return _parse(json.loads(output))
    # RecursionError: JSON may be nested to any depth.
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidInspectionError(f"{type(error).__name__}: {output[-200:]}") from error


def _parse(data: Mapping[str, Any]) -> Inspection:
    rows = _list(data["installed"])
    if len(rows) > MAX_INSTALLED:
        raise ValueError(f"{len(rows)} distributions")
    markers = {_text(k): _text(v) for k, v in data["needs"]["markers"].items()}
    requires = data.get("requires")
    return Inspection(
        installed=tuple(sorted(map(_installed, rows), key=lambda i: (i.name, i.version, i.sha256 or ""))),
        requested=tuple(map(_as_reported, _list(data["requested"]))),
        folders=frozenset(_texts(data["folders"])),
        target=None if data["target"] is None else _dist_info(data["target"]),
        requires=what_is_required(_texts(data["needs"]["requires"]), markers),
        requirements=None
        if requires is None
        else {str(canonicalize_name(_text(k))): _texts(v) for k, v in requires.items()},
        markers=markers,
        owned=tuple((_text(name), _texts(modules)) for name, modules in _list(data.get("owned", []))),
        shared=tuple(map(_claimed_file, _list(data.get("shared", [])))),
    )


def _dist_info(data: Mapping[str, Any]) -> DistInfo:
    names = data["import_names"]
    return DistInfo(
        folder=_text(data["folder"]),
        metadata=InstalledMetadata(
            paths=_texts(data["paths"]),
            inner=_texts(data["inner"]),
            import_names=None if names is None else _texts(names),
            top_level=_texts(data["top_level"]),
        ),
        digests={_text(name): _text(digest) for name, digest in data["digests"].items()},
        entry_points=tuple(map(_entry_point, _list(data["entry_points"]))),
    )


def _claimed_file(row: object) -> ClaimedFile:
    path, claims, sha256 = _list(row)
    return ClaimedFile(
        path=_text(path), claims=tuple(map(_claim, _list(claims))), sha256=sha256 if is_sha256(sha256) else None
    )


def _claim(row: object) -> Claim:
    folder, digest, size = _texts(row)
    return Claim(folder=folder, digest=digest, size=size)


def _entry_point(row: object) -> tuple[str, str, str]:
    group, name, value = _texts(row)
    return group, name, value


def _installed(row: object) -> Installed:
    """Return a reported distribution in the form in which it is published, or raise `ValueError`.

    pip installs nothing whose name or version is invalid; lengths are those of the normal form.
    """
    reported = _as_reported(row)
    try:
        name = parse_package(reported.name)
    except InvalidReleaseError as error:
        raise ValueError(error.message) from error
    # As it was reported, which may be another spelling of the normal form.
    version = one_line(reported.version)
    if len(version) > MAX_VERSION_LENGTH:
        raise ValueError(f"a version of {len(version)} characters")
    return Installed(name=name, version=version, sha256=reported.sha256)


def _as_reported(row: object) -> Installed:
    name, version, sha256 = _list(row)
    return Installed(name=_text(name), version=_text(version), sha256=sha256 if is_sha256(sha256) else None)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of text")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} in place of a list")
    return value


def _texts(values: object) -> tuple[str, ...]:
    return tuple(map(_text, _list(values)))


def what_is_required(requires: Sequence[str], markers: Mapping[str, str]) -> Requires:
    """Return what these Requires-Dist ask for, without extras, with these values of the marker variables.

    Where they are too long to be parsed here, or not valid, one applies: pip decides.
    """
    if sum(map(len, requires)) > MAX_REQUIRES_CHARS:
        return Requires.HERE
    try:
        wanted = [Requirement(line).marker for line in requires]
        if any(marker is None or marker.evaluate({**markers, "extra": ""}) for marker in wanted):
            return Requires.HERE
    except (InvalidRequirement, InvalidVersion, UndefinedComparison, UndefinedEnvironmentName):
        return Requires.HERE
    if all(_NAMES_EXTRA.search(str(marker)) for marker in wanted):
        return Requires.FOR_EXTRAS if wanted else Requires.NOTHING
    return Requires.ELSEWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownInstallation:
    """What is known outside of an installation: the release, the file that pip was given, and who could forge a report.

    `alone` says that nothing but the release was to be installed. `built_by` is to blame for what is built while pip
    runs, as only that can change pip's report. It is `INFRASTRUCTURE` where nothing is built: then a report that cannot
    be is our own trouble, an `ERROR`.
    """

    release: Release
    file: DistributionFile
    alone: bool
    built_by: Blame


def contradiction(
    inspection: Inspection, known: KnownInstallation, is_listed: Callable[[str, str], bool]
) -> PhaseReport | None:
    """Return why an installation that pip called successful does not count all the same, or None.

    `is_listed` says whether the index lists a file of a project (normalized name) with a sha256 (hex).

    - pip's report names one distribution that was asked for, with the file that pip was given.
    - What was installed is the release that the file is named after: pip itself refuses a file of the index whose
      metadata has another name or version, but not a file that it is given.
    - There is one dist-info of exactly that name and version.
    - Every dependency is a file of the index.
    """
    release, file = known.release, known.file
    own = [item for item in inspection.installed if item.name == release.package]
    if len(inspection.requested) != 1 or len(own) > 1 or (known.alone and len(inspection.installed) != 1):
        return _forged("pip's report does not name exactly one distribution that was asked for", known)
    (found,) = inspection.requested
    if canonicalize_name(found.name) != release.package or not is_version(found.version, release.version):
        detail = f"{file.filename} is {found.name} {found.version} by its metadata"
        # It had the right name and version when it was installed alone.
        return _bad_metadata(detail) if known.alone else _forged(detail, known)
    if found.sha256 not in {None, file.sha256}:
        return _forged(f"pip's report gives another sha256 for {file.filename}: {found.sha256}", known)
    if known.alone and inspection.target is None:
        detail = f"there is not exactly one dist-info with the metadata of {found.name} {found.version}"
        # One that is there, but whose metadata reads differently here, is no fault that is known to be the package's.
        return _bad_metadata(detail) if len(inspection.folders) > 1 else _unknown(detail)
    for item in inspection.installed:
        if item.name != release.package and item.sha256 is not None and not is_listed(item.name, item.sha256):
            return _forged(f"pip's report names a file that the index does not list: {item.name} {item.version}", known)
    return None


def is_version(text: str, version: str) -> bool:
    """Return whether a text is a version, in whatever spelling, that is equal to a valid one."""
    try:
        return Version(text) == Version(version)
    except InvalidVersion:
        return False


def _forged(detail: str, known: KnownInstallation) -> PhaseReport:
    if known.built_by is Blame.INFRASTRUCTURE:
        return _unknown(detail)
    return PhaseReport(outcome=Outcome.FAIL, cause="forged-report", blame=known.built_by, detail=detail)


def _unknown(detail: str) -> PhaseReport:
    return PhaseReport(outcome=Outcome.ERROR, cause="sandbox", blame=Blame.INFRASTRUCTURE, detail=detail)


def _bad_metadata(detail: str) -> PhaseReport:
    return PhaseReport(outcome=Outcome.FAIL, cause="bad-metadata", blame=Blame.PACKAGE, detail=detail)


def changes_by_dependencies(alone: Inspection, full: Inspection, *, is_wheel: bool) -> str | None:
    """Return what dependencies changed in the package's dist-info, a sentence; None if nothing.

    `alone` describes the installation without dependencies, `full` the one with them. Where the package was built anew
    (it is no wheel), its files may differ by themselves, and only dist-infos that were added or removed count.
    """
    if alone.target is None:
        return None
    if alone.target.folder not in full.folders or full.target is None:
        return f"a dependency removed its {one_line(alone.target.folder)}"
    if added := sorted(full.folders - alone.folders):
        return f"a dependency added another dist-info of it: {_named(added)}"
    before, after = alone.target.digests, full.target.digests
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if is_wheel and changed:
        return f"a dependency changed its dist-info: {_named(changed)}"
    return None


def _named(names: Sequence[str]) -> str:
    return one_line(first_of(names, MAX_NAMED_FILES))
