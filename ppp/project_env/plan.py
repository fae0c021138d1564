"""Decide what makes an environment as its lock says: pure, from what is installed and what is locked.

A distribution is kept only if it is known to come from the locked file: its version is the locked one, an earlier
synchronization installed it from a file with this sha256, and its list of files (RECORD) is the same since then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ppp.model.printable import first_of
from ppp.project_env.locked import LockedWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledDistribution:
    """What an environment has: the sha256 of its RECORD in hex, None if it has none and so cannot be removed."""

    name: str
    version: str
    record_sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a distribution was installed from, and what its RECORD was then; both are sha256 in hex."""

    file_sha256: str
    record_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """What is to be done: names to remove, then wheels to install; or to make the environment anew."""

    remove: Sequence[str]
    install: Sequence[LockedWheel]
    #: Why the environment is made anew, an empty text if it is not.
    rebuild: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the environment is as its lock says."""
        return not (self.remove or self.install or self.rebuild)


def make_plan(
    wheels: Sequence[LockedWheel],
    installed: Iterable[InstalledDistribution],
    origins: Mapping[str, Origin],
    *,
    rebuild: str = "",
) -> SyncPlan:
    """Return what makes an environment that has `installed` as the lock says; `rebuild` is a reason to make it anew."""
    found: dict[str, list[InstalledDistribution]] = {}
    for distribution in installed:
        found.setdefault(distribution.name, []).append(distribution)
    damaged = sorted(name for name, all_of_it in found.items() if any(one.record_sha256 is None for one in all_of_it))
    if damaged and not rebuild:
        rebuild = f"{damaged[0]} cannot be removed, as its list of files is missing"
    if rebuild:
        return SyncPlan(remove=(), install=wheels, rebuild=rebuild)
    kept = {wheel.name for wheel in wheels if _is_as_locked(wheel, found.get(wheel.name, []), origins.get(wheel.name))}
    return SyncPlan(
        remove=[name for name in sorted(found) if name not in kept],
        install=[wheel for wheel in wheels if wheel.name not in kept],
    )


def _is_as_locked(wheel: LockedWheel, found: Sequence[InstalledDistribution], origin: Origin | None) -> bool:
    return (
        len(found) == 1
        and origin is not None
        and found[0].version == wheel.version
        and origin == Origin(file_sha256=wheel.sha256, record_sha256=found[0].record_sha256 or "")
    )


def describe_plan(plan: SyncPlan) -> str:
    """Return in a line what is to be done, for a person: at most three names of each kind."""
    parts = [plan.rebuild] if plan.rebuild else []
    install = [f"{wheel.name} {wheel.version}" for wheel in plan.install]
    named = (("install", install), ("remove", plan.remove))
    return "; ".join([*parts, *(f"{verb} {first_of(names, 3)}" for verb, names in named if names)])
