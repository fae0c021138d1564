"""Queries of the ledger, and the only place where its rows become objects of the model."""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from sqlite_utils import Database

from ppp.model.matrix import Cell
from ppp.model.on_index import OnIndex
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
    optional_fields,
    outcomes_in_order,
)
from ppp.model.release import Release


def record_from_row(row: Mapping[str, Any]) -> Record:
    """Build a record from a row of `records` (or of the `current` view)."""
    file = None
    if row["filename"] is not None:
        file = DistributionFile(filename=row["filename"], sha256=row["file_sha256"], size=row["file_size"])
    return Record(
        release=Release(package=row["package"], version=row["version"]),
        environment=row["environment"],
        result=Result(row["result"]),
        outcomes=outcomes_in_order({p: Outcome(row[f"phase_{p}"]) for p in PHASES}),
        observed_at=row["observed_at"],
        node=row["node"],
        arch=row["arch"],
        python=row["python"],
        image_digest=row["image_digest"],
        standin=bool(row["standin"]),
        network=Network(row["network"]),
        pip_version=row["pip_version"],
        file=file,
        imports=tuple(json.loads(row["imports"])),
        installed=tuple(Installed(name=n, version=v, sha256=h) for n, v, h in json.loads(row["installed"])),
        duration_ms={p: row[f"{p}_ms"] for p in PHASES if row[f"{p}_ms"] is not None},
        bytes={p: row[f"{p}_bytes"] for p in PHASES if row[f"{p}_bytes"] is not None},
        grounds={Phase(p): ground for p, ground in json.loads(row["grounds"]).items()},
        cause=row["cause"],
        blame=row["blame"] and Blame(row["blame"]),
        detail=row["detail"],
        log_sha256=row["log_sha256"],
        **optional_fields(
            {
                name: row[name] if name in TEXT_FIELDS else json.loads(row[name])
                for name in OPTIONAL_FIELDS
                # A file of an older schema, which `ppp verify` reads as it is, lacks columns.
                if row.get(name) is not None
            }
        ),
    )


def read_records(db: Database) -> Iterator[Record]:
    """Yield every record, by id."""
    return map(record_from_row, db.query("SELECT * FROM records ORDER BY record"))


def records_by_id(db: Database, prefix: str, *, limit: int) -> list[Record]:
    """Return the records whose ids begin with some hexadecimal digits, at most `limit`, by id."""
    rows = db.query(
        "SELECT * FROM records WHERE record >= ? AND record < ? ORDER BY record LIMIT ?", (prefix, prefix + "g", limit)
    )
    return [record_from_row(row) for row in rows]


def cells_with_verdict(db: Database, node: str) -> set[Cell]:
    """Return the cells that a node itself has a verdict on, which is any result but `ERROR`."""
    rows = db.execute(
        "SELECT DISTINCT package, version, environment FROM records WHERE node = ? AND result <> 'ERROR'", (node,)
    )
    return {Cell(release=Release(package=p, version=v), environment=e) for p, v, e in rows.fetchall()}


def environments_with_verdict(db: Database, release: Release, node: str) -> set[str]:
    """Return the environments in which a node itself has a verdict on a release."""
    rows = db.execute(
        "SELECT DISTINCT environment FROM records WHERE package = ? AND version = ? AND node = ? AND result <> 'ERROR'",
        (release.package, release.version, node),
    )
    return {environment for (environment,) in rows.fetchall()}


def was_fetched(db: Database, release: Release) -> bool:
    """Return whether a file of a release was fetched before, in any environment: the index did list it."""
    key = (release.package, release.version)
    row = db.execute(
        "SELECT 1 FROM records WHERE package = ? AND version = ? AND filename IS NOT NULL LIMIT 1", key
    ).fetchone()
    return row is not None


def withdrawn_cells(db: Database, node: str) -> set[Cell]:
    """Return the cells whose newest verdict of a node says that the index has withdrawn the release."""
    rows = db.execute(
        # Of the other columns, SQLite takes the values from the row with the greatest time.
        "SELECT package, version, environment, cause, max(observed_at) FROM records"
        " WHERE node = ? AND result <> 'ERROR' GROUP BY package, version, environment HAVING cause = 'withdrawn'",
        (node,),
    )
    return {Cell(release=Release(package=p, version=v), environment=e) for p, v, e, *_ in rows.fetchall()}


def given_up(db: Database) -> list[Cell]:
    """Return the queued cells that resulted in `ERROR` too often and will not be retried automatically."""
    rows = db.execute("SELECT package, version, environment FROM given_up ORDER BY package, version, environment")
    return [Cell(release=Release(package=p, version=v), environment=e) for p, v, e in rows.fetchall()]


def newest_own_verdicts(db: Database, node: str, environments: Collection[str], limit: int) -> list[Record]:
    """Return a node's newest current verdicts in some environments, newest first, without `NA` (nothing was run)."""
    rows = db.query(
        "SELECT * FROM current WHERE node = ? AND result IN ('PASS', 'FAIL', 'TIMEOUT')"
        " AND environment IN (SELECT value FROM json_each(?)) ORDER BY observed_at DESC, record LIMIT ?",
        (node, json.dumps([*environments]), limit),
    )
    return [record_from_row(row) for row in rows]


class OldPass(NamedTuple):
    """A cell whose current record is a `PASS`, with the record's id and its time."""

    cell: Cell
    record: str
    observed_at: int


def oldest_passes(db: Database, node: str, environments: Collection[str], *, before: int, limit: int) -> list[OldPass]:
    """Return cells whose current record is a `PASS` of a node that it observed before a time, the oldest first."""
    rows = db.execute(
        "SELECT package, version, environment, record, observed_at FROM current"
        " WHERE node = ? AND result = 'PASS' AND observed_at < ?"
        " AND environment IN (SELECT value FROM json_each(?)) ORDER BY observed_at, record LIMIT ?",
        (node, before, json.dumps([*environments]), limit),
    )
    return [
        OldPass(Cell(release=Release(package=p, version=v), environment=e), record, observed_at)
        for p, v, e, record, observed_at in rows.fetchall()
    ]


def read_log(db: Database, log_sha256: str) -> str | None:
    """Return a log by its sha256 (hex), or None."""
    row = db.execute("SELECT log FROM logs WHERE log_sha256 = ?", (log_sha256,)).fetchone()
    return row and str(row[0])


def current_by_environment(db: Database, release: Release) -> dict[str, Record]:
    """Return the current record of each of a release's cells, by environment."""
    rows = db.query("SELECT * FROM current WHERE package = ? AND version = ?", (release.package, release.version))
    return {row["environment"]: record_from_row(row) for row in rows}


def newest_releases(db: Database) -> list[Release]:
    """Return the newest release of each package that has a result, by package."""
    rows = db.execute("SELECT package, version FROM newest ORDER BY package")
    return [Release(package=p, version=v) for p, v in rows.fetchall()]


def releases_of(db: Database, package: str) -> list[Release]:
    """Return the releases of a package that have a result, newest first."""
    rows = db.execute(
        "SELECT DISTINCT package, version, version_key FROM current WHERE package = ? ORDER BY version_key DESC",
        (package,),
    )
    return [Release(package=p, version=v) for p, v, _ in rows.fetchall()]


def on_index(db: Database, package: str) -> OnIndex | None:
    """Return what the index listed of a package at the newest observation that recorded it; None if none did."""
    row = db.execute(
        "SELECT on_index FROM records WHERE package = ? AND on_index IS NOT NULL"
        " ORDER BY observed_at DESC, record DESC LIMIT 1",
        (package,),
    ).fetchone()
    return OnIndex.from_json(json.loads(row[0])) if row else None


def image_digests(db: Database, node: str) -> dict[str, str]:
    """Return the image digest of a node's newest record in each environment that has one."""
    rows = db.execute(
        "SELECT environment, image_digest, max(observed_at) FROM records"
        " WHERE node = ? AND image_digest IS NOT NULL GROUP BY environment ORDER BY environment",
        (node,),
    )
    return {environment: digest for environment, digest, _ in rows.fetchall()}


def newest_pip_version(db: Database, node: str) -> str | None:
    """Return the pip version of a node's newest record, or None."""
    row = db.execute(
        "SELECT pip_version FROM records WHERE node = ? ORDER BY observed_at DESC, record LIMIT 1", (node,)
    ).fetchone()
    return row and str(row[0])
