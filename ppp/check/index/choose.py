"""Which file pip would choose for a release in an environment, decided without running anything.

Pure: from the index's files and the environment's tags to a choice, or the reason why there is none.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import prod
from typing import Final, TypeAlias

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import (
    InvalidWheelFilename,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from ppp.check.index.page import ProjectStatus, Status
from ppp.check.runtime import PreparedEnvironment
from ppp.model.on_index import OnIndex
from ppp.model.release import MAX_VERSION_LENGTH, Release

#: 250 leaves room for a suffix such as `.metadata` below what a file system admits.
_FILENAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{,249}")
METADATA_SUFFIX: Final = ".metadata"
#: A wheel whose name has more tags than that is not considered: they multiply, and one name may have 100,000.
MAX_WHEEL_TAGS: Final = 1000
#: The suffixes of what pip takes for a source distribution.
ARCHIVE_SUFFIXES: Final = (
    ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma",
)  # fmt: skip
_DOT: Final = re.compile("[.]")
#: A longer requires-python excludes nothing, as an invalid one: parsing it could take long.
MAX_SPECIFIER_LENGTH: Final = 1000
#: Not yanked, a wheel, minus the position of its best tag, its build number, its name: the greatest is chosen.
_Rank: TypeAlias = tuple[bool, bool, int, tuple[()] | tuple[int, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """A file that the index lists; `sha256` is in hex. `url` never gets into the ledger, which is published.

    `project` is the normalized name of the project whose page lists it, `""` where no page does. `size` is in bytes;
    it and the time of the upload are None where the index does not say.
    """

    filename: str
    url: str
    sha256: str | None
    requires_python: str | None
    yanked: bool
    #: One line, `""` if the index gives no reason.
    yanked_reason: str = ""
    #: Of the index's copy of the wheel's METADATA (PEP 658), in hex.
    metadata_sha256: str | None = None
    project: str = ""
    size: int | None = None
    #: In UTC.
    upload_time: datetime | None = None

    @property
    def uploaded_at(self) -> int | None:
        """When it was uploaded, in epoch seconds."""
        return None if self.upload_time is None else int(self.upload_time.timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class NotClaimed:
    """Why a release does not claim an environment: a cause and a sentence."""

    cause: str
    detail: str


#: What is wrong with a release that has no file for an environment.
NO_FILE: Final = NotClaimed(cause="no-distribution", detail="ships neither a wheel for this platform nor an sdist")


def file_version(file: IndexFile, package: str) -> Version | None:
    """Return the version of a wheel or sdist; None for a file that is neither, or another project's.

    Also None where the name has unusual characters: it becomes part of a path here.
    """
    if not is_safe_filename(file.filename) or has_too_many_tags(file.filename):
        return None
    try:
        if file.filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(file.filename)
            return version if name == package else None
        suffix = next(filter(file.filename.endswith, ARCHIVE_SUFFIXES), "")
        rest = _after_name(file.filename.removesuffix(suffix), package)
        return Version(rest) if suffix and rest else None
    except (InvalidWheelFilename, InvalidVersion):
        return None


def _after_name(filename: str, package: str) -> str | None:
    """Return what follows a project's name and a dash in a file's name, as pip separates them; None if nothing does.

    A version may have dashes of its own, as in `lib-1.0-1.tar.gz`.
    """
    # Written with any of `-_.` where the normalized name has a dash, and in either case.
    name = "[-_.]+".join(map(re.escape, package.split("-")))
    match = re.match(f"{name}-(.+)", filename, re.IGNORECASE | re.ASCII)
    return match and match[1]


def has_unread_name(file: IndexFile, package: str) -> bool:
    """Return whether a file of a project looks like a wheel or an sdist, but its name cannot be read.

    pip skips it without a word. Such are wheels with a variant (PEP 825), which an older pip must not take for others.
    """
    return file.filename.endswith((".whl", *ARCHIVE_SUFFIXES)) and file_version(file, package) is None


def other_files(release: Release, files: Iterable[IndexFile]) -> list[str]:
    """Return the names of a release's files that are neither a wheel nor an sdist with a name that can be read.

    Such as eggs, installers, and wheels of a kind that is not known here. To whom a name belongs is guessed: of
    `lib-1.0-py2.7.egg`, `lib-1.0.win32.exe` and `lib-1.0-py3-none-any-x86_64_v3.whl` all belong to `lib==1.0`.
    """
    wanted = Version(release.version)
    return [
        file.filename
        for file in files
        if file_version(file, release.package) is None and _guessed_version(file.filename, release.package) == wanted
    ]


def _guessed_version(filename: str, package: str) -> Version | None:
    """Return the longest version that follows a project's name in a file's name, up to a dot or a dash, or None."""
    first = (_after_name(filename, package) or "").partition("-")[0]
    for dot in reversed([*_DOT.finditer(f"{first[:MAX_VERSION_LENGTH]}.")]):
        with suppress(InvalidVersion):
            return Version(first[: dot.start()])
    return None


def metadata_copy(file: IndexFile) -> IndexFile | None:
    """Return the index's copy of a wheel's METADATA (PEP 658) as a file to fetch; None if it has none with a hash."""
    if file.metadata_sha256 is None:
        return None
    url = file.url.partition("#")[0] + METADATA_SUFFIX
    filename, sha256 = file.filename + METADATA_SUFFIX, file.metadata_sha256
    return IndexFile(filename=filename, url=url, sha256=sha256, requires_python=None, yanked=False)


def is_safe_filename(filename: str) -> bool:
    """Return whether a name that an index gives a file can be used in a path: plain characters, and not too many."""
    return _FILENAME.fullmatch(filename) is not None


def has_too_many_tags(filename: str) -> bool:
    """Return whether a wheel's name has so many tags that no one could list them."""
    return prod(part.count(".") + 1 for part in filename.split("-")[-3:]) > MAX_WHEEL_TAGS


def release_files(release: Release, files: Iterable[IndexFile]) -> list[IndexFile]:
    """Return a release's wheels and sdists."""
    wanted = Version(release.version)
    return [file for file in files if file_version(file, release.package) == wanted]


def files_by_version(package: str, files: Iterable[IndexFile]) -> dict[Version, list[IndexFile]]:
    """Return a project's wheels and sdists by version."""
    by_version: dict[Version, list[IndexFile]] = {}
    for file in files:
        if (version := file_version(file, package)) is not None:
            by_version.setdefault(version, []).append(file)
    return by_version


def listed_on_index(by_version: Mapping[Version, Sequence[IndexFile]]) -> OnIndex | None:
    """Return what an index lists of a project, from `files_by_version`; None where it offers nothing without a pin.

    A version that is too long for a record does not count.
    """
    offered = {version: its for version, its in by_version.items() if len(str(version)) <= MAX_VERSION_LENGTH}
    newest = newest_version(((version, all(file.yanked for file in its)) for version, its in offered.items()), "")
    return None if newest is None else OnIndex(newest=str(newest), versions=len(offered))


def choose_file(files: Sequence[IndexFile], prepared: PreparedEnvironment) -> IndexFile | NotClaimed:
    """Choose among one release's files as pip does: requires-python, then the best wheel, else the sdist.

    Files that are not yanked come before all that are. The order of `files` does not matter.
    """
    admitted = [file for file in files if _admits_python(file.requires_python, prepared.python)]
    if not admitted:
        wants = next((file.requires_python for file in files if file.requires_python), "")
        return NotClaimed(cause="requires-python", detail=f"requires Python {wants}")
    ranks = {tag: rank for rank, tag in enumerate(prepared.tags)}
    usable = [(worth, file) for file in admitted if (worth := _rank(file, ranks)) is not None]
    if not usable:
        return NO_FILE
    return max(usable, key=lambda pair: pair[0])[1]


def newest_installable(
    package: str, files: Iterable[IndexFile], specifier: str, prepared: PreparedEnvironment
) -> Version | None:
    """Return what pip would install in an environment: the newest version that a specifier admits and that claims it.

    Where none claims it, return the newest that at least admits its Python, so that its cell can show what is missing.
    """
    judged = [
        (version, all(file.yanked for file in its), choose_file(its, prepared))
        for version, its in files_by_version(package, files).items()
    ]
    # What counts is the file that would be installed: that another one of the release is not yanked does not help.
    claiming = [(v, chosen.yanked) for v, _, chosen in judged if isinstance(chosen, IndexFile)]
    admitting = [(v, yanked) for v, yanked, chosen in judged if _lacks_a_file(chosen)]
    return newest_version(claiming, specifier) or newest_version(admitting, specifier)


def unmet_cause(requirement: Requirement, files: Iterable[IndexFile], prepared: PreparedEnvironment) -> str:
    """Return the cause for which pip finds nothing to meet a requirement: `requires-python` or `no-distribution`.

    It is `requires-python` only if a version that would do has a file for this platform, but excludes the Python.
    """
    package, pinned = canonicalize_name(requirement.name), is_pinned(str(requirement.specifier))
    platforms = {tag.rpartition("-")[2] for tag in prepared.tags}
    for file in files:
        version = file_version(file, package)
        wanted = version is not None and requirement.specifier.contains(version, prereleases=True)
        # pip does not look at yanked files, unless one is pinned.
        wanted = wanted and (pinned or not file.yanked)
        if wanted and not _admits_python(file.requires_python, prepared.python) and _is_for_platform(file, platforms):
            return "requires-python"
    return "no-distribution"


def unmet_because(requirement: Requirement, files: Iterable[IndexFile], status: ProjectStatus | None) -> str | None:
    """Return what the index says that explains why pip finds nothing to meet a requirement, a clause; None for nothing.

    pip's own words do not tell a project that is quarantined, or whose releases are yanked, from one that never was.
    """
    if status is not None and status.status is Status.QUARANTINED:
        return f"the index has quarantined it{_reason(status.reason)}"
    by_version = files_by_version(canonicalize_name(requirement.name), files)
    specifier = str(requirement.specifier)
    pairs = [(version, all(file.yanked for file in its)) for version, its in by_version.items()]
    newest = None if is_pinned(specifier) else all_yanked(pairs, specifier)
    if newest is None:
        return None
    return f"every release that would do is yanked{_reason(by_version[newest][0].yanked_reason)}"


def _reason(text: str) -> str:
    return f": {text}" if text else ""


def _is_for_platform(file: IndexFile, platforms: Collection[str]) -> bool:
    if not file.filename.endswith(".whl"):
        return True
    return any(tag.platform in platforms for tag in parse_wheel_filename(file.filename)[3])


def _lacks_a_file(chosen: IndexFile | NotClaimed) -> bool:
    return isinstance(chosen, NotClaimed) and chosen.cause != "requires-python"


def _admits_python(requires_python: str | None, python: str) -> bool:
    # As in pip, an invalid specifier excludes nothing.
    if len(requires_python or "") > MAX_SPECIFIER_LENGTH:
        return True
    try:
        return SpecifierSet(requires_python or "").contains(python, prereleases=True)
    except InvalidSpecifier:
        return True


def _rank(file: IndexFile, ranks: Mapping[str, int]) -> _Rank | None:
    """Return a key that orders files as pip does; None for a wheel of another platform.

    Of equal files pip chooses the last one on the page, and an index lists files by name.
    """
    if not file.filename.endswith(".whl"):
        return not file.yanked, False, 0, (), file.filename
    _, _, build, tags = parse_wheel_filename(file.filename)
    supported = [ranks[str(tag)] for tag in tags if str(tag) in ranks]
    return (not file.yanked, True, -min(supported), build, file.filename) if supported else None


def newest_version(versions: Iterable[tuple[Version, bool]], specifier: str) -> Version | None:
    """Return the newest version that a specifier admits, of pairs (version, whether all its files are yanked).

    As in pip, pre-releases count only if nothing else is admitted, be it yanked; and yanked versions only if nothing
    else is admitted and the specifier pins one.
    """
    yanked = dict(versions)
    admitted = _admitted(yanked, specifier)
    others = [version for version in admitted if not yanked[version]]
    return max(others or (admitted if is_pinned(specifier) else []), default=None)


def all_yanked(versions: Iterable[tuple[Version, bool]], specifier: str) -> Version | None:
    """Return the newest version that a specifier admits if all of those are yanked, else None; see `newest_version`."""
    yanked = dict(versions)
    admitted = _admitted(yanked, specifier)
    return max(admitted, default=None) if all(yanked[version] for version in admitted) else None


def is_pinned(specifier: str) -> bool:
    """Return whether a specifier names one version, as in `==1.0`: only then pip installs a yanked one (PEP 592)."""
    return any(
        part.operator == "===" or (part.operator == "==" and not part.version.endswith(".*"))
        for part in SpecifierSet(specifier)
    )


def _admitted(versions: Iterable[Version], specifier: str) -> list[Version]:
    admits, known = SpecifierSet(specifier), list(versions)
    return list(admits.filter(known)) or list(admits.filter(known, prereleases=True))
