"""What a verified index lists: frozen values, from which pages are rendered, and their JSON in the build cache.

Everything about a file came from an index or from a package: it is checked where it is read, and escaped where it is
rendered.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Self

from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import InvalidVersion, Version

from ppp.model.release import version_key

#: Why a file that passed is not listed.
UNKNOWN_ADDRESS: Final = "unknown-address"
NO_FILE: Final = "no-file"
QUARANTINED: Final = "quarantined"
DAY_S: Final = 86_400
#: A requirement that one version meets; the name with which any requirement begins.
_PIN: Final = re.compile(r"\A([A-Za-z0-9][A-Za-z0-9._-]*+)==([^*;,\s]+)", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedFile:
    """A file that passed in one environment.

    `url` is its address at the index, and `mirrored` says whether this site has a copy. `uploaded` is UTC text as
    `2024-01-31T12:00:00.000000Z`; None where the index does not say. `yanked` is the index's reason, None for a file
    that is not yanked. `needs` are the requirements that the closure check looks for: those of its METADATA where the
    site has a copy of that, else what was installed with it, each as `name==version`. `imported` is False for a release
    that has nothing to import.
    """

    version: str
    filename: str
    sha256: str
    size: int
    url: str
    record: str
    uploaded: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    metadata_sha256: str | None = None
    imported: bool = True
    standin: bool = False
    arch: str = ""
    mirrored: bool = False
    needs: tuple[str, ...] = ()

    @property
    def uploaded_at(self) -> int | None:
        """Return the time of upload in epoch seconds, rounded down."""
        return None if self.uploaded is None else int(datetime.fromisoformat(self.uploaded).timestamp())


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedProject:
    """What passed of a project in one environment, by version, and how many files were left out, by reason."""

    files: tuple[VerifiedFile, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> Mapping[Version, bool]:
        """Return the versions that are listed, each with whether it can be taken without a pin (it is not yanked)."""
        return {Version(file.version): file.yanked is None for file in self.files}


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexName:
    """An index: of an environment, or with a cooldown of some days the part of it that is older.

    `days` is None without a cooldown.
    """

    environment: str
    days: int | None = None


def in_order(files: Sequence[VerifiedFile]) -> tuple[VerifiedFile, ...]:
    """Return files by version, then by name."""
    return tuple(sorted(files, key=lambda file: (version_key(file.version), file.filename)))


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedPackage:
    """What passed of a package, by environment; environments in which nothing of it passed are left out."""

    package: str
    projects: Mapping[str, VerifiedProject]

    @property
    def is_empty(self) -> bool:
        """Whether no index lists the package, and nothing of it was left out."""
        return not self.projects

    @property
    def needed(self) -> set[str]:
        """Return the names of the projects on whose listings the closure check of this one depends."""
        return {name for name, _ in self.needed_versions}

    @property
    def needed_versions(self) -> set[tuple[str, str]]:
        """Return the same, each with the version that meets a need (see `public_version`), `""` where any may."""
        needs = {need for project in self.projects.values() for file in project.files for need in file.needs}
        return {found for need in needs if (found := _needed_version(need))}

    def differing_versions(self, other: "VerifiedPackage") -> frozenset[str]:
        """Return the versions (see `public_version`) of which one lists something else than the other somewhere."""
        return frozenset(public_version(version) for _, version, *_ in _listed(self) ^ _listed(other))

    def matured_versions(self, *, days: int, first: int, last: int) -> frozenset[str]:
        """Return the versions (see `public_version`) with a file that became `days` days old from `first` to `last`."""
        return frozenset(
            public_version(file.version)
            for project in self.projects.values()
            for file in project.files
            if (uploaded := file.uploaded_at) is not None and first <= uploaded + days * DAY_S <= last
        )

    def to_text(self) -> str:
        """Return JSON for the build cache: the same package gives the same text."""
        return json.dumps(
            {
                environment: [[_row(file) for file in project.files], dict(sorted(project.left_out.items()))]
                for environment, project in sorted(self.projects.items())
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_text(cls, package: str, text: str) -> Self:
        """Return what `to_text` was made from."""
        rows: dict[str, Any] = json.loads(text)
        return cls(
            package=package,
            projects={
                environment: VerifiedProject(files=tuple(map(_file, files)), left_out=left_out)
                for environment, (files, left_out) in rows.items()
            },
        )


def _listed(package: VerifiedPackage) -> set[tuple[str, str, str | None, str | None]]:
    return {
        (environment, file.version, file.yanked, file.uploaded)
        for environment, project in package.projects.items()
        for file in project.files
    }


@lru_cache(65_536)
def public_version(version: str) -> str:
    """Return a version without its local part and trailing zeros, as a pin compares it; `""` if it is invalid."""
    try:
        return canonicalize_version(Version(version).public)
    except InvalidVersion:
        return ""


@lru_cache(65_536)
def _needed_version(need: str) -> tuple[str, str] | None:
    if pinned := _PIN.fullmatch(need):
        return canonicalize_name(pinned[1]), public_version(pinned[2])
    found = _NAME.match(need)
    return (canonicalize_name(found[0]), "") if found else None


_FIELDS: Final = tuple(VerifiedFile.__dataclass_fields__)


def _row(file: VerifiedFile) -> list[object]:
    return [getattr(file, name) for name in _FIELDS]


def _file(row: list[Any]) -> VerifiedFile:
    values = dict(zip(_FIELDS, row, strict=True))
    return VerifiedFile(**{**values, "needs": tuple(values["needs"])})


def matured(project: VerifiedProject, *, as_of: int, days: int) -> VerifiedProject:
    """Return the part of a project for an index with a cooldown.

    These are files that were uploaded `days` days before `as_of` (epoch seconds) or earlier, and are not yanked. A file
    whose time of upload is unknown is in no such index.
    """
    until = as_of - days * DAY_S
    kept = tuple(
        file
        for file in project.files
        if file.yanked is None and (uploaded := file.uploaded_at) is not None and uploaded <= until
    )
    return VerifiedProject(files=kept)


def next_maturity(package: VerifiedPackage, *, as_of: int, days: int) -> int | None:
    """Return when (epoch seconds) the next file of a package is old enough; None: there is none that is too young."""
    times = (
        uploaded + days * DAY_S
        for project in package.projects.values()
        for file in project.files
        if (uploaded := file.uploaded_at) is not None
    )
    return min((time for time in times if time > as_of), default=None)
