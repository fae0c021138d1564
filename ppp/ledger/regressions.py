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


def prior_results(db: Database, cell: Cell, *, own: str | None = None) -> PriorResults:
    """Return what the ledger knows about a cell before it is checked: the word of the node `own` first.

    A peer's failure must not spare this node the confirmation of its own.
    """
    package, version = cell.release.package, cell.release.version
    here = db.execute(
        "SELECT result FROM records WHERE package = ? AND version = ? AND environment = ?"
        " ORDER BY result <> 'ERROR' DESC, node IS ? DESC, observed_at DESC, record DESC LIMIT 1",
        (package, version, cell.environment, own),
    ).fetchone()
    before = db.execute(
        "SELECT c.result FROM records AS c JOIN releases AS s ON s.package = c.package AND s.version = c.version"
        " WHERE c.package = ? AND c.environment = ? AND s.version_key < ? AND c.result <> 'ERROR'"
        " ORDER BY s.version_key DESC, c.node IS ? DESC, c.observed_at DESC, c.record DESC LIMIT 1",
        (package, cell.environment, version_key(version), own),
    ).fetchone()
    return PriorResults(current=here and Result(here[0]), previous_version=before and Result(before[0]))


def is_new_regression(result: Result, prior: PriorResults) -> bool:
    """Return whether a result is the first failure of something that worked before.

    That is: the cell or the previous version passed in this environment, and the cell has not failed yet.
    """
    if result not in FAILED_RESULTS or prior.current in FAILED_RESULTS:
        return False
    return Result.PASS in {prior.current, prior.previous_version}
