"""Rows of the ledger as they are read for a package, and the records and verdicts that they are."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ppp.ledger.published import Verdict
from ppp.model.blame import own_source
from ppp.model.drift import is_proof
from ppp.model.record import (
    OPTIONAL_FIELDS,
    PHASES,
    TEXT_FIELDS,
    Blame,
    DistributionFile,
    Installed,
    Network,
    Outcome,
    Phase,
    Record,
    Result,
)
from ppp.model.release import Release

#: By name: a dictionary is faster than calling the enum, and there are hundreds of rows for each page.
RESULTS: Final = {str(result): result for result in Result}
_BLAMES: Final[dict[str | None, Blame | None]] = {None: None, **{str(blame): blame for blame in Blame}}
_NETWORKS: Final = {str(network): network for network in Network}
#: The cells of a release mostly import and install the same: this many decoded texts are kept.
_CACHED_TEXTS: Final = 256


class RecordRow(NamedTuple):
    """What is read of every record; rows sort by package, then by time, then by id. `on_index` and `drift` are JSON."""

    package: str
    observed_at: int
    record: str
    version: str
    environment: str
    result: str
    outcomes: str
    node: str
    cause: str | None
    blame: str | None
    detail: str | None
    standin: int
    on_index: str | None = None
    drift: str | None = None

    @property
    def release(self) -> Release:
        """Return the release that was checked."""
        return Release(package=self.package, version=self.version)


class DetailRow(NamedTuple):
    """What else is read of the current records of a newest release."""

    record: str
    arch: str
    python: str | None
    image_digest: str | None
    network: str
    pip_version: str
    filename: str | None
    file_sha256: str
    file_size: int
    imports: str
    installed: str
    grounds: str
    log_sha256: str | None
    download_ms: int | None
    nodeps_ms: int | None
    full_ms: int | None
    import_ms: int | None
    download_bytes: int | None
    nodeps_bytes: int | None
    full_bytes: int | None
    import_bytes: int | None
    preinstalled: str | None
    relies_on: str | None
    primary_module: str | None
    import_failures: str | None
    submodules: str | None
    entry_points: str | None
    record_mismatch: str | None
    yanked: str | None
    project_status: str | None
    triggered_by: str | None
    on_index: str | None
    drift: str | None
    shared_files: str | None


#: Where the optional fields are in a `DetailRow`.
_OPTIONAL_PLACES: Final = [(name, DetailRow._fields.index(name)) for name in OPTIONAL_FIELDS]


def to_verdict(row: RecordRow, release: Release) -> Verdict:
    """Return a row as a verdict with the blame that its own log gives; `release` is the row's, shared by its cells."""
    return Verdict(
        row.record,
        release,
        row.environment,
        RESULTS[row.result],
        _outcomes(row.outcomes),
        row.observed_at,
        bool(row.standin),
        row.cause,
        _BLAMES[row.blame],
        own_source(row.blame, is_proven=is_proof(row.drift)),
        row.detail,
    )


def to_record(row: RecordRow, details: DetailRow, verdict: Verdict) -> Record:
    """Return a row with its details as a record; what it has in common with the verdict on it is taken from there."""
    return Record(
        release=verdict.release,
        environment=row.environment,
        result=verdict.result,
        outcomes=verdict.outcomes,
        observed_at=row.observed_at,
        node=row.node,
        arch=details.arch,
        python=details.python,
        image_digest=details.image_digest,
        standin=verdict.standin,
        network=_NETWORKS[details.network],
        pip_version=details.pip_version,
        file=None if details.filename is None else _file(details.filename, details.file_sha256, details.file_size),
        imports=_imports(details.imports),
        installed=_installed(details.installed),
        duration_ms=_by_phase(details.download_ms, details.nodeps_ms, details.full_ms, details.import_ms),
        bytes=_by_phase(details.download_bytes, details.nodeps_bytes, details.full_bytes, details.import_bytes),
        grounds=_grounds(details.grounds),
        cause=row.cause,
        blame=_BLAMES[row.blame],
        detail=row.detail,
        log_sha256=details.log_sha256,
        **{name: _optional(name, value) for name, place in _OPTIONAL_PLACES if (value := details[place]) is not None},
    )


@lru_cache(_CACHED_TEXTS)
def _outcomes(words: str) -> tuple[Outcome, Outcome, Outcome, Outcome]:
    download, nodeps, full, import_ = map(Outcome, words.split())
    return download, nodeps, full, import_


@lru_cache(_CACHED_TEXTS)
def _file(filename: str, sha256: str, size: int) -> DistributionFile:
    return DistributionFile(filename=filename, sha256=sha256, size=size)


@lru_cache(_CACHED_TEXTS)
def _imports(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(_CACHED_TEXTS)
def _installed(text: str) -> tuple[Installed, ...]:
    return tuple(Installed(name=name, version=version, sha256=sha256) for name, version, sha256 in json.loads(text))


@lru_cache(_CACHED_TEXTS)
def _optional(name: str, value: str) -> Any:  # noqa: ANN401 - a field of `Record`, whichever it is
    return OPTIONAL_FIELDS[name](value if name in TEXT_FIELDS else json.loads(value))


def _by_phase(*counts: int | None) -> Mapping[Phase, int]:
    return {phase: count for phase, count in zip(PHASES, counts, strict=True) if count is not None}


@lru_cache(_CACHED_TEXTS)
def _grounds(text: str) -> Mapping[Phase, Any]:
    return {Phase(phase): ground for phase, ground in json.loads(text).items()}
