"""Load many records at once, for a ledger that nobody else uses: what `Store` does one by one, in a few statements.

Nothing here decides what is valid: the records come from batches that were verified. The result is the same ledger as
if each record had been added by itself, apart from row numbers.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from sqlite_utils import Database

from ppp.ledger.rows import INSERT_RECORD, record_row
from ppp.model.canonical import Json, plain_canonical_json, sha256_hex
from ppp.model.matrix import EnvironmentId
from ppp.model.release import version_key

#: The columns of `results` for the current record of each cell, ordered as by `ppp.model.current.current_rank`.
_CURRENT: Final = """
    INSERT OR REPLACE INTO results (package, version, environment, record)
    SELECT package, version, environment, record FROM (
        SELECT package, version, environment, record,
               row_number() OVER (PARTITION BY package, version, environment
                                  ORDER BY result <> 'ERROR' DESC, observed_at DESC, record DESC) AS place
        FROM records {cells})
    WHERE place = 1 ORDER BY package, version, environment
"""
#: As in the migration that created the tables, and as in `ppp.ledger.dependents.note_installation`.
_INSTALLATIONS: Final = """
    INSERT OR REPLACE INTO installations (package, environment, record)
    SELECT package, environment, record FROM (
        SELECT c.package, c.environment, c.record,
               row_number() OVER (PARTITION BY c.package, c.environment
                                  ORDER BY s.version_key DESC, c.observed_at DESC, c.record DESC) AS place
        FROM records AS c JOIN releases AS s ON s.package = c.package AND s.version = c.version
        WHERE c.installed <> '[]' {packages})
    WHERE place = 1 ORDER BY package, environment
"""
_DEPENDENTS: Final = """
    INSERT OR IGNORE INTO dependents (dependency, environment, package, installed)
    SELECT i.value ->> 0, n.environment, n.package, i.value ->> 1
    FROM installations AS n CROSS JOIN records AS c CROSS JOIN json_each(c.installed) AS i
    WHERE c.record = n.record AND i.value ->> 0 <> n.package {packages}
    ORDER BY n.package, n.environment, i.key
"""


class BulkLoader:
    """Adds batches and records to a ledger within one open transaction; `finish` derives the rest.

    The ledger must not check foreign keys while rows are added: the names that records refer to are added last.
    """

    def __init__(self, db: Database) -> None:
        """Load into a ledger, which may have records already."""
        self._db = db
        (self._before,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
        self._releases: dict[tuple[str, str], None] = {}
        self._environments: dict[str, None] = {}
        self._nodes: dict[str, None] = {}

    def add_batch(self, batch: str, *, node: str, signature: str, packed: bytes, document: Mapping[str, Json]) -> None:
        """Add a verified batch: its id, node and signature, its compressed bytes, and what these hold."""
        ids = self.add_records(document["records"], document["logs"])
        times = [row["observed_at"] for row in document["records"]]
        self._nodes[node] = None
        self._db.execute(
            "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", (batch, node, signature, len(ids), min(times), max(times))
        )
        self._db.execute("INSERT INTO batch_files VALUES (?, ?)", (batch, packed))
        self._db.conn.executemany("INSERT INTO batch_records VALUES (?, ?)", [(batch, id_) for id_ in ids])

    def add_records(self, documents: Iterable[Mapping[str, Json]], logs: Mapping[str, str]) -> list[str]:
        """Add valid records with their logs, by sha256; return the ids. A record that is there already stays."""
        rows = []
        for document in documents:
            rows.append(record_row(document, sha256_hex(plain_canonical_json(document))))
            self._releases[document["package"], document["version"]] = None
            self._environments[document["environment"]] = None
            self._nodes[document["node"]] = None
        self._db.conn.executemany("INSERT OR IGNORE INTO logs VALUES (?, ?)", logs.items())
        self._db.conn.executemany(INSERT_RECORD, rows)
        return [row[0] for row in rows]

    def finish(self) -> None:
        """Add the names that records refer to, and derive current results and installations."""
        self._add_names()
        if not self._before:
            self._db.execute(_CURRENT.format(cells=""))
            self._db.execute(_INSTALLATIONS.format(packages=""))
            self._db.execute(_DEPENDENTS.format(packages=""))
            return
        self._db.execute(
            "CREATE TEMP TABLE new_cells AS SELECT DISTINCT package, version, environment FROM records WHERE rowid > ?",
            (self._before,),
        )
        cells = "WHERE (package, version, environment) IN (SELECT package, version, environment FROM new_cells)"
        packages = "(SELECT package, environment FROM new_cells)"
        self._db.execute(_CURRENT.format(cells=cells))
        self._db.execute(f"DELETE FROM dependents WHERE (package, environment) IN {packages}")  # noqa: S608 - our own words
        self._db.execute(_INSTALLATIONS.format(packages=f"AND (c.package, c.environment) IN {packages}"))
        self._db.execute(_DEPENDENTS.format(packages=f"AND (n.package, n.environment) IN {packages}"))
        self._db.execute("DROP TABLE new_cells")

    def _add_names(self) -> None:
        insert = self._db.conn.executemany
        insert("INSERT OR IGNORE INTO packages VALUES (?)", sorted({(package,) for package, _ in self._releases}))
        insert(
            "INSERT OR IGNORE INTO releases VALUES (?, ?, ?)",
            [(package, version, version_key(version)) for package, version in sorted(self._releases)],
        )
        rows = map(_environment_row, sorted(self._environments))
        insert("INSERT OR IGNORE INTO environments VALUES (?, ?, ?, ?)", rows)
        insert("INSERT OR IGNORE INTO nodes VALUES (?)", [(node,) for node in sorted(self._nodes)])


def _environment_row(environment: str) -> tuple[str, str, str, int]:
    parsed = EnvironmentId.parse(environment)
    return environment, parsed.python_version, str(parsed.platform), parsed.python_key
