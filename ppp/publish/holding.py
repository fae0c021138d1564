"""All that the ledger holds of one package, read at once by the index of its cells: see `Held`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.published import Agreement, Change, Verdict
from ppp.model.judge import Judge, Judgement, judge
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

#: In the order in which `_record` takes them apart.
_COLUMNS: Final = (
    "record, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import, observed_at, node,"
    " cause, blame, detail, standin, arch, python, image_digest, network, pip_version, filename, file_sha256,"
    " file_size, imports, installed, grounds, log_sha256, download_ms, nodeps_ms, full_ms, import_ms, download_bytes,"
    " nodeps_bytes, full_bytes, import_bytes"
)
_THIN: Final = 14
_OUTCOMES: Final = {str(outcome): outcome for outcome in Outcome}
_RESULTS: Final = {str(result): result for result in Result}
_BLAMES: Final[dict[str | None, Blame | None]] = {None: None, **{str(blame): blame for blame in Blame}}
_NETWORKS: Final = {str(network): network for network in Network}
_NO_JUDGEMENT: Final = Judgement(blame=None, by=None)


def held(db: Database, package: str) -> Held:
    """Read a package that holds a result."""
    # `+` keeps the planner from walking all records by time.
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM records WHERE package = ? ORDER BY +observed_at, record",  # noqa: S608 - our own columns
        (package,),
    ).fetchall()
    current = {
        (version, environment): record
        for version, environment, record in db.execute(
            "SELECT r.version, r.environment, r.record FROM results AS r JOIN releases AS s"
            " ON s.package = r.package AND s.version = r.version"
            " WHERE r.package = ? ORDER BY s.version_key DESC, r.environment",
            (package,),
        )
    }
    releases = {version: Release(package=package, version=version) for version, _ in current}
    chosen = set(current.values())
    texts: dict[Any, Any] = {}
    records = {row[0]: _record(row, releases[row[1]], texts) for row in rows if row[0] in chosen}
    agreements = _agreements(rows, {cell: records[record].result for cell, record in current.items()})
    judged = _judged(records.values())
    return Held(
        package=package,
        observed=[
            Observed(record=record, agreement=agreements[cell], judgement=judged[cell])
            for cell, record in ((cell, records[id_]) for cell, id_ in current.items())
        ],
        ids=current,
        changes=(changes := _changes(rows, releases)),
        since=changes.since(),
    )


def _record(row: tuple[Any, ...], release: Release, texts: dict[Any, Any]) -> Record:
    (_, _, environment, result, p1, p2, p3, p4, observed_at, node, cause, blame, detail, standin) = row[:_THIN]
    (arch, python, image, network, pip, filename, sha256, size, imports, installed, grounds, log) = row[_THIN:26]
    (ms0, ms1, ms2, ms3, bytes0, bytes1, bytes2, bytes3) = row[26:]
    # The cells of a release mostly share what they import, what they installed, and the file.
    if imports not in texts:
        texts[imports] = tuple(json.loads(imports))
    if installed not in texts:
        texts[installed] = tuple(Installed(name=n, version=v, sha256=h) for n, v, h in json.loads(installed))
    if (file := texts.get((filename, sha256, size))) is None and filename is not None:
        file = texts[filename, sha256, size] = DistributionFile(filename=filename, sha256=sha256, size=size)
    return Record(
        release=release,
        environment=environment,
        result=_RESULTS[result],
        outcomes=(_OUTCOMES[p1], _OUTCOMES[p2], _OUTCOMES[p3], _OUTCOMES[p4]),
        observed_at=observed_at,
        node=node,
        arch=arch,
        python=python,
        image_digest=image,
        standin=bool(standin),
        network=_NETWORKS[network],
        pip_version=pip,
        file=file,
        imports=texts[imports],
        installed=texts[installed],
        duration_ms=_by_phase(ms0, ms1, ms2, ms3),
        bytes=_by_phase(bytes0, bytes1, bytes2, bytes3),
        grounds={} if grounds == "{}" else {Phase(p): ground for p, ground in json.loads(grounds).items()},
        cause=cause,
        blame=_BLAMES[blame],
        detail=detail,
        log_sha256=log,
    )


def _by_phase(*counts: int | None) -> dict[Phase, int]:
    return {phase: count for phase, count in zip(PHASES, counts, strict=True) if count is not None}


def _judged(records: Iterable[Record]) -> dict[tuple[str, str], Judgement]:
    cells: dict[str, list[Record]] = {}
    for record in records:
        cells.setdefault(record.release.version, []).append(record)
    judged: dict[tuple[str, str], Judgement] = {}
    for version, held_ in cells.items():
        plain = all(cell.result is Result.PASS and cell.blame is None for cell in held_)
        told = dict.fromkeys((c.environment for c in held_), _NO_JUDGEMENT) if plain else judge(held_)
        judged.update({(version, environment): judgement for environment, judgement in told.items()})
    return judged


def _agreements(
    rows: Iterable[tuple[Any, ...]], current: dict[tuple[str, str], Result]
) -> dict[tuple[str, str], Agreement]:
    latest: dict[tuple[str, str], dict[str, str]] = {}
    observed: dict[tuple[str, str], int] = {}
    for row in rows:
        cell, result, node = (row[1], row[2]), row[3], row[9]
        observed[cell] = observed.get(cell, 0) + 1
        verdicts = latest.setdefault(cell, {})
        # An ERROR says something about us, so it never takes the place of what a node found out.
        if result != Result.ERROR or node not in verdicts:
            verdicts[node] = result
    return {
        cell: Agreement(
            agreeing=sum(r == result for r in latest[cell].values()), nodes=len(latest[cell]), records=observed[cell]
        )
        for cell, result in current.items()
    }


@dataclass(frozen=True, slots=True)
class _Changes:
    """Rows at which a verdict changed with what it was before, newest first; made into changes as they are asked for.

    A feed asks for a few of them, of a package that may have hundreds.
    """

    rows: list[tuple[tuple[Any, ...], Result | None]]
    releases: dict[str, Release]

    def __iter__(self) -> Iterator[Change]:
        return (Change(verdict=_verdict(row, self.releases[row[1]]), before=before) for row, before in self.rows)

    def since(self) -> dict[tuple[str, str], int]:
        """Give when the verdict of each (version, environment) last changed, in epoch seconds."""
        return {(row[1], row[2]): row[8] for row, _ in reversed(self.rows)}


def _changes(rows: Iterable[tuple[Any, ...]], releases: dict[str, Release]) -> _Changes:
    before: dict[tuple[str, str], Result] = {}
    changes: list[tuple[tuple[Any, ...], Result | None]] = []
    for row in rows:
        cell, result = (row[1], row[2]), _RESULTS[row[3]]
        if result is Result.ERROR or before.get(cell) is result:
            continue
        changes.append((row, before.get(cell)))
        before[cell] = result
    changes.reverse()
    return _Changes(changes, releases)


def _verdict(row: tuple[Any, ...], release: Release) -> Verdict:
    (record, _, environment, result, p1, p2, p3, p4, observed_at, _, cause, blame, detail, standin) = row[:_THIN]
    return Verdict(
        record=record,
        release=release,
        environment=environment,
        result=_RESULTS[result],
        outcomes=(_OUTCOMES[p1], _OUTCOMES[p2], _OUTCOMES[p3], _OUTCOMES[p4]),
        observed_at=observed_at,
        standin=bool(standin),
        cause=cause,
        blame=_BLAMES[blame],
        blamed_by=Judge.LOG if blame else None,
        detail=detail,
    )
