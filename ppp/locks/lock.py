"""A lock: the files that were installed together where a cell passed, and how that was observed.

It pins files. It does not pin the base image, the architecture, pip, or what an sdist is built with: the lock says
which these were (`LockOrigin`), and whoever installs it elsewhere has another claim. One that holds an sdist is the
weaker kind, since what a build makes of it depends on tools that are not pinned.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ppp.model.matrix import Platform

_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,199}")


class LockStrength(StrEnum):
    """What a lock's files determine."""

    FILES = "files"
    WEAKER = "weaker: holds an sdist, whose build is not pinned"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """A wheel or sdist: `sha256` in hex, `size` in bytes, `upload_time` in UTC; None is what the index does not say."""

    filename: str
    url: str
    sha256: str
    size: int | None = None
    upload_time: datetime | None = None

    @property
    def is_wheel(self) -> bool:
        """Whether it is a wheel, not an sdist."""
        return self.filename.endswith(".whl")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """A release and its file; `name` is normalized. It is installed where `marker` is true, or always if it is None."""

    name: str
    version: str
    file: LockedFile
    marker: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOrigin:
    """Where the files were installed together: what the lock does not pin, and who observed it when.

    `evidence` are the ids of records. `image_digest` is None on the host platform, `python` the full version, None if
    the record does not say; `observed_at` is in epoch seconds. `preinstalled` is what the environment held before, as
    pairs (name, version).
    """

    environment: str
    platform: Platform
    arch: str
    python: str | None
    pip_version: str
    image_digest: str | None
    standin: bool
    node: str
    observed_at: int
    evidence: tuple[str, ...]
    preinstalled: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JointClaim:
    """That several packages were installed together on request: the requirements, and the modules that were imported.

    Nobody signed it: the records that `evidence` of the lock names are those of its files one by one.
    """

    requirements: tuple[str, ...]
    imported: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Packages by name, for the Pythons that `requires_python` admits.

    `extras` and `dependency_groups` are what markers of packages may ask for; `default_groups` are those groups that
    are installed if nobody says which. A lock of a single cell has none of them. `joint` is what was installed together
    where several packages were asked for, None where it is the installation that a record describes.
    """

    packages: tuple[LockedPackage, ...]
    requires_python: str
    origin: LockOrigin
    extras: tuple[str, ...] = ()
    dependency_groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()
    joint: JointClaim | None = None

    @property
    def strength(self) -> LockStrength:
        """What the files of the lock determine."""
        pinned = all(package.file.is_wheel for package in self.packages)
        return LockStrength.FILES if pinned else LockStrength.WEAKER


def is_plain(text: str) -> bool:
    """Return whether a text is a name or a version of plain characters, as locks have them, and not too long."""
    return _PLAIN.fullmatch(text) is not None
