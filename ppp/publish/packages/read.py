"""All that the ledger holds of some packages, read by the index of its cells: see `Held`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, NamedTuple

from sqlite_utils import Database

from ppp.ledger.published import Agreement, Verdict, VerdictChange
from ppp.model.blame import AssignedBlame, BlameSource, assign_blame
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
from ppp.publish.packages.history import CurrentRecord, PackageHistory

_RESULTS: Final = {str(result): result for result in Result}
_BLAMES: Final[dict[str | None, Blame | None]] = {None: None, **{str(blame): blame for blame in Blame}}
_NETWORKS: Final = {str(network): network for network in Network}
#: Packages are read together up to so many records: each alone would take twice as long, and hundreds with thousands
#: of records each would take the memory of a machine.
MAX_RECORDS_AT_ONCE: Final = 20_000
#: The cells of a release mostly share what they import and what they installed; these many texts are remembered.
_CACHED_TEXTS: Final = 256


class _RecordRow(NamedTuple):
    """What every record is told by; the first three put rows in order, by package and then by time."""

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


class _DetailRow(NamedTuple):
    """What is told besides of the cells of a newest release."""

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


# ruff: noqa: S608 - our own columns
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
_OUTCOMES: Final = "phase_download || ' ' || phase_nodeps || ' ' || phase_full || ' ' || phase_import"
_COUNTS: Final = f"SELECT package, count(*) FROM records WHERE package {_AMONG} GROUP BY package ORDER BY package"
_ROWS: Final = (
    f"SELECT {', '.join(_RecordRow._fields).replace('outcomes', _OUTCOMES)} FROM records WHERE package {_AMONG}"
)
_DETAILS: Final = f"SELECT {', '.join(_DetailRow._fields)} FROM records WHERE record {_AMONG}"
_CURRENT: Final = f"SELECT package, version, record FROM results WHERE package {_AMONG}"
_RELEASES: Final = f"SELECT package, version FROM releases WHERE package {_AMONG} ORDER BY package, version_key DESC"
#: A cell of one package, by version and environment.
_CellKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _LazyChanges:
    """Rows at which a verdict changed with what it was before, newest first; made into changes as they are asked for.

    A feed asks for a few of them, of a package that may have hundreds.
    """

    rows: Sequence[tuple[_RecordRow, Result | None]]
    judged: Mapping[str, Verdict]

    def __iter__(self) -> Iterator[VerdictChange]:
        # What siblings tell holds for what is current; what was is told as it was.
        return (
            VerdictChange(verdict=self.judged.get(row.record) or _verdict(row, _release(row)), previous=before)
            for row, before in self.rows
        )


def read_packages(
    db: Database,
    packages: Sequence[str],
    environments: Sequence[Environment],
    *,
    max_records: int = MAX_RECORDS_AT_ONCE,
) -> Iterator[PackageHistory]:
    """Read packages that hold a result, by name; the environments stand in the order in which they are shown.

    No more than so many records are held at a time, but for a package that has more of its own.
    """
    for portion in _split_by_records(db, packages, max_records):
        yield from _read_portion(db, portion, environments)


def _split_by_records(db: Database, packages: Sequence[str], records: int) -> Iterator[list[str]]:
    portion: list[str] = []
    room = records
    for package, count in db.execute(_COUNTS, (json.dumps(packages),)).fetchall():
        if portion and count > room:
            yield portion
            portion, room = [], records
        portion.append(package)
        room -= count
    if portion:
        yield portion


def _read_portion(
    db: Database, packages: Sequence[str], environments: Sequence[Environment]
) -> Iterator[PackageHistory]:
    # By package, time and id, which no two have alike.
    rows = sorted(map(_RecordRow._make, db.execute(_ROWS, (json.dumps(packages),))))
    releases = _releases(db, packages, {row.record: row for row in rows}, environments)
    newest = [row.record for of_package in releases.values() for row in of_package[0]]
    more = {row.record: row for row in map(_DetailRow._make, db.execute(_DETAILS, (json.dumps(newest),)))}
    for package, of_package in groupby(rows, attrgetter("package")):
        if package in releases:
            yield _history([*of_package], releases[package], more)


def _releases(
    db: Database, packages: Sequence[str], rows: Mapping[str, _RecordRow], environments: Sequence[Environment]
) -> dict[str, list[list[_RecordRow]]]:
    """Give the current rows of packages by release, newest version first, in the order of the environments."""
    named = (json.dumps(packages),)
    order = {environment.id: place for place, environment in enumerate(environments)}
    current: defaultdict[tuple[str, str], list[_RecordRow]] = defaultdict(list)
    for package, version, record in db.execute(_CURRENT, named):
        current[package, version].append(rows[record])
    releases: defaultdict[str, list[list[_RecordRow]]] = defaultdict(list)
    for release in db.execute(_RELEASES, named):
        if release in current:
            releases[release[0]].append(sorted(current[release], key=lambda row: order[row.environment]))
    return releases


def _history(
    rows: list[_RecordRow], releases: Sequence[Sequence[_RecordRow]], more: Mapping[str, _DetailRow]
) -> PackageHistory:
    verdicts = [verdict for of_release in releases for verdict in _judged_verdicts(of_release)]
    changed = _changed_rows(rows)
    return PackageHistory(
        package=rows[0].package,
        newest=_current_records(rows, releases[0], verdicts, more),
        verdicts=verdicts,
        changes=_LazyChanges(changed, {verdict.record: verdict for verdict in verdicts}),
        # Later ones, which come first here, stand in the place of earlier ones.
        changed_at={(row.version, row.environment): row.observed_at for row, _ in reversed(changed)},
    )


def _changed_rows(rows: Iterable[_RecordRow]) -> list[tuple[_RecordRow, Result | None]]:
    before: dict[_CellKey, Result] = {}
    changed: list[tuple[_RecordRow, Result | None]] = []
    for row in rows:
        cell, result = (row.version, row.environment), _RESULTS[row.result]
        was = before.get(cell)
        if result is Result.ERROR or result is was:
            continue
        changed.append((row, was))
        before[cell] = result
    changed.reverse()
    return changed


def _judged_verdicts(rows: Sequence[_RecordRow]) -> list[Verdict]:
    """Give the verdicts on one release, with the blame that its cells tell together."""
    release = _release(rows[0])
    verdicts = [_verdict(row, release) for row in rows]
    if all(verdict.result is Result.PASS and verdict.blame is None for verdict in verdicts):
        return verdicts
    told = assign_blame(verdicts)
    return [
        verdict._replace(blame=heard.blame, blamed_by=heard.source)
        if (heard := told[verdict.environment]).source is not verdict.blamed_by
        else verdict
        for verdict in verdicts
    ]


def _current_records(
    rows: Iterable[_RecordRow],
    newest: Sequence[_RecordRow],
    verdicts: Sequence[Verdict],
    more: Mapping[str, _DetailRow],
) -> list[CurrentRecord]:
    version = newest[0].version
    seen: defaultdict[str, list[_RecordRow]] = defaultdict(list)
    for row in rows:
        if row.version == version:
            seen[row.environment].append(row)
    return [
        CurrentRecord(
            id=row.record,
            record=_record(row, verdict, more[row.record]),
            agreement=_agreement(seen[row.environment], row.result),
            judgement=AssignedBlame(blame=verdict.blame, source=verdict.blamed_by),
        )
        for row, verdict in zip(newest, verdicts, strict=False)
    ]


def _agreement(rows: Sequence[_RecordRow], result: str) -> Agreement:
    latest: dict[str, str] = {}
    for row in rows:
        # An ERROR says something about us, so it never takes the place of what a node found out.
        if row.result != Result.ERROR or row.node not in latest:
            latest[row.node] = row.result
    return Agreement(agreeing=[*latest.values()].count(result), nodes=len(latest), records=len(rows))


def _release(row: _RecordRow) -> Release:
    return Release(package=row.package, version=row.version)


def _verdict(row: _RecordRow, release: Release) -> Verdict:
    return Verdict(
        row.record,
        release,
        row.environment,
        _RESULTS[row.result],
        _outcomes(row.outcomes),
        row.observed_at,
        bool(row.standin),
        row.cause,
        _BLAMES[row.blame],
        BlameSource.LOG if row.blame else None,
        row.detail,
    )


def _record(row: _RecordRow, verdict: Verdict, more: _DetailRow) -> Record:
    return Record(
        release=verdict.release,
        environment=row.environment,
        result=verdict.result,
        outcomes=verdict.outcomes,
        observed_at=row.observed_at,
        node=row.node,
        arch=more.arch,
        python=more.python,
        image_digest=more.image_digest,
        standin=verdict.standin,
        network=_NETWORKS[more.network],
        pip_version=more.pip_version,
        file=None if more.filename is None else _file(more.filename, more.file_sha256, more.file_size),
        imports=_imports(more.imports),
        installed=_installed(more.installed),
        duration_ms=_by_phase(more.download_ms, more.nodeps_ms, more.full_ms, more.import_ms),
        bytes=_by_phase(more.download_bytes, more.nodeps_bytes, more.full_bytes, more.import_bytes),
        grounds=_grounds(more.grounds),
        cause=row.cause,
        blame=_BLAMES[row.blame],
        detail=row.detail,
        log_sha256=more.log_sha256,
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


def _by_phase(*counts: int | None) -> Mapping[Phase, int]:
    return {phase: count for phase, count in zip(PHASES, counts, strict=True) if count is not None}


@lru_cache(_CACHED_TEXTS)
def _grounds(text: str) -> Mapping[Phase, Any]:
    return {Phase(phase): ground for phase, ground in json.loads(text).items()}
