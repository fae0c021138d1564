"""The queue of cells that wait to be checked, and the leases by which runs take them.

Each cell has a priority (`ppp.model.queue_policy`) from the time it is queued. A run leases cells, so that no two runs
check the same one, and a dead run's cells become free again. To take the next cells costs the same however long the
queue is: what can be taken now is in an index, in its order, for each environment; see `Queue.lease`.
"""

import heapq
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from sqlite_utils import Database

from ppp.ledger.queue_rows import cell_rows, release_rows, trigger_text
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.model.matrix import Cell
from ppp.model.queue_policy import (
    ASKED_SOURCES,
    CHANGE_SOURCES,
    WATCHLIST_SOURCES,
)
from ppp.model.release import Release
from ppp.model.trigger import Trigger
from ppp.storage_errors import translate_storage_errors

_INSERT: Final = (
    "INSERT OR IGNORE INTO queue (source, enqueued_at, attempts, not_before, triggered_by, publisher, turn, downloads,"
    " risk, priority, package, version, environment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
#: A release in several environments, where its cells differ in nothing else: one statement inserts all of them.
_INSERT_RELEASE: Final = (
    "INSERT OR IGNORE INTO queue (source, enqueued_at, triggered_by, publisher, turn, downloads, risk, priority,"
    " package, version, environment) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, value FROM json_each(?)"
)
#: A cell that is queued already takes a source of a better class, and is tried anew where a person asked for it or
#: something it rests on has changed. The parameters are those of `_INSERT`, the class, and whether it is tried anew.
_PROMOTE: Final = (
    "UPDATE queue SET source = ?1, enqueued_at = ?2, attempts = 0, not_before = 0,"
    " triggered_by = coalesce(triggered_by, ?5), publisher = ?6,"
    " turn = ?7, downloads = ?8, risk = ?9, priority = ?10"
    " WHERE package = ?11 AND version = ?12 AND environment = ?13"
    " AND (?14 < CASE WHEN source IN ('named', 'requirements') THEN 0 WHEN source = 'watchlist' THEN 1 ELSE 2 END"
    " OR (attempts > 0 AND ?15 AND ?14 <="
    " CASE WHEN source IN ('named', 'requirements') THEN 0 WHEN source = 'watchlist' THEN 1 ELSE 2 END))"
)
_CHANGES: Final = json.dumps(sorted(CHANGE_SOURCES))
#: A cell that is queued already and that something has changed for, as of a time: an observation from before it does
#: not take it from the queue. It keeps the trigger it has, but for a file that was added to its own release: of a
#: verdict that changes then, no other release is to be named as the reason.
_NOTE_CHANGE: Final = (
    "UPDATE queue SET enqueued_at = max(enqueued_at, ?1),"
    " source = CASE WHEN source IN ('named', 'requirements', 'watchlist') THEN source"
    " WHEN source IN (SELECT value FROM json_each(?3)) AND ?7 <> 'late-file' THEN source ELSE ?7 END,"
    " triggered_by = CASE WHEN triggered_by IS NULL THEN CASE WHEN source IN (SELECT value FROM json_each(?3)) THEN ?2"
    " END WHEN ?2 ->> 'kind' = 'late-file' AND triggered_by ->> 'kind' <> 'late-file' THEN ?2 ELSE triggered_by END"
    " WHERE package = ?4 AND version = ?5 AND environment = ?6"
)
#: The cells of one environment, trusted or not, that can be taken now: read from the index, in its order.
NEXT_IN_ENVIRONMENT: Final = (
    "SELECT attempts, priority, package, version, environment, source, triggered_by FROM queue INDEXED BY queue_in_turn"
    " WHERE environment = ? AND (source IN ('named', 'requirements', 'watchlist')) = ?"
    " AND lease IS NULL AND not_before = 0 AND attempts < 3"
    " ORDER BY attempts, priority, package, version"
)
#: The same of some releases only, found by the primary key.
_NEXT_OF_RELEASES: Final = (
    "SELECT attempts, priority, q.package, q.version, environment, source, triggered_by"
    " FROM json_each(?) AS r CROSS JOIN queue AS q WHERE q.package = r.value ->> 0 AND q.version = r.value ->> 1"
    " AND environment = ? AND (source IN ('named', 'requirements', 'watchlist')) = ?"
    " AND lease IS NULL AND not_before = 0 AND attempts < 3"
    " ORDER BY attempts, priority, q.package, q.version"
)

#: How many releases are queued at once: the cells of a whole page of a journal would take much memory.
CHUNK_RELEASES: Final = 1_000

_Candidate: TypeAlias = tuple[int, int, str, str, str, str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedCell:
    """A queued cell, its source, how often it resulted in `ERROR`, the run that has leased it, and its trigger."""

    cell: Cell
    source: str
    attempts: int
    lease: str | None = None
    triggered_by: Trigger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFilter:
    """Which queued cells a run may lease.

    `untrusted_environments` limits cells of untrusted sources, None means no limit. `share` is called with a package, a
    version and a source, and says whether this node or shard checks what was queued so.
    """

    environments: Collection[str]
    untrusted_environments: Collection[str] | None = None
    releases: Collection[Release] | None = None
    share: Callable[[str, str, str], bool] | None = None

    @property
    def streams(self) -> list[tuple[str, int]]:
        """Each environment with whether cells of trusted (1) or untrusted sources (0) may be leased there."""
        untrusted = self.environments if self.untrusted_environments is None else self.untrusted_environments
        wanted = [*dict.fromkeys(self.environments)]
        return [(e, 1) for e in wanted] + [(e, 0) for e in wanted if e in untrusted]


class Queue:
    """The queue of one ledger. Each public method is one transaction, unless it says otherwise."""

    def __init__(self, db: Database, path: Path) -> None:
        """Wrap an open ledger; `path` is for error messages."""
        self.db = db
        self.path = path

    # ---------------------------------------------------------------- into the queue

    def enqueue(self, cells: Iterable[Cell], *, source: str, now: int, triggered_by: Trigger | None = None) -> int:
        """Queue cells; return how many were not queued yet. See `add`."""
        with translate_storage_errors(self.path), self.db.atomic():
            return self.add(cells, source=source, now=now, triggered_by=triggered_by)

    def add(self, cells: Iterable[Cell], *, source: str, now: int, triggered_by: Trigger | None = None) -> int:
        """Queue cells within an open transaction; return how many were not queued yet.

        A cell that is queued already takes the new source if that is of a better class: what a person named, then the
        watchlist, then the rest. It is also tried anew, if it resulted in `ERROR` before, where a person named it or
        something it rests on has changed. What queued it first stays its trigger; see `_NOTE_CHANGE`. The turns of
        publishers are exact after the next `queue_order.prepare`, and downloads that were imported after the last one
        count from then on.
        """
        given = [*cells]
        if not given:
            return 0
        rows = cell_rows(self.db, given, source=source, now=now, triggered_by=triggered_by)
        added = self.db.conn.executemany(_INSERT, rows).rowcount
        if added < len(given):
            rank, again = _rank(source), source in ASKED_SOURCES or source in CHANGE_SOURCES
            self.db.conn.executemany(_PROMOTE, [(*row, rank, again) for row in rows])
            if source in CHANGE_SOURCES:
                reason = triggered_by and trigger_text(triggered_by)
                self.db.conn.executemany(_NOTE_CHANGE, [(now, reason, _CHANGES, *row[-3:], source) for row in rows])
        return added

    def add_releases(
        self,
        releases: Iterable[Release],
        environments: Collection[str],
        *,
        source: str,
        now: int,
        triggered_by: Trigger | None = None,
    ) -> int:
        """Queue releases, each in all of some environments, within an open transaction; see `add` of their cells.

        Of releases of which nothing is known yet, this costs much less: they are inserted in the order of the primary
        key, and each with one statement.
        """
        added, rest = 0, iter(sorted(releases, key=lambda release: (release.package, release.version)))
        while chunk := [*islice(rest, CHUNK_RELEASES)]:
            others, expected = chunk, 0
            if source not in CHANGE_SOURCES:
                rows = release_rows(self.db, chunk, environments, source=source, now=now, triggered_by=triggered_by)
                inserted = self.db.conn.executemany(_INSERT_RELEASE, rows.values()).rowcount if rows else 0
                added, expected = added + inserted, len(rows) * len(environments)
                # Where some were queued already, each cell is looked at.
                others = chunk if inserted < expected else [release for release in chunk if release not in rows]
            cells = [Cell(release=release, environment=id_) for release in others for id_ in environments]
            added += self.add(cells, source=source, now=now, triggered_by=triggered_by)
        return added

    # ---------------------------------------------------------------- out of the queue

    def length(self) -> int:
        """Return the number of queued cells."""
        return int(self.db.execute("SELECT count(*) FROM queue").fetchone()[0])

    def due_counts(self, queue_filter: QueueFilter, *, now: int) -> dict[str, int]:
        """Return how many cells that the filter selects can be leased now, by environment."""
        streams = json.dumps(queue_filter.streams)
        where = (
            "attempts < ? AND not_before <= ? AND (lease IS NULL OR leased_until <= ?) AND"
            " (environment, source IN ('named', 'requirements', 'watchlist'))"
            " IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
        )
        values: list[object] = [MAX_ATTEMPTS, now, now, streams]
        if queue_filter.releases is not None:
            where += " AND (package, version) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
            values.append(_pairs(queue_filter.releases))
        share = queue_filter.share
        if share is None:
            rows = self.db.execute(f"SELECT environment, count(*) FROM queue WHERE {where} GROUP BY 1", values)  # noqa: S608 - our words
            return dict(rows.fetchall())
        counts: defaultdict[str, int] = defaultdict(int)
        for environment, package, version, source in self.db.execute(
            f"SELECT environment, package, version, source FROM queue WHERE {where}",  # noqa: S608 - our words
            values,
        ):
            counts[environment] += share(package, version, source)
        return {environment: count for environment, count in counts.items() if count}

    def lease(self, queue_filter: QueueFilter, *, run: str, limit: int, until: int, now: int) -> list[QueuedCell]:
        """Lease up to `limit` queued cells to a run until a time (epoch seconds), and return them.

        Cells with the fewest attempts come first, then those of the lowest priority. Cells that another run has leased
        become available when its lease expires; cells that resulted in `ERROR` too often never do.
        """
        with translate_storage_errors(self.path), self.db.atomic():
            self._free(now)
            taken = [*islice(self._candidates(queue_filter), limit)]
            self.db.conn.executemany(
                "UPDATE queue SET lease = ?, leased_until = ? WHERE package = ? AND version = ? AND environment = ?",
                [(run, until, package, version, environment) for _, _, package, version, environment, *_ in taken],
            )
        return [
            QueuedCell(cell=_cell(p, v, e), source=source, attempts=attempts, lease=run, triggered_by=_trigger(reason))
            for attempts, _, p, v, e, source, reason in taken
        ]

    def _free(self, now: int) -> None:
        """Put cells whose delay or lease is over back into the index of what can be taken: each once, not each time."""
        self.db.execute("UPDATE queue SET not_before = 0 WHERE not_before > 0 AND not_before <= ?", (now,))
        self.db.execute(
            "UPDATE queue SET lease = NULL, leased_until = NULL WHERE lease IS NOT NULL AND leased_until <= ?", (now,)
        )

    def _candidates(self, queue_filter: QueueFilter) -> Iterator[_Candidate]:
        """Yield what can be taken now, in order: the environments merged, each read as far as it is needed."""
        releases, share = queue_filter.releases, queue_filter.share
        streams: list[Iterable[_Candidate]] = []
        for environment, trusted in queue_filter.streams:
            if releases is None:
                streams.append(self.db.execute(NEXT_IN_ENVIRONMENT, (environment, trusted)))
            else:
                streams.append(self.db.execute(_NEXT_OF_RELEASES, (_pairs(releases), environment, trusted)))
        merged = heapq.merge(*streams)
        return merged if share is None else (each for each in merged if share(each[2], each[3], each[5]))

    def release_leases(self, *, run: str | None = None) -> int:
        """Release the leases of a run, or of all runs if none is given; return how many cells became free.

        The caller must hold the data folder's lock to release all: only then has every other run ended.
        """
        with translate_storage_errors(self.path), self.db.atomic():
            return self.db.execute(
                "UPDATE queue SET lease = NULL, leased_until = NULL"
                " WHERE lease IS NOT NULL AND (? IS NULL OR lease = ?)",
                (run, run),
            ).rowcount

    # ---------------------------------------------------------------- within the transaction of a record

    def requeue(self, queued: QueuedCell, *, now: int) -> None:
        """Queue a cell that resulted in `ERROR` again, with a delay, within an open transaction.

        Nothing changes if another run has leased the cell meanwhile, or if a cell that was removed from the queue has
        been queued again since.
        """
        release, attempts = queued.cell.release, queued.attempts + 1
        not_before = now + RETRY_DELAYS_S[min(attempts, len(RETRY_DELAYS_S)) - 1]
        if queued.lease is None:
            (row,) = cell_rows(
                self.db,
                [queued.cell],
                source=queued.source,
                now=now,
                triggered_by=queued.triggered_by,
                attempts=attempts,
                not_before=not_before,
            )
            self.db.execute(_INSERT, row)
            return
        self.db.execute(
            "UPDATE queue SET attempts = ?, not_before = ?, lease = NULL, leased_until = NULL"
            " WHERE package = ? AND version = ? AND environment = ? AND lease = ?",
            (attempts, not_before, release.package, release.version, queued.cell.environment, queued.lease),
        )

    def delay(self, queued: QueuedCell, *, attempts: int, now: int) -> None:
        """Delay a cell that is queued and resulted in `ERROR` elsewhere, within an open transaction."""
        release = queued.cell.release
        not_before = now + RETRY_DELAYS_S[min(attempts, len(RETRY_DELAYS_S)) - 1]
        self.db.execute(
            "UPDATE queue SET attempts = ?, not_before = ? WHERE package = ? AND version = ? AND environment = ?",
            (attempts, not_before, release.package, release.version, queued.cell.environment),
        )

    def remove_leased(self, queued: QueuedCell) -> None:
        """Remove a cell from the queue within an open transaction, if the same run still leases it."""
        release = queued.cell.release
        self.db.execute(
            "DELETE FROM queue WHERE package = ? AND version = ? AND environment = ? AND lease = ?",
            (release.package, release.version, queued.cell.environment, queued.lease),
        )

    def remove(self, cell: Cell, *, observed_at: int | None = None) -> None:
        """Remove a cell from the queue within an open transaction, whoever has leased it.

        With `observed_at`, it stays if something that it rests on has changed since then: that is still to be checked.
        What a person asked for meanwhile is answered by the observation.
        """
        self.db.execute(
            "DELETE FROM queue WHERE package = ?1 AND version = ?2 AND environment = ?3 AND NOT (?4 IS NOT NULL"
            " AND enqueued_at > ?4 AND (triggered_by IS NOT NULL OR source IN (SELECT value FROM json_each(?5))))",
            (cell.release.package, cell.release.version, cell.environment, observed_at, _CHANGES),
        )


def _rank(source: str) -> int:
    """Return the class of a source, as `_PROMOTE` has it: 0 if a person named it, 1 for the watchlist, 2 else."""
    return 0 if source in ASKED_SOURCES else 1 if source in WATCHLIST_SOURCES else 2


def _trigger(text: str | None) -> Trigger | None:
    return None if text is None else Trigger.from_json(json.loads(text))


def _pairs(releases: Iterable[Release]) -> str:
    return json.dumps([[release.package, release.version] for release in releases])


def _cell(package: str, version: str, environment: str) -> Cell:
    return Cell(release=Release(package=package, version=version), environment=environment)
