"""The content of a project's lock: pure, and the same bytes for the same resolutions.

A package that only some extras or groups need has a marker that says so (PEP 751: `'dev' in dependency_groups`).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import tomli_w
from packaging.markers import Marker
from packaging.pylock import Package, PackageWheel, Pylock
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ppp.project_env.project import ProjectRequirements

CREATED_BY: Final = "ppp"
#: The key, in `[tool.ppp]`, of the digest of what was required when the lock was made.
REQUIRED_KEY: Final = "requirements-sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Everything resolved together, and each part of it alone; an extra is resolved with the base."""

    union: Pylock
    base: Pylock
    extras: Mapping[str, Pylock]
    groups: Mapping[str, Pylock]

    def marker_of(self, package: Package) -> Marker | None:
        """Return when a package of the union is needed: where, and for which extras and groups; None if always.

        Raise `LookupError` if no part needs it.
        """
        in_base = _markers(self.base, package)
        if "" in in_base:
            return None
        terms = [*in_base]
        for selector, part in self._selected():
            # What the base needs there anyway needs no extra.
            alone = [where for where in _markers(part, package) if where not in in_base]
            terms += [f"({where}) and {selector}" if where else selector for where in alone]
        if not terms:
            raise LookupError(package.name)
        return Marker(terms[0] if len(terms) == 1 else " or ".join(f"({term})" for term in terms))

    def _selected(self) -> Iterator[tuple[str, Pylock]]:
        yield from ((f"'{name}' in extras", part) for name, part in sorted(self.extras.items()))
        yield from ((f"'{name}' in dependency_groups", part) for name, part in sorted(self.groups.items()))


def _markers(part: Pylock, package: Package) -> list[str]:
    return [
        str(each.marker or "") for each in part.packages if (each.name, each.version) == (package.name, package.version)
    ]


def merge_resolutions(resolution: Resolution, project: ProjectRequirements, *, requires_python: str) -> Pylock:
    """Return the lock of a project."""
    packages = []
    for package in sorted(resolution.union.packages, key=_package_key):
        with suppress(LookupError):
            packages.append(_package(package, resolution.marker_of(package)))
    return replace(empty_lock(project, requires_python=requires_python), packages=packages)


def empty_lock(project: ProjectRequirements, *, requires_python: str = "") -> Pylock:
    """Return a lock with no packages in it."""
    return Pylock(
        lock_version=Version("1.0"),
        created_by=CREATED_BY,
        requires_python=SpecifierSet(requires_python or project.requires_python) or None,
        extras=[NormalizedName(name) for name in sorted(project.extras)] or None,
        dependency_groups=sorted(project.groups) or None,
        default_groups=[] if project.groups else None,
        packages=[],
        tool={"ppp": {REQUIRED_KEY: project.digest}},
    )


def _package_key(package: Package) -> tuple[str, str, str]:
    return package.name, str(package.version), str(package.marker or "")


def _package(package: Package, marker: Marker | None) -> Package:
    return replace(
        package,
        marker=marker,
        # They are not needed to install, and tools differ in whether they say them.
        dependencies=None,
        sdist=None,
        wheels=sorted((_wheel(wheel) for wheel in package.wheels or ()), key=lambda wheel: wheel.filename),
        tool=None,
    )


def _wheel(wheel: PackageWheel) -> PackageWheel:
    return replace(wheel, name=wheel.filename)


def render_lock(lock: Pylock) -> bytes:
    """Return a lock as the bytes of a `pylock.toml`."""
    return tomli_w.dumps(lock.to_dict()).encode()


def is_up_to_date(lock: Pylock, project: ProjectRequirements) -> bool:
    """Return whether a lock of ours was made for what a project requires; true of one that does not say."""
    made_for = ((lock.tool or {}).get("ppp") or {}).get(REQUIRED_KEY)
    return made_for is None or made_for == project.digest


def with_sizes(lock: Pylock, size_of: Callable[[Package, PackageWheel], int]) -> Pylock:
    """Return a lock in which each wheel has a size: pip does not say them."""
    return replace(
        lock,
        packages=[
            replace(
                package,
                wheels=[
                    wheel if wheel.size is not None else replace(wheel, size=size_of(package, wheel))
                    for wheel in package.wheels or ()
                ],
            )
            for package in lock.packages
        ],
    )
