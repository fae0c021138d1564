"""What an index listed of a project when a cell was checked: it tells whether a result is about the newest release."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ppp.model.canonical import Json
from ppp.model.release import parse_version


@dataclass(frozen=True, slots=True, kw_only=True)
class OnIndex:
    """What a project's page listed.

    `newest` is the version that pip takes there if none is asked for, whatever Python it requires. `versions` is how
    many versions have a wheel or an sdist, yanked ones and pre-releases among them.
    """

    newest: str
    versions: int

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"newest": self.newest, "versions": self.versions}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON; raise `InvalidReleaseError` if the version is invalid."""
        return cls(newest=parse_version(data["newest"]), versions=data["versions"])
