"""Select from a lock (PEP 751) the files for one Python: markers, extras and dependency groups decide.

Only wheels are taken: what building an sdist results in is not locked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from packaging.markers import Environment, InvalidMarker, UndefinedComparison, UndefinedEnvironmentName
from packaging.pylock import Package, PackageWheel, Pylock, PylockSelectError
from packaging.tags import Tag

from ppp.locks.any_lock import NotALockError, file_fault, parse_any_lock
from ppp.model.errors import ProjectFileError
from ppp.model.file_sizes import MAX_DISTRIBUTION_BYTES

_LOCK_HINT: Final = "`ppp env lock` makes it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFacts:
    """What decides which files suit a Python: the values of markers, and its tags from the best to the worst."""

    markers: Mapping[str, str]
    tags: Sequence[str]
    site_packages: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LockSelection:
    """The extras and the dependency groups that are wanted besides the dependencies."""

    extras: Collection[str] = ()
    groups: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedWheel:
    """A wheel that a lock names for a Python. `size` is in bytes, None if the lock does not say."""

    name: str
    version: str
    filename: str
    url: str
    sha256: str
    size: int | None

    @property
    def max_bytes(self) -> int:
        """How many bytes it may have at most."""
        return MAX_DISTRIBUTION_BYTES if self.size is None else self.size


def parse_lock(content: bytes, source: str) -> Pylock:
    """Return a lock; `source` names it in errors. Raise `ProjectFileError`."""
    try:
        return parse_any_lock(content)
    except NotALockError as error:
        raise ProjectFileError(f"{source} is not a valid lock: {error}", hint=_LOCK_HINT) from error


def select_wheels(lock: Pylock, facts: PythonFacts, selection: LockSelection, source: str) -> tuple[LockedWheel, ...]:
    """Return the wheels for a Python, by name; `source` names the lock in errors.

    Raise `ProjectFileError` for an extra or a group that the lock does not have, a package that has no wheel for this
    Python or no sha256, and everything that makes the lock unsuitable for it.
    """
    _check_names("extra", selection.extras, lock.extras, source)
    _check_names("group", selection.groups, lock.dependency_groups, source)
    groups = {*selection.groups, *(lock.default_groups or ())}
    try:
        chosen = lock.select(
            environment=cast("Environment", facts.markers),
            tags=[Tag(*tag.split("-")) for tag in facts.tags],
            extras=[*selection.extras],
            dependency_groups=sorted(groups),
        )
        wheels = [locked_wheel(package, file, source) for package, file in chosen]
    except (PylockSelectError, InvalidMarker, UndefinedComparison, UndefinedEnvironmentName) as error:
        raise ProjectFileError(f"{source} is not for this Python: {error}", hint=_LOCK_HINT) from error
    return tuple(sorted(wheels, key=lambda wheel: wheel.name))


def _check_names(kind: str, wanted: Collection[str], known: Collection[str] | None, source: str) -> None:
    if missing := sorted(set(wanted) - set(known or ())):
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise ProjectFileError(f"{source} has no {kind} {missing[0]}", hint=has)


def locked_wheel(package: Package, file: Any, source: str) -> LockedWheel:  # noqa: ANN401 - five unrelated classes
    """Return a file that a lock names as a wheel that can be fetched and checked; raise `ProjectFileError`."""
    hint = "lock a version that has a wheel for this Python: what building results in is not locked"
    if not isinstance(file, PackageWheel):
        raise ProjectFileError(f"{source} has no wheel of {package.name} for this Python", hint=hint)
    sha256 = file.hashes.get("sha256", "").lower()
    if fault := file_fault(file.filename, sha256, file.size):
        raise ProjectFileError(f"{source} {fault}", hint=_LOCK_HINT)
    if not file.url:
        raise ProjectFileError(f"{source} has no address of {file.filename}", hint=_LOCK_HINT)
    version = str(package.version) if package.version else file.filename.split("-")[1]
    return LockedWheel(
        name=package.name, version=version, filename=file.filename, url=file.url, sha256=sha256, size=file.size
    )
