"""All that the ledger holds of some packages, read by the index of its cells: see `Held`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlite_utils import Database

from ppp.ledger.published import Agreement, Change, Verdict
from ppp.model.judge import Judge, Judgement, judge
from ppp.model.matrix import Environment
from ppp.model.record import (
    PHASES,
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
from ppp.publish.observed import Observed
from ppp.publish.part import Held

_OUTCOMES: Final = {str(outcome): outcome for outcome in Outcome}
_RESULTS: Final = {str(result): result for result in Result}
_BLAMES: Final[dict[str | None, Blame | None]] = {None: None, **{str(blame): blame for blame in Blame}}
_NETWORKS: Final = {str(network): network for network in Network}
#: The cells of a release mostly share what they import and what they installed; these many texts are remembered.
_REMEMBERED: Final = 256


class _Row(NamedTuple):
    """A row of `records`; the first three put rows in order, by package and then by time."""

    package: str
    observed_at: int
    record: str
    version: str
    environment: str
    result: str
    phase_download: str
    phase_nodeps: str
    phase_full: str
    phase_import: str
    node: str
    cause: str | None
    blame: str | None
    detail: str | None
    standin: int
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


#: A cell of one package, by version and environment.
_Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Changes:
    """Rows at which a verdict changed with what it was before, newest first; made into changes as they are asked for.

    A feed asks for a few of them, of a package that may have hundreds.
    """

    rows: Sequence[tuple[_Row, Result | None]]
    judged: Mapping[str, Verdict]

    def __iter__(self) -> Iterator[Change]:
        # What siblings tell holds for what is current; what was is told as it was.
        return (
            Change(verdict=self.judged.get(row.record) or _verdict(row, _release(row)), before=before)
            for row, before in self.rows
        )


def held(db: Database, packages: Sequence[str], environments: Sequence[Environment]) -> Iterator[Held]:
    """Read packages that hold a result, by name; the environments stand in the order in which they are shown."""
    named = (json.dumps(packages),)
    among = "package IN (SELECT value FROM json_each(?))"
    found = db.execute(f"SELECT {', '.join(_Row._fields)} FROM records WHERE {among}", named)  # noqa: S608 - our own columns, as below
    # By package, time and id, which no two have alike.
    rows = sorted(map(_Row._make, found))
    current: defaultdict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for package, version, record in db.execute(f"SELECT package, version, record FROM results WHERE {among}", named):  # noqa: S608
        current[package][version].append(record)
    versions: defaultdict[str, list[str]] = defaultdict(list)
    by_age = f"SELECT package, version FROM releases WHERE {among} ORDER BY package, version_key DESC"  # noqa: S608
    for package, version in db.execute(by_age, named):
        if version in current[package]:
            versions[package].append(version)
    order = {environment.id: place for place, environment in enumerate(environments)}
    for package, of_package in groupby(rows, attrgetter("package")):
        releases = [current[package][version] for version in versions[package]]
        if releases:
            yield _held(list(of_package), releases, order)


def _held(rows: list[_Row], releases: Sequence[Sequence[str]], order: Mapping[str, int]) -> Held:
    by_id = {row.record: row for row in rows}
    cells: list[list[_Row]] = [
        sorted((by_id[record] for record in records), key=lambda row: order[row.environment]) for records in releases
    ]
    verdicts = [verdict for of_release in cells for verdict in _judged(of_release)]
    changed = _changed(rows)
    return Held(
        package=rows[0].package,
        newest=_observed(rows, cells[0], verdicts),
        verdicts=verdicts,
        changes=_Changes(changed, {verdict.record: verdict for verdict in verdicts}),
        # Later ones, which come first here, stand in the place of earlier ones.
        since={(row.version, row.environment): row.observed_at for row, _ in reversed(changed)},
    )


def _changed(rows: Iterable[_Row]) -> list[tuple[_Row, Result | None]]:
    before: dict[_Cell, Result] = {}
    changed: list[tuple[_Row, Result | None]] = []
    for row in rows:
        cell, result = (row.version, row.environment), _RESULTS[row.result]
        was = before.get(cell)
        if result is Result.ERROR or result is was:
            continue
        changed.append((row, was))
        before[cell] = result
    changed.reverse()
    return changed


def _judged(rows: Sequence[_Row]) -> list[Verdict]:
    """Give the verdicts on one release, with the blame that its cells tell together."""
    release = _release(rows[0])
    verdicts = [_verdict(row, release) for row in rows]
    if all(verdict.result is Result.PASS and verdict.blame is None for verdict in verdicts):
        return verdicts
    told = judge(verdicts)
    return [
        replace(verdict, blame=heard.blame, blamed_by=heard.by)
        if (heard := told[verdict.environment]).by is not verdict.blamed_by
        else verdict
        for verdict in verdicts
    ]


def _observed(rows: Iterable[_Row], newest: Sequence[_Row], verdicts: Sequence[Verdict]) -> list[Observed]:
    version = newest[0].version
    seen: defaultdict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        if row.version == version:
            seen[row.environment].append(row)
    release = verdicts[0].release
    return [
        Observed(
            id=row.record,
            record=_record(row, release),
            agreement=_agreement(seen[row.environment], row.result),
            judgement=Judgement(blame=verdict.blame, by=verdict.blamed_by),
        )
        for row, verdict in zip(newest, verdicts, strict=False)
    ]


def _agreement(rows: Sequence[_Row], result: str) -> Agreement:
    latest: dict[str, str] = {}
    for row in rows:
        # An ERROR says something about us, so it never takes the place of what a node found out.
        if row.result != Result.ERROR or row.node not in latest:
            latest[row.node] = row.result
    return Agreement(agreeing=[*latest.values()].count(result), nodes=len(latest), records=len(rows))


def _release(row: _Row) -> Release:
    return Release(package=row.package, version=row.version)


def _verdict(row: _Row, release: Release) -> Verdict:
    return Verdict(
        record=row.record,
        release=release,
        environment=row.environment,
        result=_RESULTS[row.result],
        outcomes=_outcomes(row.phase_download, row.phase_nodeps, row.phase_full, row.phase_import),
        observed_at=row.observed_at,
        standin=bool(row.standin),
        cause=row.cause,
        blame=_BLAMES[row.blame],
        blamed_by=Judge.LOG if row.blame else None,
        detail=row.detail,
    )


def _record(row: _Row, release: Release) -> Record:
    return Record(
        release=release,
        environment=row.environment,
        result=_RESULTS[row.result],
        outcomes=_outcomes(row.phase_download, row.phase_nodeps, row.phase_full, row.phase_import),
        observed_at=row.observed_at,
        node=row.node,
        arch=row.arch,
        python=row.python,
        image_digest=row.image_digest,
        standin=bool(row.standin),
        network=_NETWORKS[row.network],
        pip_version=row.pip_version,
        file=None if row.filename is None else _file(row.filename, row.file_sha256, row.file_size),
        imports=_imports(row.imports),
        installed=_installed(row.installed),
        duration_ms=_by_phase(row.download_ms, row.nodeps_ms, row.full_ms, row.import_ms),
        bytes=_by_phase(row.download_bytes, row.nodeps_bytes, row.full_bytes, row.import_bytes),
        grounds=_grounds(row.grounds),
        cause=row.cause,
        blame=_BLAMES[row.blame],
        detail=row.detail,
        log_sha256=row.log_sha256,
    )


@lru_cache(_REMEMBERED)
def _outcomes(download: str, nodeps: str, full: str, import_: str) -> tuple[Outcome, Outcome, Outcome, Outcome]:
    return _OUTCOMES[download], _OUTCOMES[nodeps], _OUTCOMES[full], _OUTCOMES[import_]


@lru_cache(_REMEMBERED)
def _file(filename: str, sha256: str, size: int) -> DistributionFile:
    return DistributionFile(filename=filename, sha256=sha256, size=size)


@lru_cache(_REMEMBERED)
def _imports(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


@lru_cache(_REMEMBERED)
def _installed(text: str) -> tuple[Installed, ...]:
    return tuple(Installed(name=name, version=version, sha256=sha256) for name, version, sha256 in json.loads(text))


def _by_phase(*counts: int | None) -> Mapping[Phase, int]:
    return {phase: count for phase, count in zip(PHASES, counts, strict=True) if count is not None}


@lru_cache(_REMEMBERED)
def _grounds(text: str) -> Mapping[Phase, Any]:
    return {Phase(phase): ground for phase, ground in json.loads(text).items()}
