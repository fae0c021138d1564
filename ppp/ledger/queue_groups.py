"""What is queued, in groups of cells that wait for the same thing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.model.matrix import Cell
from ppp.model.release import Release

#: The cause of a cell's newest `ERROR` of this node, once it will not be tried again.
_GROUPS: Final = """
SELECT environment, source NOT IN ('named', 'requirements', 'watchlist') AS untrusted, attempts >= :most AS given_up,
       CASE WHEN attempts >= :most THEN
           (SELECT cause FROM records AS r WHERE r.package = q.package AND r.version = q.version
                AND r.environment = q.environment AND r.node = :node AND r.result = 'ERROR'
            ORDER BY r.observed_at DESC LIMIT 1) END AS cause,
       CASE WHEN not_before > :now THEN not_before END AS due_at,
       {elsewhere} AS elsewhere, count(*) AS cells,
       min(package || ' ' || version) AS example
FROM queue AS q GROUP BY environment, untrusted, given_up, cause, due_at, elsewhere
ORDER BY environment, elsewhere, given_up, cause, due_at, untrusted
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueGroup:
    """Queued cells of one environment; `untrusted` ones were named by no person.

    `given_up` ones resulted in `ERROR` too often, the last time for `cause`. `due_at` is when they may be tried again,
    in epoch seconds, if that is later than now. `elsewhere` says who they are left to, if they are not of this node.
    """

    environment: str
    cells: int
    example: Cell
    untrusted: bool = False
    given_up: bool = False
    cause: str | None = None
    due_at: int | None = None
    elsewhere: str | None = None


def read_queue(
    db: Database, *, node: str, now: int, elsewhere: Callable[[str, str, str], str | None] | None = None
) -> tuple[QueueGroup, ...]:
    """Return what is queued; `node` is this node's id, `now` is in epoch seconds.

    `elsewhere` is called with a package, a version and a source, and returns who that is left to, if it is.
    """
    rows = db.query(
        _GROUPS.format(elsewhere=elsewhere_sql(db, elsewhere)), {"most": MAX_ATTEMPTS, "node": node, "now": now}
    )
    return tuple(
        QueueGroup(
            environment=row["environment"],
            cells=row["cells"],
            example=_example(row["example"], row["environment"]),
            untrusted=bool(row["untrusted"]),
            given_up=bool(row["given_up"]),
            cause=row["cause"],
            due_at=row["due_at"],
            elsewhere=row["elsewhere"],
        )
        for row in rows
    )


def elsewhere_sql(db: Database, elsewhere: Callable[[str, str, str], str | None] | None) -> str:
    """Return what says in SQL who a queued cell is left to, for queries of this connection: NULL where it is nobody."""
    if elsewhere is None:
        return "NULL"
    db.conn.create_function("ppp_elsewhere", 3, elsewhere, deterministic=True)
    return "ppp_elsewhere(package, version, source)"


def _example(text: str, environment: str) -> Cell:
    package, version = text.split(" ")
    return Cell(release=Release(package=package, version=version), environment=environment)
