"""The queued cells that other nodes have checked meanwhile, where several nodes share the work."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.queue_policy import ASKED_SOURCES, CHANGE_SOURCES
from ppp.model.release import Release
from ppp.storage_errors import translate_storage_errors

#: What has no verdict here was to be checked once, whenever; what has one was to be checked again, since it was queued.
_CHECKED: Final = """
    SELECT q.package, q.version, q.environment, q.source, count(DISTINCT c.node)
    FROM queue AS q CROSS JOIN records AS c
    WHERE c.package = q.package AND c.version = q.version AND c.environment = q.environment
      AND c.node IN (SELECT value FROM json_each(:others)) AND c.result <> 'ERROR'
      AND q.lease IS NULL AND q.source NOT IN (SELECT value FROM json_each(:kept))
      AND (c.observed_at >= q.enqueued_at OR NOT EXISTS (
        SELECT 1 FROM records AS o
        WHERE o.package = q.package AND o.version = q.version AND o.environment = q.environment
          AND o.node = :own AND o.result <> 'ERROR'))
    GROUP BY q.package, q.version, q.environment
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedElsewhere:
    """A queued cell and its source, and how many other nodes have a verdict on it that is as new as it has to be."""

    cell: Cell
    source: str
    nodes: int


def checked_elsewhere(db: Database, *, own: str, others: Collection[str]) -> list[CheckedElsewhere]:
    """Return the queued cells that other nodes have a verdict on, unless a run has leased them.

    What a person asked for is not among them, nor what this node itself, `own`, has to check again. This takes a pass
    over the queue.
    """
    if not others:
        return []
    kept = json.dumps(sorted(ASKED_SOURCES | CHANGE_SOURCES))
    rows = db.execute(_CHECKED, {"own": own, "others": json.dumps(sorted(others)), "kept": kept})
    return [
        CheckedElsewhere(
            cell=Cell(release=Release(package=package, version=version), environment=environment),
            source=source,
            nodes=nodes,
        )
        for package, version, environment, source, nodes in rows.fetchall()
    ]


def leave_queue(store: Store, cells: Sequence[Cell]) -> int:
    """Remove cells from the queue, in one transaction; return how many that were."""
    with translate_storage_errors(store.path), store.db.atomic():
        for cell in cells:
            store.queue.remove(cell)
    return len(cells)
