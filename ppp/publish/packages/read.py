"""Read what the ledger holds of some packages, by its indexes on packages: see `PackageHistory`."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Final

from sqlite_utils import Database

from ppp.ledger import queries
from ppp.ledger.downloads import newest_downloads
from ppp.ledger.flips import Flip, read_flips
from ppp.ledger.journal import announcements
from ppp.ledger.published import Agreement, Verdict, VerdictChange
from ppp.ledger.queued_cells import queued_cells
from ppp.model.blame import AssignedBlame, assign_blame
from ppp.model.matrix import Environment
from ppp.model.on_index import OnIndex
from ppp.model.record import Result
from ppp.publish.packages.dependencies import read_dependencies
from ppp.publish.packages.failures import group_failures
from ppp.publish.packages.history import MAX_ENVIRONMENTS, CurrentRecord, PackageHistory
from ppp.publish.packages.rows import RESULTS, DetailRow, RecordRow, to_record, to_verdict

#: Packages are read together, up to this many records: one by one they would take twice as long, and hundreds of them
#: with thousands of records each would fill a machine's memory.
MAX_RECORDS_AT_ONCE: Final = 20_000

# ruff: noqa: S608 - our own columns
_AMONG: Final = "IN (SELECT value FROM json_each(?))"
_OUTCOMES: Final = "phase_download || ' ' || phase_nodeps || ' ' || phase_full || ' ' || phase_import"
_COUNTS: Final = f"SELECT package, count(*) FROM records WHERE package {_AMONG} GROUP BY package ORDER BY package"
_ROWS: Final = (
    f"SELECT {', '.join(RecordRow._fields).replace('outcomes', _OUTCOMES)} FROM records WHERE package {_AMONG}"
)
_DETAILS: Final = f"SELECT {', '.join(DetailRow._fields)} FROM records WHERE record {_AMONG}"
_CURRENT: Final = f"SELECT package, version, record FROM results WHERE package {_AMONG}"
_RELEASES: Final = f"SELECT package, version FROM releases WHERE package {_AMONG} ORDER BY package, version_key DESC"
#: A cell of one package, by version and environment.
_CellKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _LazyChanges:
    """Changes of a verdict, newest first, made from their rows as they are iterated over.

    A feed takes the first few, and a package may have hundreds. Each row comes with the result before it.
    """

    rows: Sequence[tuple[RecordRow, Result | None]]
    judged: Mapping[str, Verdict]

    def __iter__(self) -> Iterator[VerdictChange]:
        # Sibling cells decide the blame of current records only: older ones keep what their log gave.
        return (
            VerdictChange(verdict=self.judged.get(row.record) or to_verdict(row, row.release), previous=before)
            for row, before in self.rows
        )


def read_packages(
    db: Database,
    packages: Sequence[str],
    environments: Sequence[Environment],
    *,
    max_records: int = MAX_RECORDS_AT_ONCE,
) -> Iterator[PackageHistory]:
    """Read the packages that have a result, by name; each release's cells come in the order of the environments.

    At most `max_records` are in memory at a time, unless a single package has more.
    """
    for portion in _split_by_records(db, packages, max_records):
        yield from _read_portion(db, portion, environments)


def _split_by_records(db: Database, packages: Sequence[str], max_records: int) -> Iterator[list[str]]:
    portion: list[str] = []
    remaining = max_records
    for package, count in db.execute(_COUNTS, (json.dumps(packages),)).fetchall():
        if portion and count > remaining:
            yield portion
            portion, remaining = [], max_records
        portion.append(package)
        remaining -= count
    if portion:
        yield portion


def _read_portion(
    db: Database, packages: Sequence[str], environments: Sequence[Environment]
) -> Iterator[PackageHistory]:
    # No two rows have the same package, time and id, so the order is total.
    rows = sorted(map(RecordRow._make, db.execute(_ROWS, (json.dumps(packages),))))
    releases = _releases(db, packages, {row.record: row for row in rows}, environments)
    newest = [row.record for of_package in releases.values() for row in of_package[0]]
    details = {row.record: row for row in map(DetailRow._make, db.execute(_DETAILS, (json.dumps(newest),)))}
    flips: defaultdict[str, list[Flip]] = defaultdict(list)
    for flip in read_flips(db, packages):
        flips[flip.trigger.name].append(flip)
    downloads, dependencies = newest_downloads(db, packages), read_dependencies(db, packages)
    queued = queued_cells(db, packages)
    announced = announcements(db, ((package, of_package[0][0].version) for package, of_package in releases.items()))
    for package, of_package in groupby(rows, attrgetter("package")):
        if package in releases:
            history = _history(db, [*of_package], releases[package], details, flips[package])
            announced_at = announced.get((package, history.version))
            yield replace(
                history,
                downloads=downloads.get(package),
                announced_at=announced_at,
                dependencies=dependencies.get(package, {}),
                queued=queued.get(package, {}).get(history.version, ()),
            )


def _releases(
    db: Database, packages: Sequence[str], rows: Mapping[str, RecordRow], environments: Sequence[Environment]
) -> dict[str, list[list[RecordRow]]]:
    """Return the current rows of packages by release, newest version first, in the order of the environments."""
    names = (json.dumps(packages),)
    order = {environment.id: position for position, environment in enumerate(environments)}
    current: defaultdict[tuple[str, str], list[RecordRow]] = defaultdict(list)
    for package, version, record in db.execute(_CURRENT, names):
        current[package, version].append(rows[record])
    releases: defaultdict[str, list[list[RecordRow]]] = defaultdict(list)
    for release in db.execute(_RELEASES, names):
        if release in current:
            releases[release[0]].append(sorted(current[release], key=lambda row: order[row.environment]))
    return releases


def _history(
    db: Database,
    rows: list[RecordRow],
    releases: Sequence[Sequence[RecordRow]],
    details: Mapping[str, DetailRow],
    flips: Sequence[Flip],
) -> PackageHistory:
    verdicts = [verdict for of_release in releases for verdict in _judged_verdicts(of_release)]
    newest = _current_records(rows, releases[0], verdicts, details)
    changed = _changed_rows(rows)
    return PackageHistory(
        package=rows[0].package,
        newest=newest,
        verdicts=verdicts,
        changes=_LazyChanges(changed, {verdict.record: verdict for verdict in verdicts}),
        # Oldest first, so that the last change of each cell is the one that stays.
        changed_at={(row.version, row.environment): row.observed_at for row, _ in reversed(changed)},
        logs=_failure_logs(db, newest),
        flips=flips,
        on_index=_on_index(rows),
    )


def _on_index(rows: Sequence[RecordRow]) -> OnIndex | None:
    # The newest observation says it best, whatever version it is of.
    listed = next((row.on_index for row in reversed(rows) if row.on_index), None)
    return OnIndex.from_json(json.loads(listed)) if listed else None


def _changed_rows(rows: Iterable[RecordRow]) -> list[tuple[RecordRow, Result | None]]:
    before: dict[_CellKey, Result] = {}
    changed: list[tuple[RecordRow, Result | None]] = []
    for row in rows:
        cell, result = (row.version, row.environment), RESULTS[row.result]
        previous = before.get(cell)
        # An ERROR says nothing about the release: the verdict before it stays.
        if result is Result.ERROR or result is previous:
            continue
        changed.append((row, previous))
        before[cell] = result
    changed.reverse()
    return changed


def _judged_verdicts(rows: Sequence[RecordRow]) -> list[Verdict]:
    """Return the verdicts on one release, with the blame that follows from all its cells."""
    release = rows[0].release
    verdicts = [to_verdict(row, release) for row in rows]
    if all(verdict.result is Result.PASS and verdict.blame is None for verdict in verdicts):
        return verdicts
    judgements = assign_blame(verdicts)
    return [
        verdict._replace(blame=judgement.blame, blamed_by=judgement.source)
        if (judgement := judgements[verdict.environment]).source is not verdict.blamed_by
        else verdict
        for verdict in verdicts
    ]


def _current_records(
    rows: Iterable[RecordRow],
    newest: Sequence[RecordRow],
    verdicts: Sequence[Verdict],
    details: Mapping[str, DetailRow],
) -> list[CurrentRecord]:
    version = newest[0].version
    observations: defaultdict[str, list[RecordRow]] = defaultdict(list)
    for row in rows:
        if row.version == version:
            observations[row.environment].append(row)
    return [
        CurrentRecord(
            id=row.record,
            record=to_record(row, details[row.record], verdict),
            agreement=_agreement(observations[row.environment], row.result),
            judgement=AssignedBlame(blame=verdict.blame, source=verdict.blamed_by),
        )
        for row, verdict in zip(newest, verdicts, strict=False)
    ]


def _agreement(rows: Sequence[RecordRow], result: str) -> Agreement:
    latest: dict[str, str] = {}
    for row in rows:
        # An ERROR is an infrastructure error, so it never replaces what a node found out.
        if row.result != Result.ERROR or row.node not in latest:
            latest[row.node] = row.result
    return Agreement(agreeing=[*latest.values()].count(result), nodes=len(latest), records=len(rows))


def _failure_logs(db: Database, newest: Sequence[CurrentRecord]) -> dict[str, str]:
    # One log explains all cells that failed alike: the first that the ledger has. Which cell comes first depends on the
    # page where it cannot show all of them.
    logs: dict[str, str] = {}
    for cells in group_failures(newest):
        for digest in (cell.record.log_sha256 for cell in cells if cell.record.log_sha256):
            if log := queries.read_log(db, digest):
                logs[digest] = log
                if len(newest) <= MAX_ENVIRONMENTS:
                    break
    return logs
