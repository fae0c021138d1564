"""Queries for publishing. Each returns rows in a total order that depends only on the records.

To read numbers that are consistent with each other, run the queries inside one `db.atomic()`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from sqlite_utils import Database

from ppp.ledger.digests import DAY_S
from ppp.model.blame import BlameSource, own_source
from ppp.model.drift import is_proof
from ppp.model.matrix import Environment, EnvironmentId, Platform, environment_sort_key
from ppp.model.record import (
    PHASES,
    Blame,
    Outcome,
    Phase,
    Preinstalled,
    Result,
    first_failed,
    optional_fields,
    outcomes_in_order,
)
from ppp.model.release import Release
from ppp.model.shown import Shown, shown_as

_RECORD_COLUMNS: Final = (
    "record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import,"
    " observed_at, standin, cause, blame, detail"
)
#: What `verdict_from_row` needs of the view `judged`.
VERDICT_COLUMNS: Final = f"{_RECORD_COLUMNS}, blamed_by"


class Verdict(NamedTuple):
    """The fields of a record that a table of cells shows, with its assigned blame; `record` is the record's id."""

    record: str
    release: Release
    environment: str
    result: Result
    outcomes: tuple[Outcome, Outcome, Outcome, Outcome]
    observed_at: int
    standin: bool
    cause: str | None
    blame: Blame | None
    blamed_by: BlameSource | None
    detail: str | None

    @property
    def failed_phase(self) -> Phase | None:
        """Return the first phase that neither passed nor was skipped, or None."""
        return first_failed(self.outcomes)

    @property
    def is_proven(self) -> bool:
        """Return whether runs showed the cause."""
        return self.blamed_by is BlameSource.RUNS

    @property
    def shown(self) -> Shown:
        """Return what the cell is shown as: its result, or `installed` where there is nothing to import."""
        return shown_as(self.result, self.outcomes[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The size of the ledger; `by_environment` counts current results and has all five results as keys.

    `nothing_to_import` counts, by environment, the `PASS` cells of releases that have nothing to import. `exhibits`
    counts those of the cells that the shipped watchlist pins: chosen for what they show, they are in no headline.
    """

    records: int
    cells: int
    packages: int
    releases: int
    as_of: int | None
    by_environment: Mapping[str, Mapping[Result, int]]
    nothing_to_import: Mapping[str, int] = field(default_factory=dict)
    exhibits: Mapping[Result, int] = field(default_factory=dict)

    @property
    def by_result(self) -> dict[Result, int]:
        """Return the counts of current results over all environments, with all five results as keys."""
        return {r: sum(counts[r] for counts in self.by_environment.values()) for r in Result}

    def shown_in(self, environment: str) -> dict[Shown, int]:
        """Return what the current cells of an environment are shown as, with all of `Shown` as keys."""
        by_result, installed = self.by_environment[environment], self.nothing_to_import.get(environment, 0)
        apart = {Shown.PASS: by_result[Result.PASS] - installed, Shown.INSTALLED: installed}
        return {shown: apart[shown] if shown in apart else by_result[shown.result] for shown in Shown}

    @property
    def by_shown(self) -> dict[Shown, int]:
        """Return what the current cells of all environments are shown as, with all of `Shown` as keys."""
        all_ = [self.shown_in(environment) for environment in self.by_environment]
        return {shown: sum(counts[shown] for counts in all_) for shown in Shown}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    """A verdict that differs from the previous one of its cell; `previous` is None if it is the first."""

    verdict: Verdict
    previous: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCount:
    """How many failed or timed-out cells, of how many packages, a cause and its blame explain."""

    cause: str
    blame: Blame | None
    cells: int
    packages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageContent:
    """What an image held before anything was installed; `image_digest` is None for this machine itself."""

    image_digest: str | None
    preinstalled: tuple[Preinstalled, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of the `nodes` that have a verdict on a cell, `agreeing` have the current one; `records` counts observations."""

    agreeing: int
    nodes: int
    records: int


def ledger_path(db: Database) -> str:
    """Return the path of the open ledger, for messages."""
    return str(db.execute("PRAGMA database_list").fetchone()[2] or "the ledger")


def as_of(db: Database) -> int | None:
    """Return the time of the newest observation in epoch seconds, or None."""
    row = db.execute("SELECT max(observed_at) FROM records").fetchone()
    return None if row[0] is None else int(row[0])


def observed_environments(db: Database) -> list[Environment]:
    """Return the environments that have results, sorted by platform (slim, Alpine, host), then by Python."""
    rows = db.execute(
        "SELECT environment, python, platform FROM environments AS e"
        " WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.environment = e.environment)"
    )
    found = [Environment(id=e, python=python, platform=Platform(platform)) for e, python, platform in rows]
    return sorted(found, key=lambda environment: environment_sort_key(environment.id))


def queued_environments(db: Database) -> list[Environment]:
    """Return the environments that have no results yet and for which cells are queued, in the same order."""
    # Jumps from one environment to the next by the index of cells that can be taken: a queue may have millions.
    takeable = "FROM queue WHERE lease IS NULL AND not_before = 0 AND attempts < 3"
    rows = db.execute(
        f"WITH RECURSIVE e(environment) AS (SELECT min(environment) {takeable}"  # noqa: S608 - our own words
        f" UNION ALL SELECT (SELECT min(environment) {takeable} AND environment > e.environment)"
        " FROM e WHERE e.environment IS NOT NULL)"
        " SELECT environment FROM e WHERE environment IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM results AS r WHERE r.environment = e.environment)"
    )
    found = [(environment, EnvironmentId.parse(environment)) for (environment,) in rows]
    return [
        Environment(id=environment, python=parsed.python_version, platform=parsed.platform)
        for environment, parsed in sorted(found, key=lambda pair: pair[1].sort_key)
    ]


def newest_verdicts(db: Database, limit: int) -> list[Verdict]:
    """Return the newest current results: newest first, then by package, version and environment as text."""
    # CROSS JOIN and INDEXED BY make SQLite walk back in time until there are enough rows, instead of sorting all.
    chosen = db.execute(
        "SELECT c.record FROM records AS c INDEXED BY records_by_time CROSS JOIN results AS r"
        " WHERE r.package = c.package AND r.version = c.version AND r.environment = c.environment"
        " AND r.record = c.record ORDER BY c.observed_at DESC, c.package, c.version, c.environment LIMIT ?",
        (limit,),
    )
    return read_verdicts(db, [record for (record,) in chosen])


def read_verdicts(db: Database, records: Iterable[str]) -> list[Verdict]:
    """Return current results by record ids: newest first, then by package, version and environment."""
    rows = db.query(
        f"SELECT {VERDICT_COLUMNS} FROM judged WHERE record IN (SELECT value FROM json_each(?))"  # noqa: S608 - our own columns
        " ORDER BY observed_at DESC, package, version, environment",
        (json.dumps([*records]),),
    )
    return [verdict_from_row(row) for row in rows]


def image_contents(db: Database, records: Iterable[str]) -> dict[str, list[ImageContent]]:
    """Return by environment what its images held, as some records say: each image once, as its newest record has it.

    The image of the newest record comes first.
    """
    rows = db.execute(
        "SELECT environment, image_digest, preinstalled FROM records WHERE preinstalled IS NOT NULL"
        " AND record IN (SELECT value FROM json_each(?)) ORDER BY observed_at DESC, record DESC",
        (json.dumps([*records]),),
    )
    found: dict[str, dict[str | None, str]] = {}
    for environment, digest, preinstalled in rows:
        found.setdefault(environment, {}).setdefault(digest, preinstalled)
    return {
        environment: [
            ImageContent(image_digest=digest, **optional_fields({"preinstalled": json.loads(text)}))
            for digest, text in images.items()
        ]
        for environment, images in found.items()
    }


def newest_release_verdicts(db: Database, package: str) -> list[Verdict]:
    """Return the current results of a package's newest release, by environment."""
    rows = db.query(
        f"SELECT {VERDICT_COLUMNS} FROM judged"  # noqa: S608 - our own columns
        " WHERE package = :package AND version = (SELECT s.version FROM releases AS s"
        " WHERE s.package = :package AND EXISTS"
        " (SELECT 1 FROM results AS r WHERE r.package = s.package AND r.version = s.version)"
        " ORDER BY s.version_key DESC LIMIT 1) ORDER BY environment",
        {"package": package},
    )
    return [verdict_from_row(row) for row in rows]


def list_packages(db: Database) -> list[str]:
    """Return the sorted names of all packages that have a result."""
    return [name for (name,) in db.execute("SELECT DISTINCT package FROM results ORDER BY package")]


def packages_observed_after(db: Database, start: int) -> list[str]:
    """Return the sorted names of the packages that have a record after `start` (epoch seconds)."""
    rows = db.execute(
        "SELECT DISTINCT package FROM records INDEXED BY records_by_time WHERE observed_at > ? ORDER BY 1", (start,)
    )
    return [name for (name,) in rows]


def verdict_changes(db: Database) -> Iterator[VerdictChange]:
    """Yield every change of a cell's verdict, newest first, each with the blame read from its log (see `judged`).

    An `ERROR` is not a change, because it says nothing about a release.
    """
    # The index lets SQLite walk back in time only as far as the caller reads.
    return _changes(db, "records AS c INDEXED BY records_by_time WHERE result <> 'ERROR'")


def changes_after(db: Database, start: int) -> Iterator[VerdictChange]:
    """Yield the verdicts after `start` (epoch seconds) on cells that had another verdict before, newest first."""
    records = "records AS c INDEXED BY records_by_time WHERE result <> 'ERROR' AND observed_at > ?"
    return _changes(db, records, start, which="before <> result")


def newest_changes(db: Database, limit: int) -> list[VerdictChange]:
    """Return the changes of the newest `limit` pairs of (release, UTC day of a change), newest first."""
    pairs: dict[tuple[Release, int], None] = {}
    for change in verdict_changes(db):
        pairs[change.verdict.release, change.verdict.observed_at // DAY_S] = None
        if len(pairs) > limit:
            break
    selected = [(release.package, release.version, day) for release, day in [*pairs][:limit]]
    # Select by release as well as by day: a day may have tens of thousands of records of other releases.
    source = (
        "json_each(?) AS pair CROSS JOIN records AS c ON c.package = json_extract(pair.value, '$[0]')"
        " AND c.version = json_extract(pair.value, '$[1]')"
        f" AND c.observed_at / {DAY_S} = json_extract(pair.value, '$[2]') WHERE result <> 'ERROR'"
    )
    return list(_changes(db, source, json.dumps(selected)))


def _changes(
    db: Database, source: str, *values: str | int, which: str = "before IS NOT result"
) -> Iterator[VerdictChange]:
    # The subquery finds the previous verdict of each record's cell.
    rows = db.query(
        f"SELECT * FROM (SELECT {_RECORD_COLUMNS}, drift, (SELECT p.result FROM records AS p"  # noqa: S608 - our own words
        " WHERE p.package = c.package AND p.version = c.version AND p.environment = c.environment"
        " AND p.result <> 'ERROR' AND (p.observed_at, p.record) < (c.observed_at, c.record)"
        " ORDER BY p.observed_at DESC, p.record DESC LIMIT 1) AS before"
        f" FROM {source} ORDER BY observed_at DESC, record DESC)"
        f" WHERE {which}",
        values,
    )
    return (
        VerdictChange(
            verdict=verdict_from_row(row | {"blamed_by": own_source(row["blame"], is_proven=is_proof(row["drift"]))}),
            previous=row["before"] and Result(row["before"]),
        )
        for row in rows
    )


def with_current_blame(db: Database, changes: Iterable[VerdictChange]) -> list[VerdictChange]:
    """Return changes with the blame that sibling cells imply; verdicts that are no longer current keep their log's."""
    found = list(changes)
    now = {verdict.record: verdict for verdict in read_verdicts(db, [change.verdict.record for change in found])}
    return [replace(change, verdict=now.get(change.verdict.record, change.verdict)) for change in found]


def verdict_from_row(row: Mapping[str, Any]) -> Verdict:
    """Build a verdict from a row of the view `judged`."""
    return Verdict(
        record=row["record"],
        release=Release(package=row["package"], version=row["version"]),
        environment=row["environment"],
        result=Result(row["result"]),
        outcomes=outcomes_in_order({p: Outcome(row[f"phase_{p}"]) for p in PHASES}),
        observed_at=row["observed_at"],
        standin=bool(row["standin"]),
        cause=row["cause"],
        blame=row["blame"] and Blame(row["blame"]),
        blamed_by=row["blamed_by"] and BlameSource(row["blamed_by"]),
        detail=row["detail"],
    )
