"""What made this node check cells again, with the cells that it queued for it: all of a look in one transaction."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.trigger import Trigger
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggeredChecks:
    """The cells of one environment to check again because of a trigger, and how many it `affected` in all."""

    trigger: Trigger
    environment: str
    cells: Collection[Cell]
    affected: int


def is_known(store: Store, trigger: Trigger, environment: str) -> bool:
    """Return whether a trigger has made this node check cells of an environment again."""
    row = store.db.execute(
        "SELECT 1 FROM triggers WHERE kind = ? AND name = ? AND version = ? AND environment = ?",
        (str(trigger.kind), trigger.name, trigger.version, environment),
    ).fetchone()
    return row is not None


def queue_checks(
    store: Store, found: Iterable[TriggeredChecks], *, looked_up_to: Mapping[str, int], now: int
) -> list[tuple[TriggeredChecks, int]]:
    """Queue the cells of each trigger that is not stored yet; return these triggers.

    Each comes with how many of its cells were queued already: they are checked once, and keep their trigger.

    `looked_up_to` are the rows of `records`, by environment, from which the next look begins.
    """
    new: list[tuple[TriggeredChecks, int]] = []
    with translate_storage_errors(store.path), store.db.atomic():
        for one in found:
            stored = store.db.execute(
                "INSERT OR IGNORE INTO triggers VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    str(one.trigger.kind),
                    one.trigger.name,
                    one.trigger.version,
                    one.environment,
                    now,
                    one.affected,
                    len(one.cells),
                ),
            ).rowcount
            if stored:
                # The kinds of triggers are also names of sources.
                added = store.queue.add(one.cells, source=str(one.trigger.kind), now=now, triggered_by=one.trigger)
                new.append((one, len(one.cells) - added))
        store.db.conn.executemany("INSERT OR REPLACE INTO landings_cursor VALUES (?, ?)", [*looked_up_to.items()])
    return new
