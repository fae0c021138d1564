"""A record is one immutable observation of one cell; here are its fields, its values and its id.

A record's id is the sha256 of its canonical JSON (RFC 8785), so the same observation has the same id on all nodes.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final, Self

from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.drift import Drift
from ppp.model.installed_files import RecordMismatch, SharedFiles
from ppp.model.on_index import OnIndex
from ppp.model.release import Release
from ppp.model.trigger import Trigger


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preinstalled:
    """A distribution that an environment held before anything was installed; `name` is normalized."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFailure:
    """A module that was not imported: how that ended (`SKIP` if it was not tried), why, and one line of detail."""

    module: str
    outcome: Outcome
    cause: str | None
    detail: str | None

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"module": self.module, "outcome": str(self.outcome), "cause": self.cause, "detail": self.detail}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(**{**data, "outcome": Outcome(data["outcome"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submodules:
    """What came of importing a release's extension modules and first-level public submodules after its verdict.

    `tried` of them were imported, each by itself; `left_out` were not, for their number or for time.
    """

    tried: int
    left_out: int
    failed: tuple[ModuleFailure, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"tried": self.tried, "left_out": self.left_out, "failed": [f.to_json() for f in self.failed]}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(**{**data, "failed": tuple(map(ModuleFailure.from_json, data["failed"]))})


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenEntryPoint:
    """An entry point whose module or attribute cannot be had, and one line that says why."""

    group: str
    name: str
    value: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoints:
    """How many console and GUI scripts of a release were tried, and which of them are broken."""

    tried: int
    broken: tuple[BrokenEntryPoint, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the JSON object that `record.schema.json` describes."""
        return {"tried": self.tried, "broken": [asdict(point) for point in self.broken]}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """Build it from valid JSON."""
        return cls(tried=data["tried"], broken=tuple(BrokenEntryPoint(**point) for point in data["broken"]))


@cache
def first_failed(outcomes: tuple[Outcome, Outcome, Outcome, Outcome]) -> Phase | None:
    """Return the first phase that neither passed nor was skipped, or None."""
    return next((phase for phase, outcome in zip(PHASES, outcomes, strict=True) if outcome not in NON_FAILURES), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One observation of one cell. `observed_at` is in epoch seconds (UTC), `duration_ms` has the phases that ran.

    `bytes` is the number of bytes that a phase received over the network, where measured; `grounds` says why a phase
    counts as passed, or was skipped, without having been run. `imports` are the top-level modules that were to be
    imported, `primary_module` the one that decides (None: all do), `import_failures` those that were not imported.
    `preinstalled` is what the environment held before (None: not recorded), `relies_on` names what of it the import
    needs and nothing declares. `yanked` is the index's reason (empty if it gave none) if the file is yanked, and
    `project_status` the project's status there, unless it is active. `triggered_by` says why a cell that had a result
    was checked again. `on_index` is what the index listed of the project then (None: not recorded). `shared_files` are
    those that two of the distributions both own.
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
    preinstalled: tuple[Preinstalled, ...] | None = None
    relies_on: tuple[str, ...] = ()
    primary_module: str | None = None
    import_failures: tuple[ModuleFailure, ...] = ()
    submodules: Submodules | None = None
    entry_points: EntryPoints | None = None
    record_mismatch: RecordMismatch | None = None
    yanked: str | None = None
    project_status: str | None = None
    triggered_by: Trigger | None = None
    on_index: OnIndex | None = None
    drift: Drift | None = None
    shared_files: SharedFiles | None = None

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
            **self.optional_json(),
        }

    def optional_json(self) -> dict[str, Json]:
        """Return the part of `to_json` that is left out where there is nothing to say, so older records keep their ids.

        A key that is there has a value that says something: none is null, and only `preinstalled` and `yanked` may be
        empty.
        """
        values: dict[str, Json] = {
            "preinstalled": None if self.preinstalled is None else [[p.name, p.version] for p in self.preinstalled],
            "relies_on": list(self.relies_on) or None,
            "primary_module": self.primary_module,
            "import_failures": [failure.to_json() for failure in self.import_failures] or None,
            "submodules": self.submodules and self.submodules.to_json(),
            "entry_points": self.entry_points and self.entry_points.to_json(),
            "record_mismatch": self.record_mismatch and self.record_mismatch.to_json(),
            "yanked": self.yanked,
            "project_status": self.project_status,
            "triggered_by": self.triggered_by and self.triggered_by.to_json(),
            "on_index": self.on_index and self.on_index.to_json(),
            "drift": self.drift and self.drift.to_json(),
            "shared_files": self.shared_files and self.shared_files.to_json(),
        }
        return {key: value for key, value in values.items() if value is not None}

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
            **optional_fields(data),
        )

    @property
    def is_proven(self) -> bool:
        """Whether runs with the index as of another time, or with a bound, showed the cause."""
        return self.drift is not None and self.drift.is_proven

    @property
    def id(self) -> str:
        """Return the sha256 (hex) of the record's canonical JSON."""
        return sha256_hex(canonical_json(self.to_json()))


PHASES: Final = tuple(Phase)
#: The keys of `Record.optional_json`, which are the names of fields, each with what builds the field from JSON.
OPTIONAL_FIELDS: Final[Mapping[str, Callable[[Json], object]]] = {
    "preinstalled": lambda rows: tuple(Preinstalled(name=name, version=version) for name, version in rows),
    "relies_on": tuple,
    "primary_module": str,
    "import_failures": lambda rows: tuple(map(ModuleFailure.from_json, rows)),
    "submodules": Submodules.from_json,
    "entry_points": EntryPoints.from_json,
    "record_mismatch": RecordMismatch.from_json,
    "yanked": str,
    "project_status": str,
    "triggered_by": Trigger.from_json,
    "on_index": OnIndex.from_json,
    "drift": Drift.from_json,
    "shared_files": SharedFiles.from_json,
}
#: The optional fields that are text; the others are arrays or objects in JSON.
TEXT_FIELDS: Final = frozenset({"primary_module", "yanked", "project_status"})
#: Outcomes after which there is nothing to explain.
NON_FAILURES: Final = frozenset({Outcome.PASS, Outcome.SKIP})


def optional_fields(data: Mapping[str, Json]) -> dict[str, Any]:
    """Return the optional fields of a record, as arguments for `Record`, from valid JSON that may lack any of them."""
    return {name: build(data[name]) for name, build in OPTIONAL_FIELDS.items() if name in data}


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
        relies_on=(),
        primary_module=None,
        import_failures=(),
        submodules=None,
        entry_points=None,
        record_mismatch=None,
        drift=None,
        shared_files=None,
    )
