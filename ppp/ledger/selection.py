"""Select releases by their current results: in some environments, failing, or for some causes.

Packages are walked by name, so that a page of few costs little in a ledger of any size.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.model.release import Release

#: Of the release `n`, whether any current cell is wanted; the parameters are those of `Selection.parameters`.
_MATCHES = """EXISTS (
    SELECT 1 FROM results AS r CROSS JOIN records AS c ON c.record = r.record
    WHERE r.package = n.package AND r.version = n.version
      AND (:environments IS NULL OR r.environment IN (SELECT value FROM json_each(:environments)))
      AND (:failing = 0 OR c.result IN ('FAIL', 'TIMEOUT'))
      AND (:causes IS NULL OR c.cause IN (SELECT value FROM json_each(:causes))))"""
_NEWEST = """SELECT p.package, (
        SELECT s.version FROM releases AS s
        WHERE s.package = p.package
          AND EXISTS (SELECT 1 FROM results AS t WHERE t.package = s.package AND t.version = s.version)
        ORDER BY s.version_key DESC LIMIT 1) AS version
    FROM packages AS p WHERE p.package > :after"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which releases are wanted: those with a current result for which all of this holds.

    `environments` are ids, `causes` those of a failure; empty: any. `failing` is FAIL or TIMEOUT.
    """

    environments: tuple[str, ...] = ()
    failing: bool = False
    causes: tuple[str, ...] = ()

    @property
    def parameters(self) -> dict[str, object]:
        """Return the parameters of the SQL."""
        return {
            "environments": json.dumps(self.environments) if self.environments else None,
            "failing": int(self.failing),
            "causes": json.dumps(self.causes) if self.causes else None,
        }


def select_newest(db: Database, selection: Selection, *, after: str = "", limit: int | None = None) -> list[Release]:
    """Return the newest release of each package if it is wanted, by name from the first one after `after` on."""
    sql = f"SELECT package, version FROM ({_NEWEST}) AS n WHERE {_MATCHES} ORDER BY package LIMIT :limit"  # noqa: S608 - our own text
    parameters = {"after": after, "limit": -1 if limit is None else limit, **selection.parameters}
    return [Release(package=p, version=v) for p, v in db.execute(sql, parameters).fetchall()]


def select_of_packages(db: Database, packages: Sequence[str], selection: Selection) -> list[Release]:
    """Return the wanted releases of packages, in the order of `packages`, newest first."""
    sql = (
        f"SELECT package, version FROM releases AS n WHERE package = :package AND {_MATCHES} ORDER BY version_key DESC"  # noqa: S608 - our own text
    )
    return [
        Release(package=p, version=v)
        for package in packages
        for p, v in db.execute(sql, {"package": package, **selection.parameters}).fetchall()
    ]
