"""Why a node checked a cell again that had a result."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from ppp.model.canonical import Json
from ppp.model.release import Release


class TriggerKind(StrEnum):
    """What made a node check a cell again.

    That is a dependency's new release, or one that the index has withdrawn or yanked, a new image or pip, a file that
    was added to the release itself, or the age of the verdict.
    """

    DEPENDENCY = "dependency"
    WITHDRAWAL = "withdrawal"
    IMAGE = "image"
    PIP = "pip"
    LATE_FILE = "late-file"
    AGE = "age"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Why a cell was checked again.

    Of an image, `name` is its reference and `version` its new digest; of an old verdict, `name` is the id of its record
    and `version` the UTC day of it.
    """

    kind: TriggerKind
    name: str
    version: str

    @property
    def words(self) -> str:
        """What it was, as the end of a sentence."""
        if self.kind is TriggerKind.AGE:
            return f"its age: it last passed on {self.version}"
        return f"{self.kind} {self.name} {self.version}"

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"kind": str(self.kind), "name": self.name, "version": self.version}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON; raise `InvalidReleaseError` if a dependency's name or version is invalid."""
        kind, name, version = TriggerKind(data["kind"]), data["name"], data["version"]
        if kind in {TriggerKind.DEPENDENCY, TriggerKind.WITHDRAWAL}:
            # It becomes part of addresses and is compared with releases.
            release = Release.parse(name, version)
            name, version = release.package, release.version
        return cls(kind=kind, name=name, version=version)
