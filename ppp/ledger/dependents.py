"""Who installs what: an index of the installed distributions of each package's newest release, by environment.

It is kept by whoever stores a record, in the same transaction (`note_installation`), so that the dependents of a
release are found without a look at all records. Where the newest release could not be installed, what was installed
before stays: the release that makes it installable again has to be known as a dependency.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.model.matrix import Cell
from ppp.model.record import Network, Record
from ppp.model.release import Release, version_key
from ppp.model.trigger import Trigger, TriggerKind

#: Of the newest period that was imported, for all Pythons together.
_DOWNLOADS: Final = (
    "(SELECT w.downloads FROM downloads AS w WHERE w.package = c.package AND w.python_version = ''"
    " AND w.period = (SELECT max(n.period) FROM downloads AS n WHERE n.python_version = ''))"
)
#: By row number: what is new since the last look, not all records of the node.
_LANDINGS: Final = """
    SELECT DISTINCT c.package, c.version,
           NOT EXISTS (SELECT 1 FROM releases AS s
                       JOIN results AS r ON r.package = s.package AND r.version = s.version
                       WHERE s.package = c.package AND s.version_key > o.version_key) AS is_newest,
           (SELECT j.announced_at FROM journal_releases AS j WHERE j.package = c.package AND j.version = c.version),
           c.yanked IS NOT NULL OR c.cause IS 'withdrawn' AS withdrawn
    FROM records AS c NOT INDEXED CROSS JOIN releases AS o
    WHERE c.rowid > :seen AND c.rowid <= :last AND c.environment = :environment
      AND c.node IN (SELECT value FROM json_each(:nodes))
      AND o.package = c.package AND o.version = c.version
      AND EXISTS (SELECT 1 FROM dependents AS d WHERE d.dependency = c.package AND d.environment = c.environment)
      AND (c.yanked IS NOT NULL OR c.cause IS 'withdrawn'
           OR (c.result IN ('PASS', 'FAIL', 'TIMEOUT') AND c.filename IS NOT NULL AND c.triggered_by IS NULL
               AND NOT EXISTS (SELECT 1 FROM records AS b
                               WHERE b.package = c.package AND b.version = c.version
                                 AND b.environment = c.environment
                                 AND b.node IN (SELECT value FROM json_each(:nodes))
                                 AND b.result <> 'ERROR' AND b.rowid <= :seen)))
    ORDER BY c.package, o.version_key
"""
#: The cells of an environment that install a dependency, by package; see `read_dependents`.
DEPENDENTS_SQL: Final = f"""
    SELECT f.package, f.version, f.installed, f.observed_at, f.downloads FROM (
        SELECT c.package, d.installed, c.observed_at, {_DOWNLOADS} AS downloads,
               (SELECT s.version FROM releases AS s CROSS JOIN results AS r
                WHERE s.package = d.package AND r.package = s.package AND r.version = s.version
                  AND r.environment = d.environment ORDER BY s.version_key DESC LIMIT 1) AS version
        FROM dependents AS d CROSS JOIN installations AS n CROSS JOIN records AS c
        WHERE d.dependency = :dependency AND d.environment = :environment
          AND n.package = d.package AND n.environment = d.environment AND c.record = n.record) AS f
    WHERE EXISTS (SELECT 1 FROM records AS o
                  WHERE o.package = f.package AND o.version = f.version AND o.environment = :environment
                    AND o.node = :node AND o.result IN ('PASS', 'FAIL', 'TIMEOUT'))
    ORDER BY f.package
"""  # noqa: S608 - our words


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """A release of which there is a first verdict in an environment, or which was found to be `withdrawn` (or yanked).

    `is_newest` says whether the ledger has no newer release of the package, `announced_at` when the journal named it,
    in epoch seconds, None if it did not.
    """

    release: Release
    environment: str
    is_newest: bool
    announced_at: int | None
    withdrawn: bool = False

    @property
    def trigger(self) -> Trigger:
        """Return what it is in the records of the checks that it triggers."""
        kind = TriggerKind.WITHDRAWAL if self.withdrawn else TriggerKind.DEPENDENCY
        return Trigger(kind=kind, name=self.release.package, version=self.release.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependent:
    """A cell of a package's newest release, which `installed` a version of a dependency when it was last installed.

    `observed_at` is when that was, in epoch seconds; `downloads` is None where unknown.
    """

    cell: Cell
    installed: str
    observed_at: int
    downloads: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCell:
    """A cell whose current record is a failure that a node itself observed, with the downloads of its package."""

    cell: Cell
    image_digest: str | None
    pip_version: str
    downloads: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSetting:
    """What a record says of its environment: the digest of the image (None without one), pip, and the network."""

    image_digest: str | None
    pip_version: str
    network: Network


def note_installation(db: Database, record: Record, record_id: str) -> None:
    """Take a record that was just stored into the index, within the open transaction.

    The index depends on the set of records alone, not on the order in which they arrive.
    """
    if not record.installed:
        return
    package, environment = record.release.package, record.environment
    row = db.execute(
        "SELECT s.version_key, c.observed_at, c.record, c.installed FROM installations AS n"
        " CROSS JOIN records AS c CROSS JOIN releases AS s"
        " WHERE n.package = ? AND n.environment = ? AND c.record = n.record"
        " AND s.package = c.package AND s.version = c.version",
        (package, environment),
    ).fetchone()
    if row is not None:
        if (row[0], row[1], row[2]) > (version_key(record.release.version), record.observed_at, record_id):
            return
        gone = {name for name, *_ in json.loads(row[3])} - {one.name for one in record.installed}
        db.conn.executemany(
            "DELETE FROM dependents WHERE dependency = ? AND environment = ? AND package = ?",
            [(name, environment, package) for name in gone],
        )
    db.execute("INSERT OR REPLACE INTO installations VALUES (?, ?, ?)", (package, environment, record_id))
    # The first of two entries of one name counts, as in the migration.
    versions = {one.name: one.version for one in reversed(record.installed) if one.name != package}
    db.conn.executemany(
        "INSERT OR REPLACE INTO dependents VALUES (?, ?, ?, ?)",
        [(name, environment, package, version) for name, version in versions.items()],
    )


def read_landings(db: Database, nodes: Collection[str], environment: str) -> tuple[list[Landing], int]:
    """Return the releases that nodes have a first verdict on since the last look, and up to which row that is.

    Re-checks are no landings, nor are releases that do not claim the environment or that no package installs there.
    """
    (last_row,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
    (seen,) = db.execute(
        "SELECT coalesce(max(last_row), 0) FROM landings_cursor WHERE environment = ?", (environment,)
    ).fetchone()
    values = {"seen": seen, "last": last_row, "nodes": json.dumps([*nodes]), "environment": environment}
    rows = db.execute(_LANDINGS, values)
    landings = [
        Landing(
            release=Release(package=p, version=v),
            environment=environment,
            is_newest=bool(newest),
            announced_at=announced_at,
            withdrawn=bool(withdrawn),
        )
        for p, v, newest, announced_at, withdrawn in rows.fetchall()
    ]
    return landings, int(last_row)


def read_dependents(db: Database, dependency: str, environment: str, node: str) -> list[Dependent]:
    """Return the cells of an environment that install a dependency, and that a node itself has a verdict on.

    They are of the newest release of each package that has a result there: what a user gets.
    """
    rows = db.execute(DEPENDENTS_SQL, {"dependency": dependency, "environment": environment, "node": node})
    return [
        Dependent(
            cell=Cell(release=Release(package=p, version=v), environment=environment),
            installed=installed,
            observed_at=at,
            downloads=downloads,
        )
        for p, v, installed, at, downloads in rows.fetchall()
    ]


def read_failed_cells(db: Database, environment: str, node: str) -> list[FailedCell]:
    """Return the cells of an environment whose current record is a failure that a node itself observed."""
    rows = db.execute(
        f"SELECT c.package, c.version, c.image_digest, c.pip_version, {_DOWNLOADS}"  # noqa: S608 - our words
        " FROM results AS r CROSS JOIN records AS c ON c.record = r.record"
        " WHERE r.environment = ? AND c.node = ? AND c.result IN ('FAIL', 'TIMEOUT')"
        " ORDER BY c.package, c.version",
        (environment, node),
    )
    return [
        FailedCell(
            cell=Cell(release=Release(package=p, version=v), environment=environment),
            image_digest=digest,
            pip_version=pip,
            downloads=downloads,
        )
        for p, v, digest, pip, downloads in rows.fetchall()
    ]


def read_newest_setting(db: Database, environment: str, node: str) -> RecordedSetting | None:
    """Return what the newest record of a node in an environment says of it; None if there is none.

    Backwards in time: where the node checked something lately, few records are looked at.
    """
    row = db.execute(
        "SELECT image_digest, pip_version, network FROM records INDEXED BY records_by_time"
        " WHERE environment = ? AND node = ? ORDER BY observed_at DESC, record DESC LIMIT 1",
        (environment, node),
    ).fetchone()
    return row and RecordedSetting(image_digest=row[0], pip_version=row[1], network=Network(row[2]))


def packages_that_installed(db: Database, releases: Iterable[tuple[str, str]]) -> set[str]:
    """Return the packages whose newest release installed one of some releases (package, version), or that have one."""
    found: set[str] = set()
    for package, version in releases:
        rows = db.execute(
            "SELECT package FROM dependents WHERE dependency = ? AND installed = ?"
            " UNION SELECT package FROM results WHERE package = ? AND version = ?",
            (package, version, package, version),
        )
        found.update(name for (name,) in rows)
    return found
