"""Where cells stand in the queue, and because of what: read only, by the policy that ranked them.

To count what is before a cell takes a pass over an index: a fraction of a second for a million cells.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any, Final

from sqlite_utils import Database

from ppp.ledger.queue import NEXT_IN_ENVIRONMENT
from ppp.ledger.queue_groups import elsewhere_sql
from ppp.ledger.queue_order import read_policy
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.model.matrix import Cell
from ppp.model.queue_policy import Packer, Part, QueuePolicy
from ppp.model.release import Release

_PLACE: Final = (
    "SELECT package, version, environment, source, enqueued_at, attempts, not_before, leased_until, publisher, turn,"
    " downloads, risk, priority FROM queue"
)
#: By the words of `elsewhere_sql`.
_COUNTS: Final = (
    "SELECT environment, CASE WHEN source IN ('named', 'requirements') THEN 'asked'"
    " WHEN source = 'watchlist' THEN 'watchlist' ELSE 'others' END AS class, count(*),"
    " sum(attempts < :most AND not_before > :now), sum(attempts >= :most), sum({elsewhere} IS NOT NULL)"
    " FROM queue GROUP BY environment, class ORDER BY environment, class"
)
_BETWEEN: Final = (
    "SELECT count(*) FROM queue INDEXED BY queue_in_turn"
    " WHERE environment = :environment AND (source IN ('named', 'requirements', 'watchlist')) = :trusted"
    " AND lease IS NULL AND not_before = 0 AND attempts < 3"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePlace:
    """A queued cell, and what its place is made of; times are in epoch seconds.

    `waits_until` is when it may be tried again, if that is later; `leased_until`, if a run has it. `position` counts
    from 1 in its environment, among cells that can be taken at once and itself; it is None for a cell that ended in
    `ERROR` too often. `before` says how many come before it because of each part, `fewer_attempts` because they were
    tried less often; the others that come before are equal in everything and have an earlier name.
    """

    cell: Cell
    source: str
    queued_at: int
    attempts: int
    waits_until: int | None
    leased_until: int | None
    publisher: str
    downloads: int | None
    values: Mapping[Part, int]
    position: int | None = None
    fewer_attempts: int = 0
    before: Mapping[Part, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCount:
    """How many cells of a class (`asked`, `watchlist` or `others`) are queued in an environment.

    `delayed` ones may be tried later, `given_up` ones resulted in `ERROR` too often, `elsewhere` ones are left to other
    nodes; all are among `cells`.
    """

    environment: str
    kind: str
    cells: int
    delayed: int
    given_up: int
    elsewhere: int = 0


def queue_counts(
    db: Database, *, now: int, elsewhere: Callable[[str, str, str], str | None] | None = None
) -> tuple[QueueCount, ...]:
    """Return the number of queued cells by environment and class; see `read_queue` for `elsewhere`."""
    rows = db.execute(_COUNTS.format(elsewhere=elsewhere_sql(db, elsewhere)), {"most": MAX_ATTEMPTS, "now": now})
    return tuple(
        QueueCount(environment=e, kind=kind, cells=cells, delayed=delayed, given_up=given_up, elsewhere=others)
        for e, kind, cells, delayed, given_up, others in rows
    )


def expired_count(db: Database) -> int:
    """Return how many cells were dropped because they waited too long."""
    return int(db.execute("SELECT count(*) FROM skips WHERE reason = 'expired'").fetchone()[0])


def next_places(
    db: Database, environments: set[str], *, limit: int, share: Callable[[str, str, str], bool] | None = None
) -> list[QueuePlace]:
    """Return what can be taken at once in some environments, in its order, without positions; see `QueueFilter`."""
    packer = Packer(read_policy(db))
    streams = [db.execute(NEXT_IN_ENVIRONMENT, (e, trusted)) for e in sorted(environments) for trusted in (0, 1)]
    mine = (row for row in merge(*streams) if share is None or share(row[2], row[3], row[5]))
    keys = [tuple(row[2:5]) for row in islice(mine, limit)]
    rows = [
        db.execute(f"{_PLACE} WHERE package = ? AND version = ? AND environment = ?", key).fetchone() for key in keys
    ]
    return [_place(row, packer) for row in rows]


def places_of(db: Database, package: str) -> list[QueuePlace]:
    """Return where the queued cells of a package stand, by version and environment."""
    policy = read_policy(db)
    rows = db.execute(f"{_PLACE} WHERE package = ? ORDER BY version, environment", (package,)).fetchall()
    return [_counted(db, row, policy) for row in rows]


def _counted(db: Database, row: tuple[Any, ...], policy: QueuePolicy) -> QueuePlace:
    package, version, environment, _, _, attempts, *_, priority = row
    packer = Packer(policy)
    if attempts >= MAX_ATTEMPTS:
        return _place(row, packer)

    def count(condition: str, **values: object) -> int:
        both = [{"environment": environment, "trusted": trusted, **values} for trusted in (0, 1)]
        return sum(int(db.execute(f"{_BETWEEN} AND {condition}", each).fetchone()[0]) for each in both)

    fewer = count("attempts < :attempts", attempts=attempts)
    before: dict[Part, int] = {}
    lowest = 0
    for part, _, equal in packer.ranges(priority):
        between = "attempts = :attempts AND priority >= :lowest AND priority < :equal"
        before[part] = count(between, attempts=attempts, lowest=lowest, equal=equal)
        lowest = equal
    earlier = "attempts = :attempts AND priority = :priority AND (package, version) < (:package, :version)"
    by_name = count(earlier, attempts=attempts, priority=priority, package=package, version=version)
    position = 1 + fewer + sum(before.values()) + by_name
    return _place(row, packer, position=position, fewer=fewer, before=before)


def _place(
    row: tuple[Any, ...],
    packer: Packer,
    *,
    position: int | None = None,
    fewer: int = 0,
    before: Mapping[Part, int] | None = None,
) -> QueuePlace:
    package, version, environment, source, queued_at, attempts, not_before, leased_until, publisher, *rest = row
    _, downloads, _, priority = rest
    return QueuePlace(
        cell=Cell(release=Release(package=package, version=version), environment=environment),
        source=source,
        queued_at=queued_at,
        attempts=attempts,
        waits_until=not_before or None,
        leased_until=leased_until,
        publisher=publisher,
        downloads=downloads,
        values={part: value for part, value, _ in packer.ranges(priority)},
        position=position,
        fewer_attempts=fewer,
        before=before or {},
    )
