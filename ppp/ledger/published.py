"""The reads that publishing needs, each in a total order that only the records decide.

Whoever wants numbers that agree reads them all inside one `db.atomic()`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.queries import record_from_row
from ppp.model.matrix import Environment, Platform
from ppp.model.record import PHASES, SETTLED, Blame, Outcome, Phase, Record, Result, outcomes_of
from ppp.model.release import Release

_THIN: Final = (
    "record, package, version, environment, result, phase_download, phase_nodeps, phase_full, phase_import,"
    " observed_at, standin, cause, blame, detail"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A record without what a table of many cells does not show; `record` is its id."""

    record: str
    release: Release
    environment: str
    result: Result
    outcomes: tuple[Outcome, Outcome, Outcome, Outcome]
    observed_at: int
    standin: bool
    cause: str | None
    blame: Blame | None
    detail: str | None

    @property
    def failed_phase(self) -> Phase | None:
        """Give the first phase that neither passed nor was skipped."""
        return next((p for p, o in zip(PHASES, self.outcomes, strict=True) if o not in SETTLED), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the ledger holds; `by_environment` counts the current results, all five words in each."""

    records: int
    cells: int
    packages: int
    releases: int
    as_of: int | None
    by_environment: Mapping[str, Mapping[Result, int]]

    @property
    def by_result(self) -> dict[Result, int]:
        """Give the current results of all environments together, all five words."""
        return {r: sum(counts[r] for counts in self.by_environment.values()) for r in Result}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A verdict that differs from the one its cell had before (None: it had none)."""

    verdict: Verdict
    before: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCount:
    """How many failed or timed-out cells, of how many packages, a cause and its blame explain."""

    cause: str
    blame: Blame | None
    cells: int
    packages: int


class FindingKind(StrEnum):
    """What only several cells together show; each is a view of the ledger."""

    ALPINE_ONLY = "alpine_only"
    PYTHON_REGRESSIONS = "python_regressions"
    PHANTOM_SUCCESSES = "phantom_successes"
    NEVER_ON_ALPINE = "never_on_alpine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A package that a finding is about, with the environments (by platform, then Python) and the causes of it."""

    package: str
    environments: tuple[str, ...]
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of `nodes` nodes with a verdict on a cell, `agreeing` have the current one; `records` observations in all."""

    agreeing: int
    nodes: int
    records: int


def ledger_name(db: Database) -> str:
    """Give the path of the open ledger, for a person to read."""
    return str(db.execute("PRAGMA database_list").fetchone()[2] or "the ledger")


def identities(db: Database) -> Iterator[tuple[str, str]]:
    """Give each observation's id and the UTC day it was made (`2026-11-20`), by id."""
    rows: Iterator[tuple[str, int]] = db.execute("SELECT record, observed_at FROM records ORDER BY record")
    for record, observed_at in rows:
        yield record, datetime.fromtimestamp(observed_at, UTC).date().isoformat()


def counts(db: Database) -> Counts:
    """Count what the ledger holds."""
    records, as_of = db.execute("SELECT count(*), max(observed_at) FROM records").fetchone()
    by_environment: dict[str, dict[Result, int]] = {}
    cells = 0
    rows = db.execute(
        "SELECT r.environment, c.result, count(*) FROM results AS r JOIN records AS c ON c.record = r.record"
        " GROUP BY r.environment, c.result ORDER BY r.environment"
    )
    for environment, result, count in rows:
        by_environment.setdefault(environment, dict.fromkeys(Result, 0))[Result(result)] = count
        cells += count
    packages, releases = db.execute(
        "SELECT count(DISTINCT package), count(*) FROM (SELECT DISTINCT package, version FROM results)"
    ).fetchone()
    return Counts(
        records=records, cells=cells, packages=packages, releases=releases, as_of=as_of, by_environment=by_environment
    )


def environments(db: Database) -> list[Environment]:
    """Give the environments that results stand in: Debian, then Alpine, then hosts, each by Python."""
    rows = db.execute(
        "SELECT environment, python, platform FROM environments AS e"
        " WHERE EXISTS (SELECT 1 FROM results AS r WHERE r.environment = e.environment)"
        " ORDER BY CASE platform WHEN 'slim' THEN 0 WHEN 'alpine' THEN 1 ELSE 2 END, python_key"
    )
    return [Environment(id=e, python=python, platform=Platform(platform)) for e, python, platform in rows]


def newest_verdicts(db: Database, limit: int) -> list[Verdict]:
    """Give the newest current results: newest first, then by package, version and environment as text."""
    rows = db.query(
        f"SELECT {_THIN} FROM current ORDER BY observed_at DESC, package, version, environment LIMIT ?",  # noqa: S608 - our own columns
        (limit,),
    )
    return [_verdict(row) for row in rows]


def newest_releases(db: Database) -> Iterator[Verdict]:
    """Give the current results of each package's newest release, package by package."""
    columns = ", ".join(f"c.{column.strip()}" for column in _THIN.split(","))
    rows = db.query(
        f"SELECT {columns} FROM newest AS n"  # noqa: S608 - our own columns
        " JOIN current AS c ON c.package = n.package AND c.version = n.version ORDER BY c.package, c.environment"
    )
    return map(_verdict, rows)


def packages(db: Database) -> list[str]:
    """Give the name of each package that holds a result, sorted."""
    return [name for (name,) in db.execute("SELECT DISTINCT package FROM results ORDER BY package")]


def package_records(db: Database, package: str) -> list[Record]:
    """Give the current record of every cell of a package, newest version first."""
    # Asked of `results` rather than of the view `current`, in which a package can only be found by reading all.
    rows = db.query(
        "SELECT c.* FROM results AS r JOIN records AS c ON c.record = r.record"
        " JOIN releases AS s ON s.package = r.package AND s.version = r.version"
        " WHERE r.package = ? ORDER BY s.version_key DESC, r.environment",
        (package,),
    )
    return [record_from_row(row) for row in rows]


def top_causes(db: Database, limit: int) -> list[CauseCount]:
    """Give the causes that explain the most cells now `FAIL` or `TIMEOUT`, greatest first."""
    rows = db.execute(
        "SELECT cause, blame, count(*) AS cells, count(DISTINCT package) AS packages FROM current"
        " WHERE result IN ('FAIL', 'TIMEOUT') AND cause IS NOT NULL GROUP BY cause, blame"
        " ORDER BY cells DESC, packages DESC, cause, blame LIMIT ?",
        (limit,),
    )
    return [CauseCount(cause=c, blame=b and Blame(b), cells=cells, packages=n) for c, b, cells, n in rows]


_FINDING_SQL: Final = {
    FindingKind.ALPINE_ONLY: "SELECT package, environment, cause FROM alpine_only",
    FindingKind.PYTHON_REGRESSIONS: "SELECT package, fails_in, cause FROM python_regressions",
    FindingKind.PHANTOM_SUCCESSES: "SELECT package, environment, cause FROM phantom_successes",
    FindingKind.NEVER_ON_ALPINE: "SELECT package, NULL, NULL FROM never_on_alpine",
}


def findings(db: Database, kind: FindingKind) -> list[Finding]:
    """Give what one finding is about, package by package."""
    seen: dict[str, tuple[set[str], set[str]]] = {}
    for package, environment, cause in db.execute(f"{_FINDING_SQL[kind]} ORDER BY package"):
        places, causes = seen.setdefault(package, (set(), set()))
        places.update(e for e in (environment,) if e)
        causes.update(c for c in (cause,) if c)
    return [
        Finding(package=p, environments=tuple(sorted(e, key=_place)), causes=tuple(sorted(c)))
        for p, (e, c) in seen.items()
    ]


def _place(environment: str) -> tuple[str, int]:
    python, _, platform = environment.removeprefix("py").partition("-")
    return platform, int(python)


def agreements(db: Database, package: str) -> dict[tuple[str, str], Agreement]:
    """Give, for each (version, environment) of a package, how many nodes agree with what is current there."""
    latest: dict[tuple[str, str], dict[str, str]] = {}
    observed: dict[tuple[str, str], int] = {}
    rows = db.execute(
        "SELECT version, environment, node, result FROM records WHERE package = ? ORDER BY observed_at, record",
        (package,),
    )
    for version, environment, node, result in rows:
        cell = (version, environment)
        observed[cell] = observed.get(cell, 0) + 1
        verdicts = latest.setdefault(cell, {})
        # An ERROR says something about us, so it never takes the place of what a node found out.
        if result != Result.ERROR or node not in verdicts:
            verdicts[node] = result
    current = db.execute(
        "SELECT r.version, r.environment, c.result FROM results AS r JOIN records AS c ON c.record = r.record"
        " WHERE r.package = ?",
        (package,),
    )
    return {
        (version, environment): Agreement(
            agreeing=sum(r == result for r in latest[version, environment].values()),
            nodes=len(latest[version, environment]),
            records=observed[version, environment],
        )
        for version, environment, result in current
    }


def verdict_changes(db: Database) -> Iterator[Change]:
    """Give every change of a cell's verdict, newest first; an `ERROR` is none, as it says nothing about a release."""
    rows = db.query(
        f"SELECT * FROM (SELECT {_THIN}, lag(result) OVER"  # noqa: S608 - our own columns
        " (PARTITION BY package, version, environment ORDER BY observed_at, record) AS before"
        " FROM records WHERE result <> 'ERROR') WHERE before IS NOT result ORDER BY observed_at DESC, record DESC"
    )
    return (Change(verdict=_verdict(row), before=row["before"] and Result(row["before"])) for row in rows)


def _verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(
        record=row["record"],
        release=Release(package=row["package"], version=row["version"]),
        environment=row["environment"],
        result=Result(row["result"]),
        outcomes=outcomes_of({p: Outcome(row[f"phase_{p}"]) for p in PHASES}),
        observed_at=row["observed_at"],
        standin=bool(row["standin"]),
        cause=row["cause"],
        blame=row["blame"] and Blame(row["blame"]),
        detail=row["detail"],
    )
