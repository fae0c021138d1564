"""Lists of files: how a wheel's RECORD differs from its archive, and which files several distributions own."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from ppp.model.canonical import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordMismatch:
    """How a wheel's RECORD differs from its archive.

    Counts the files that are `missing` in the archive, `unlisted` in RECORD, and `different` in size or hash;
    `examples` are the paths of a few of them.
    """

    missing: int
    unlisted: int
    different: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {**asdict(self), "examples": list(self.examples)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(**{**data, "examples": tuple(data["examples"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """A file that the files RECORD of several distributions name; `path` is relative to the folder of modules.

    `equal` says whether they name the same content. If not, whoever was installed last has overwritten the others';
    `kept` is the owner whose content is there, None if that is nobody's.
    """

    path: str
    owners: tuple[str, ...]
    equal: bool
    kept: str | None

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {**asdict(self), "owners": list(self.owners)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(**{**data, "owners": tuple(data["owners"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFiles:
    """How many files several distributions own with different contents (`conflicts`), and with `equal` ones.

    `files` are a few of them, those in conflict first.
    """

    conflicts: int
    equal: int
    files: tuple[SharedFile, ...]

    @property
    def words(self) -> str:
        """What the first conflict is, as a clause; `""` if there is none."""
        if not self.conflicts:
            return ""
        first = self.files[0]
        several = self.conflicts > 1
        which = f"{self.conflicts} files, among them {first.path}, which" if several else first.path
        kept = f"; {first.kept}'s content is there" if first.kept else ""
        return f"{which} differs between {' and '.join(first.owners)}{kept}"

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"conflicts": self.conflicts, "equal": self.equal, "files": [file.to_json() for file in self.files]}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(**{**data, "files": tuple(map(SharedFile.from_json, data["files"]))})
