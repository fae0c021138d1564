"""Which file pip would take for a release in an environment, decided without running anything.

Pure: the index's files and the environment's own tags go in, a choice or the reason why there is none comes out.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from ppp.check.runtime import PreparedEnvironment
from ppp.model.release import Release

_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{,254}")
#: Not yanked, a wheel, minus the place of its best tag, its build number, its name: the greatest is taken.
_Rank: TypeAlias = tuple[bool, bool, int, tuple[()] | tuple[int, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file that the index lists; `url` is for this run only and is never kept. `sha256` is hex."""

    filename: str
    url: str
    sha256: str | None
    requires_python: str | None
    yanked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClaimed:
    """The release does not claim the environment: why, as a cause and a sentence."""

    cause: str
    detail: str


def file_version(file: IndexFile, package: str) -> Version | None:
    """Give the version that a wheel or sdist is of; None for a file that is neither, or another project's.

    Nor is one whose name holds more than names of files do: it becomes a path here.
    """
    if not _FILENAME.fullmatch(file.filename):
        return None
    try:
        if file.filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(file.filename)
        else:
            name, version = parse_sdist_filename(file.filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return version if name == package else None


def release_files(release: Release, files: Iterable[IndexFile]) -> list[IndexFile]:
    """Give a release's wheels and sdists."""
    wanted = Version(release.version)
    return [file for file in files if file_version(file, release.package) == wanted]


def choose_file(files: Sequence[IndexFile], prepared: PreparedEnvironment) -> IndexFile | NotClaimed:
    """Choose among one release's files as pip does: requires-python, then the best wheel, else the sdist.

    What is not yanked stands above all that is. The order of the files does not matter.
    """
    admitted = [file for file in files if _admits_python(file.requires_python, prepared.python)]
    if not admitted:
        wants = next((file.requires_python for file in files if file.requires_python), "")
        return NotClaimed(cause="requires-python", detail=f"requires Python {wants}")
    ranks = {tag: rank for rank, tag in enumerate(prepared.tags)}
    usable = [(worth, file) for file in admitted if (worth := _rank(file, ranks)) is not None]
    if not usable:
        return NotClaimed(cause="no-distribution", detail="ships neither a wheel for this platform nor an sdist")
    return max(usable, key=lambda pair: pair[0])[1]


def newest_installable(
    package: str, files: Iterable[IndexFile], specifier: str, prepared: PreparedEnvironment
) -> Version | None:
    """Give what pip would install in an environment: the newest version that a specifier admits and that claims it.

    Where none claims it, the newest that at least admits its Python, so that what is missing there can be said.
    """
    by_version: dict[Version, list[IndexFile]] = {}
    for file in files:
        if (version := file_version(file, package)) is not None:
            by_version.setdefault(version, []).append(file)
    judged = [
        (version, all(file.yanked for file in its), choose_file(its, prepared)) for version, its in by_version.items()
    ]
    claiming = [(v, yanked) for v, yanked, chosen in judged if isinstance(chosen, IndexFile)]
    admitting = [(v, yanked) for v, yanked, chosen in judged if not _excluded_by_python(chosen)]
    return newest_version(claiming, specifier) or newest_version(admitting, specifier)


def unmet_cause(requirement: Requirement, files: Iterable[IndexFile], prepared: PreparedEnvironment) -> str:
    """Say why pip finds nothing to meet a requirement: `requires-python`, or `no-distribution`.

    The first only where a version that is wanted has a file for this platform, were it not for the Python.
    """
    package = canonicalize_name(requirement.name)
    platforms = {tag.rpartition("-")[2] for tag in prepared.tags}
    for file in files:
        version = file_version(file, package)
        wanted = version is not None and requirement.specifier.contains(version, prereleases=True)
        if wanted and not _admits_python(file.requires_python, prepared.python) and _is_for_platform(file, platforms):
            return "requires-python"
    return "no-distribution"


def _is_for_platform(file: IndexFile, platforms: Collection[str]) -> bool:
    if not file.filename.endswith(".whl"):
        return True
    return any(tag.platform in platforms for tag in parse_wheel_filename(file.filename)[3])


def _excluded_by_python(chosen: IndexFile | NotClaimed) -> bool:
    return isinstance(chosen, NotClaimed) and chosen.cause == "requires-python"


def _admits_python(requires_python: str | None, python: str) -> bool:
    # As pip does: a specifier that cannot be read excludes nothing.
    try:
        return SpecifierSet(requires_python or "").contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def _rank(file: IndexFile, ranks: Mapping[str, int]) -> _Rank | None:
    """Order files as pip does; None for a wheel of another platform.

    Of equal ones pip takes the last on its page, and an index lists files by name.
    """
    if not file.filename.endswith(".whl"):
        return not file.yanked, False, 0, (), file.filename
    _, _, build, tags = parse_wheel_filename(file.filename)
    supported = [ranks[str(tag)] for tag in tags if str(tag) in ranks]
    return (not file.yanked, True, -min(supported), build, file.filename) if supported else None


def newest_version(versions: Iterable[tuple[Version, bool]], specifier: str) -> Version | None:
    """Give the newest version that a specifier admits, of (version, all its files are yanked) pairs.

    Pre-releases and yanked versions count only where nothing else is admitted, as pip has it.
    """
    pairs = list(versions)
    admits = SpecifierSet(specifier)
    for candidates in ([v for v, yanked in pairs if not yanked], [v for v, _ in pairs]):
        admitted = list(admits.filter(candidates)) or list(admits.filter(candidates, prereleases=True))
        if admitted:
            return max(admitted)
    return None
