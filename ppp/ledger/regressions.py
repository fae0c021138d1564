"""Which failures are new regressions: these are confirmed by a second check before they are published."""

from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.model.matrix import Cell
from ppp.model.record import Result
from ppp.model.release import version_key

FAILED_RESULTS: Final = frozenset({Result.FAIL, Result.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorResults:
    """A cell's current result, and that of the previous version in the same environment; None if there is none.

    `ERROR` results of previous versions are skipped: the newest previous version with a verdict counts.
    """

    current: Result | None = None
    previous_version: Result | None = None


def prior_results(db: Database, cell: Cell) -> PriorResults:
    """Return what the ledger knows about a cell before it is checked."""
    package, version = cell.release.package, cell.release.version
    here = db.execute(
        "SELECT c.result FROM results AS r JOIN records AS c ON c.record = r.record"
        " WHERE r.package = ? AND r.version = ? AND r.environment = ?",
        (package, version, cell.environment),
    ).fetchone()
    before = db.execute(
        "SELECT c.result FROM results AS r JOIN records AS c ON c.record = r.record"
        " JOIN releases AS s ON s.package = r.package AND s.version = r.version"
        " WHERE r.package = ? AND r.environment = ? AND s.version_key < ? AND c.result <> 'ERROR'"
        " ORDER BY s.version_key DESC LIMIT 1",
        (package, cell.environment, version_key(version)),
    ).fetchone()
    return PriorResults(current=here and Result(here[0]), previous_version=before and Result(before[0]))


def is_new_regression(result: Result, prior: PriorResults) -> bool:
    """Return whether a result is the first failure of something that worked before.

    That is: the cell or the previous version passed in this environment, and the cell has not failed yet.
    """
    if result not in FAILED_RESULTS or prior.current in FAILED_RESULTS:
        return False
    return Result.PASS in {prior.current, prior.previous_version}
