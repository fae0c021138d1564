"""What a failed cell did with the index as it was when its release came: it tells drift from a fault of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from ppp.model.canonical import Json

#: How many culprits a record names at most: of more, nobody would add the bounds.
MAX_CULPRITS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLimits:
    """How many failed cells of a run are examined for drift, how often each is run for it, and for how long at most.

    After `seconds` no further run of a cell is begun.
    """

    cells: int = 20
    runs: int = 40
    seconds: int = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """A project whose later releases break another one: the last version it works with, and the first it fails with.

    `fails_with` is None where only files came later, and no version.
    """

    name: str
    works_with: str
    fails_with: str | None

    @property
    def bound(self) -> str:
        """The requirement that avoids the failure, such as `markupsafe<2.1.0`."""
        return f"{self.name}<{self.fails_with}" if self.fails_with else f"{self.name}=={self.works_with}"

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"name": self.name, "works_with": self.works_with, "fails_with": self.fails_with, "bound": self.bound}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON; the bound follows from the rest."""
        return cls(name=data["name"], works_with=data["works_with"], fails_with=data["fails_with"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How a cell that fails now ended with the index as of a time (epoch seconds): `result_then`, such as `PASS`.

    `culprits` are what has to stay as it was for the cell to pass today, all of them together; each bound was proven by
    a run. There is none where the failure is the release's own, or the search ended without an answer. `runs` is how
    often the cell was run for it.
    """

    as_of: int
    result_then: str
    runs: int
    culprits: tuple[Culprit, ...] = ()

    @property
    def is_proven(self) -> bool:
        """Whether it passed then, or passes today with a bound: what changed is not the release."""
        return self.result_then == "PASS" or bool(self.culprits)

    @property
    def bounds(self) -> str:
        """The bounds that avoid the failure, `""` for none."""
        return " ".join(culprit.bound for culprit in self.culprits)

    @property
    def words(self) -> str:
        """What it shows, as a clause."""
        if self.culprits:
            return f"passes today with {self.bounds}"
        if self.result_then == "PASS":
            return "passed with the index as of its upload: what it depends on has changed since"
        return "failed with the index as of its upload too"

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        culprits = [culprit.to_json() for culprit in self.culprits]
        return {"as_of": self.as_of, "result_then": self.result_then, "runs": self.runs, "culprits": culprits}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        culprits = tuple(map(Culprit.from_json, data["culprits"]))
        return cls(as_of=data["as_of"], result_then=data["result_then"], runs=data["runs"], culprits=culprits)


def is_proof(text: str | None) -> bool:
    """Return whether a drift, given as valid JSON (None: it was not asked), is proven."""
    return text is not None and Drift.from_json(json.loads(text)).is_proven
