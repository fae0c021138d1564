"""A record is one immutable observation of one cell; here are its fields, its values and its id.

A record's id is the sha256 of its canonical JSON (RFC 8785), so the same observation has the same id on all nodes.
Which records are current is a pure function of a set of records.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final, Self, TypeAlias, TypeGuard

import rfc8785

from ppp.model.release import Release

#: What `json.loads` returns. Such values are parsed into types before they are passed on.
Json: TypeAlias = Any


class Phase(StrEnum):
    """The four phases of a cell, in order; each runs only if the previous one passed. The only place of these names."""

    DOWNLOAD = "download"
    NODEPS = "nodeps"
    FULL = "full"
    IMPORT = "import"

    @property
    def label(self) -> str:
        """Return the phase's name for people: `nodeps` is "install alone", `full` is "install with dependencies"."""
        return {Phase.NODEPS: "install alone", Phase.FULL: "install with dependencies"}.get(self, self.value)


class Outcome(StrEnum):
    """The outcome of a phase."""

    PASS = "PASS"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    SKIP = "SKIP"


class Result(StrEnum):
    """The result of a cell."""

    PASS = "PASS"
    FAIL = "FAIL"
    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    NA = "NA"


#: Results are shown by word and glyph (on pages by pattern, too), never by colour alone.
GLYPHS: Final = {Result.PASS: "✓", Result.FAIL: "✗", Result.TIMEOUT: "◷", Result.ERROR: "▲", Result.NA: "–"}  # noqa: RUF001 - the en dash is intended


class Blame(StrEnum):
    """Who or what is responsible for a failure."""

    PACKAGE = "package"
    DEPENDENCY = "dependency"
    ENVIRONMENT = "environment"
    INFRASTRUCTURE = "infrastructure"
    UNKNOWN = "unknown"


class Network(StrEnum):
    """The network access of a cell's installing phases."""

    OPEN = "open"
    GATEWAY = "gateway"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionFile:
    """The file that was checked: name, sha256 (hex) and size in bytes. Its URL follows from these by the index."""

    filename: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A distribution that the phase `full` installed; `sha256` (hex) is of its file, None if pip reports none."""

    name: str
    version: str
    sha256: str | None


@cache
def first_failed(outcomes: tuple[Outcome, Outcome, Outcome, Outcome]) -> Phase | None:
    """Return the first phase that neither passed nor was skipped, or None."""
    return next((phase for phase, outcome in zip(PHASES, outcomes, strict=True) if outcome not in NON_FAILURES), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One observation of one cell. `observed_at` is in epoch seconds (UTC), `duration_ms` has the phases that ran.

    `bytes` is the number of bytes that a phase received over the network, where measured; `grounds` says why a phase
    counts as passed without having been run again.
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
        """Return the outcome of one phase."""
        return self.outcomes[PHASES.index(phase)]

    @property
    def failed_phase(self) -> Phase | None:
        """Return the first phase that neither passed nor was skipped, or None."""
        return first_failed(self.outcomes)

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
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
        """Build a record from valid JSON (`record.schema.json`); raise `InvalidReleaseError` if a name is invalid."""
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
        """Return the sha256 (hex) of the record's canonical JSON."""
        return sha256_hex(canonical_json(self.to_json()))


PHASES: Final = tuple(Phase)
#: Outcomes after which there is nothing to explain.
NON_FAILURES: Final = frozenset({Outcome.PASS, Outcome.SKIP})


def outcomes_in_order(by_phase: Mapping[Phase, Outcome]) -> tuple[Outcome, Outcome, Outcome, Outcome]:
    """Return the outcomes in the order of the phases; a phase without one is `SKIP`."""
    download, nodeps, full, import_ = (by_phase.get(phase, Outcome.SKIP) for phase in PHASES)
    return download, nodeps, full, import_


def to_infrastructure_error(record: Record, *, cause: str, detail: str) -> Record:
    """Return the `ERROR` that replaces an observation from an unhealthy environment.

    The download was verified outside the environment, so its outcome stays; the log is dropped.
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
    """Return the key that orders the records of one cell: the greatest is current.

    Any verdict ranks above an `ERROR`, then the newest first, then the greatest id. This is a total order, so that all
    nodes with the same records agree on the current one, whatever order the records arrived in.
    """
    return record.result is not Result.ERROR, record.observed_at, record.id


def local_rank(record: Record, *, own: str | None, received_at: int | None) -> tuple[bool, bool, int, str]:
    """Return the key that orders the records of one cell for the node `own`: the greatest is what it shows.

    Any verdict ranks above an `ERROR`, then this node's own above others, then the newest first, then the greatest id.
    A record is no newer than its arrival here (`received_at`, epoch seconds; None if it is this node's own).
    """
    seen_at = record.observed_at if received_at is None else min(record.observed_at, received_at)
    return record.result is not Result.ERROR, record.node == own, seen_at, record.id


def current_records(records: Iterable[Record]) -> dict[tuple[Release, str], Record]:
    """Return the current record of each cell: the reference that tests compare the ledger's table `results` with."""
    best: dict[tuple[Release, str], Record] = {}
    for record in records:
        key = (record.release, record.environment)
        if key not in best or current_rank(record) > current_rank(best[key]):
            best[key] = record
    return best


def canonical_json(data: Json) -> bytes:
    """Return the canonical JSON of a value by RFC 8785."""
    return rfc8785.dumps(data)


def plain_canonical_json(data: Json) -> bytes:
    """Return `canonical_json` of plain data, many times faster.

    Plain is what consists of arrays, objects with ASCII keys, text, booleans, nulls, and integers below 2**53: for
    these the encoder of the standard library writes the same bytes.
    """
    return _encode_plain(data).encode()


#: Made once: to set up an encoder takes longer than to encode most values.
_encode_plain: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


_SHA256: Final = re.compile("[0-9a-f]{64}")


def is_sha256(value: object) -> TypeGuard[str]:
    """Return whether a value has the form of a sha256 as PPP writes it: 64 hex digits, in lower case."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(data).hexdigest()
