"""Environments and the limits of a cell. `ppp.config` reads them from `matrices/`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any, Final, Self

from ppp.model.errors import UnknownEnvironmentError
from ppp.model.queue_policy import QueuePolicy
from ppp.model.record import Phase, Record
from ppp.model.release import Release

#: The same pattern as in `record.schema.json` and `matrix.schema.json`.
ENVIRONMENT_ID: Final = re.compile(r"py(3)([0-9]{1,2})-(slim|alpine|host)", re.ASCII)


class Platform(StrEnum):
    """The system that an environment runs on, in the order in which environments are listed."""

    SLIM = "slim"
    ALPINE = "alpine"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentId:
    """The parts of an environment's id: `py312-alpine` is Python (3, 12) on Alpine."""

    python: tuple[int, int]
    platform: Platform

    @staticmethod
    @cache
    def parse(text: str) -> "EnvironmentId":
        """Return the parts of an id; raise `ValueError` if it is not one."""
        # Only ids of this form: they become file names, table values and parts of URLs.
        match = ENVIRONMENT_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not the id of an environment")
        major, minor, platform = match.groups()
        return EnvironmentId(python=(int(major), int(minor)), platform=Platform(platform))

    @property
    def python_version(self) -> str:
        """The Python as people write it: `3.12`."""
        return f"{self.python[0]}.{self.python[1]}"

    @property
    def python_key(self) -> int:
        """The Python as one number that sorts: 309 for 3.9, 312 for 3.12."""
        # As text, 3.9 would sort after 3.12.
        return self.python[0] * 100 + self.python[1]

    @property
    def sort_key(self) -> tuple[int, tuple[int, int]]:
        """The place in any list of environments: by platform (slim, Alpine, host), then from the oldest Python on."""
        return _PLATFORM_ORDER[self.platform], self.python

    def __str__(self) -> str:
        """Return the id itself."""
        return f"py{self.python[0]}{self.python[1]}-{self.platform}"


def environment_sort_key(environment: str) -> tuple[int, tuple[int, int]]:
    """Return the key that sorts ids of environments; see `EnvironmentId.sort_key`."""
    return EnvironmentId.parse(environment).sort_key


_PLATFORM_ORDER: Final = {platform: place for place, platform in enumerate(Platform)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A row of a matrix; `python` is `3.12`, `image` is empty on the host platform."""

    id: str
    python: str
    platform: Platform
    image: str = ""

    def __str__(self) -> str:
        """Return the id, such as `py312-alpine`."""
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The resource limits of one cell: `_mb` in mebibytes, `_kb` in kibibytes, `cpus` in cores."""

    memory_mb: int
    cpus: float
    processes: int
    open_files: int
    disk_mb: int
    file_mb: int
    log_kb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedPip:
    """The pip that all cells use: its version and the sha256 (hex) of its wheel."""

    version: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Environments, limits, a timeout in seconds for each phase, the pinned pip, and the order of the queue."""

    environments: tuple[Environment, ...]
    limits: Limits
    timeouts_s: Mapping[Phase, int]
    pip: PinnedPip
    queue: QueuePolicy = field(default_factory=QueuePolicy)

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """Build a matrix from a document that is valid by `matrix.schema.json`."""
        return cls(
            environments=tuple(
                Environment(
                    id=row["id"], python=row["python"], platform=Platform(row["platform"]), image=row.get("image", "")
                )
                for row in data["environment"]
            ),
            limits=Limits(**data["limits"]),
            timeouts_s={phase: data["timeouts_s"][phase] for phase in Phase},
            pip=PinnedPip(**data["pip"]),
            queue=QueuePolicy.from_data(data.get("queue", {})),
        )

    def select(self, ids: Iterable[str]) -> tuple[Environment, ...]:
        """Return the named environments in the matrix's order, or all if none is named.

        Raise `UnknownEnvironmentError`, which lists all unknown ids.
        """
        wanted = set(ids)
        known = {environment.id for environment in self.environments}
        # All of them at once: who mistyped two names learns it in one go.
        if unknown := [name or "''" for name in sorted(wanted - known)]:
            raise UnknownEnvironmentError(
                f"no such environment: {', '.join(unknown)}",
                hint=f"the matrix has {', '.join(sorted(known))}",
            )
        # In the order of the matrix, whatever order they were named in: lists and tables look the same each time.
        return tuple(e for e in self.environments if not wanted or e.id in wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One release in one environment."""

    release: Release
    environment: str

    @classmethod
    def of(cls, record: Record) -> Self:
        """Return the cell that a record is about."""
        return cls(release=record.release, environment=record.environment)

    def __str__(self) -> str:
        """Return the cell in the form `six==1.17.0 in py312-slim`."""
        return f"{self.release} in {self.environment}"
