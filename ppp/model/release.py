"""Packages, versions and releases. Input is parsed at the boundary, so every `Release` is valid.

Whether a name or version is valid, and how long it is, is decided on its normal form, which is what is published: some
letters become two when they are made lower-case, and `packaging` takes a few that are not ASCII for Latin letters.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from ppp.model.errors import PPPError

#: The limits of PyPI itself; anything longer never reaches a file name or a page.
MAX_NAME_LENGTH: Final = 214
MAX_VERSION_LENGTH: Final = 128
#: The same patterns as in `record.schema.json`.
_NORMAL_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_NORMAL_VERSION: Final = re.compile(r"[0-9][0-9a-z.+!]*")


class InvalidReleaseError(PPPError):
    """A name or version is invalid by PEP 508 or PEP 440."""

    exit_code = 33


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Release:
    """One version of one package; `package` is normalized (PEP 503), `version` is in PEP 440's normal form."""

    package: str
    version: str

    @classmethod
    def parse(cls, package: str, version: str) -> Self:
        """Return the normalized release; raise `InvalidReleaseError` if the name or the version is invalid."""
        return cls(package=parse_package(package), version=parse_version(version))

    def __str__(self) -> str:
        """Return the requirement that pins the release, such as `six==1.17.0`."""
        return f"{self.package}=={self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedPackage:
    """A requested package with a version specifier that is not resolved yet (`""` means the newest version)."""

    package: str
    specifier: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `six`, `six==1.17.0` or `six>=1.16`; raise `InvalidReleaseError` for anything else."""
        hint = "write a name, optionally with a version, as in six==1.17.0"
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, RecursionError) as error:
            raise InvalidReleaseError(f"{_abbreviated(text)} is not a requirement", hint=hint) from error
        if requirement.url or requirement.marker or requirement.extras:
            raise InvalidReleaseError(f"{_abbreviated(text)} has a URL, a marker or extras", hint=hint)
        # packaging accepts a version of any length here, and fails only when it compares versions.
        if any(len(specifier.version) > MAX_VERSION_LENGTH for specifier in requirement.specifier):
            raise InvalidReleaseError(f"{_abbreviated(text)} names a version that is too long", hint=hint)
        return cls(package=parse_package(requirement.name), specifier=str(requirement.specifier))

    def __str__(self) -> str:
        """Return the request in the form that a user types."""
        return f"{self.package}{self.specifier}"


def _abbreviated(text: str) -> str:
    return repr(text if len(text) <= MAX_NAME_LENGTH else f"{text[:MAX_NAME_LENGTH]}…")


def parse_package(text: str) -> str:
    """Return the normalized package name; raise `InvalidReleaseError` if it is invalid."""
    try:
        if len(text) <= MAX_NAME_LENGTH:
            name = canonicalize_name(text, validate=True)
            if _NORMAL_NAME.fullmatch(name):
                return name
    except InvalidName:
        pass
    raise InvalidReleaseError(
        f"{text[:MAX_NAME_LENGTH]!r} is not a package name", hint="use letters, digits, '.', '-' and '_'"
    )


def parse_version(text: str) -> str:
    """Return a version in PEP 440's normal form; raise `InvalidReleaseError` if it is invalid."""
    try:
        if len(text) <= MAX_VERSION_LENGTH:
            version = str(Version(text))
            if len(version) <= MAX_VERSION_LENGTH and _NORMAL_VERSION.fullmatch(version):
                return version
    except (InvalidVersion, ValueError):
        pass
    raise InvalidReleaseError(f"{text[:MAX_VERSION_LENGTH]!r} is not a version", hint="use a version such as 1.17.0")


def version_key(version: str) -> str:
    """Return a text that sorts, byte by byte, in the order of PEP 440, so that SQL can order releases."""
    v = Version(version)
    release = list(v.release)
    while len(release) > 1 and release[-1] == 0:
        release.pop()
    if v.pre is not None:
        pre = f"{v.pre[0][0]}{_sortable(v.pre[1])}"
    else:
        pre = "Z" if v.post is None and v.dev is not None else "z"
    post = "0" if v.post is None else f"1{_sortable(v.post)}"
    dev = "z" if v.dev is None else _sortable(v.dev)
    # By PEP 440, a local version sorts after the same version without it, and a number after a word.
    local = "".join(f"2{_sortable(p)}" if p.isdigit() else f"1{p}," for p in (v.local or "").split(".") if p)
    return f"{_sortable(v.epoch)}:{''.join(map(_sortable, release))}.{pre}.{post}.{dev}.{local}"


def _sortable(number: int | str) -> str:
    digits = str(int(number))
    return f"{len(digits):03d}{digits}"
