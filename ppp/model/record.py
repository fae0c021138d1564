"""One immutable observation of one cell, and the words it is told in.

A record's id is the sha256 of its canonical JSON (RFC 8785), so two nodes name the same observation alike, and what
is current is a pure function of a set of records.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final, Self, TypeAlias

import rfc8785

from ppp.model.release import Release

#: What json.loads gives; it never crosses a port unparsed.
Json: TypeAlias = Any


class Phase(StrEnum):
    """The four phases of a cell, in order; each gates the next. These names stand nowhere else."""

    DOWNLOAD = "download"
    NODEPS = "nodeps"
    FULL = "full"
    IMPORT = "import"

    @property
    def label(self) -> str:
        """Return the phase's name for people: `nodeps` is "install alone", `full` is "install with dependencies"."""
        return {Phase.NODEPS: "install alone", Phase.FULL: "install with dependencies"}.get(self, self.value)


class Outcome(StrEnum):
    """What a phase came to."""

    PASS = "PASS"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    SKIP = "SKIP"


class Result(StrEnum):
    """What a cell came to."""

    PASS = "PASS"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    NA = "NA"


#: A result is told by word and glyph, on pages by pattern too; never by colour alone.
GLYPHS: Final = {Result.PASS: "✓", Result.FAIL: "✗", Result.TIMEOUT: "◷", Result.ERROR: "▲", Result.NA: "–"}  # noqa: RUF001 - a dash that is wide on purpose


class Blame(StrEnum):
    """Whose a failure is."""

    PACKAGE = "package"
    DEPENDENCY = "dependency"
    ENVIRONMENT = "environment"
    INFRASTRUCTURE = "infrastructure"
    UNKNOWN = "unknown"


class Network(StrEnum):
    """What a cell's installing phases could reach."""

    OPEN = "open"
    GATEWAY = "gateway"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionFile:
    """The file that was checked, by name, sha256 (hex) and size in bytes; its address is found again by these."""

    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution that `full` installed; `sha256` (hex) is of the file it came from, None where pip names none."""

    name: str
    version: str
    sha256: str | None


@cache
def first_failed(outcomes: tuple[Outcome, Outcome, Outcome, Outcome]) -> Phase | None:
    """Give the first phase that neither passed nor was skipped."""
    return next((phase for phase, outcome in zip(PHASES, outcomes, strict=True) if outcome not in NON_FAILURES), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One observation of one cell. `observed_at` is in epoch seconds (UTC), `duration_ms` holds the phases that ran.

    `bytes` is what a phase received over the network, where that was measured; `grounds` says on what ground a phase
    that passed was not paid a second time.
    """

    release: Release
    environment: str
    result: Result
    outcomes: tuple[Outcome, Outcome, Outcome, Outcome]
    observed_at: int
    node: str
    arch: str
    python: str | None
    image_digest: str | None
    standin: bool
    network: Network
    pip_version: str
    file: DistributionFile | None
    imports: tuple[str, ...]
    installed: tuple[Installed, ...]
    duration_ms: Mapping[Phase, int]
    cause: str | None
    blame: Blame | None
    detail: str | None
    log_sha256: str | None
    bytes: Mapping[Phase, int] = field(default_factory=dict)
    grounds: Mapping[Phase, str] = field(default_factory=dict)

    def outcome(self, phase: Phase) -> Outcome:
        """Give what one phase came to."""
        return self.outcomes[PHASES.index(phase)]

    @property
    def failed_phase(self) -> Phase | None:
        """Give the first phase that neither passed nor was skipped."""
        return first_failed(self.outcomes)

    def to_json(self) -> dict[str, Json]:
        """Give the JSON object that `record.schema.json` describes."""
        return {
            "package": self.release.package,
            "version": self.release.version,
            "environment": self.environment,
            "result": str(self.result),
            **{f"phase_{p}": str(o) for p, o in zip(PHASES, self.outcomes, strict=True)},
            "observed_at": self.observed_at,
            "node": self.node,
            "arch": self.arch,
            "python": self.python,
            "image_digest": self.image_digest,
            "standin": self.standin,
            "network": str(self.network),
            "pip_version": self.pip_version,
            "file": None
            if self.file is None
            else {"filename": self.file.filename, "sha256": self.file.sha256, "size": self.file.size},
            "imports": list(self.imports),
            "installed": [[i.name, i.version, i.sha256] for i in self.installed],
            "duration_ms": {str(p): ms for p, ms in self.duration_ms.items()},
            "bytes": {str(p): n for p, n in self.bytes.items()},
            "grounds": {str(p): ground for p, ground in self.grounds.items()},
            "cause": self.cause,
            "blame": None if self.blame is None else str(self.blame),
            "detail": self.detail,
            "log_sha256": self.log_sha256,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build from an object that `record.schema.json` has passed; raise `BadReleaseError` on a bad name."""
        return cls(
            release=Release.parse(data["package"], data["version"]),
            environment=data["environment"],
            result=Result(data["result"]),
            outcomes=outcomes_in_order({phase: Outcome(data[f"phase_{phase}"]) for phase in PHASES}),
            observed_at=data["observed_at"],
            node=data["node"],
            arch=data["arch"],
            python=data["python"],
            image_digest=data["image_digest"],
            standin=data["standin"],
            network=Network(data["network"]),
            pip_version=data["pip_version"],
            file=None if data["file"] is None else DistributionFile(**data["file"]),
            imports=tuple(data["imports"]),
            installed=tuple(Installed(name=n, version=v, sha256=h) for n, v, h in data["installed"]),
            duration_ms={Phase(p): ms for p, ms in data["duration_ms"].items()},
            bytes={Phase(p): n for p, n in data["bytes"].items()},
            grounds={Phase(p): ground for p, ground in data["grounds"].items()},
            cause=data["cause"],
            blame=None if data["blame"] is None else Blame(data["blame"]),
            detail=data["detail"],
            log_sha256=data["log_sha256"],
        )

    @property
    def id(self) -> str:
        """Give the sha256 (hex) of the record's canonical JSON."""
        return sha256_hex(canonical_json(self.to_json()))


PHASES: Final = tuple(Phase)
#: Outcomes after which there is nothing to explain.
NON_FAILURES: Final = frozenset({Outcome.PASS, Outcome.SKIP})


def outcomes_in_order(by_phase: Mapping[Phase, Outcome]) -> tuple[Outcome, Outcome, Outcome, Outcome]:
    """Put outcomes in the order of the phases; a phase not named was gated: `SKIP`."""
    download, nodeps, full, import_ = (by_phase.get(phase, Outcome.SKIP) for phase in PHASES)
    return download, nodeps, full, import_


def to_infrastructure_error(record: Record, *, cause: str, detail: str) -> Record:
    """Give the `ERROR` of ours that an observation becomes where the place that it was made in is not to be believed.

    What was downloaded was checked outside, and stays; the observation's log does not.
    """
    downloaded = record.outcome(Phase.DOWNLOAD) is Outcome.PASS
    ran = PHASES[:2] if downloaded else PHASES[:1]
    return replace(
        record,
        result=Result.ERROR,
        outcomes=outcomes_in_order({phase: Outcome.ERROR if phase is ran[-1] else Outcome.PASS for phase in ran}),
        imports=(),
        installed=(),
        duration_ms={phase: ms for phase, ms in record.duration_ms.items() if phase in ran},
        bytes={phase: n for phase, n in record.bytes.items() if phase in ran},
        grounds={},
        cause=cause,
        blame=Blame.INFRASTRUCTURE,
        detail=detail,
        log_sha256=None,
    )


def current_rank(record: Record) -> tuple[bool, int, str]:
    """Order the observations of one cell: the greatest is current.

    Any verdict stands above an `ERROR` of ours, then the newest, then the greatest id: a total order, so that every
    node that holds the same records calls the same one current, whatever order they came in.
    """
    return record.result is not Result.ERROR, record.observed_at, record.id


def current_records(records: Iterable[Record]) -> dict[tuple[Release, str], Record]:
    """Give the current record of each cell: the reference that the ledger's own upkeep is tested against."""
    best: dict[tuple[Release, str], Record] = {}
    for record in records:
        key = (record.release, record.environment)
        if key not in best or current_rank(record) > current_rank(best[key]):
            best[key] = record
    return best


def canonical_json(data: Json) -> bytes:
    """Give RFC 8785's one serialisation of a JSON value."""
    return rfc8785.dumps(data)


def sha256_hex(data: bytes) -> str:
    """Give the sha256 of some bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()
