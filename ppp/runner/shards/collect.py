"""Take what shards observed into the node's ledger: as its own records, of cells that it gave them, or not at all.

All files are verified before any of them is stored; each shard's files are stored in one transaction. To take them once
more changes nothing. What no shard reported stays queued.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ppp.ledger import staging
from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.staging import Recheck, RecheckReason
from ppp.model.errors import RejectedDataError
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result
from ppp.runner.context import LocalNode
from ppp.runner.rounds import LASTING_ERRORS
from ppp.runner.shards.plan import PlannedCell, ShardId, ShardPlan
from ppp.runner.shards.results import ShardResults, contradictions, verify_results
from ppp.storage_errors import translate_storage_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedShard:
    """What became of a shard's cells: how many it was given, how many have a record, and how many records are new.

    `missing` says why nothing is known of it, or of a part of it; its cells stay queued.
    """

    shard: ShardId
    given: int
    finished: int
    new: int
    missing: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that answers in JSON show."""
        counts = {"given": self.given, "finished": self.finished, "new": self.new}
        name = {"environment": self.shard.environment, "shard": f"{self.shard.number}/{self.shard.count}"}
        return {**name, **counts, "missing": self.missing}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedShards:
    """What was taken of every shard of a plan, and why files were rejected, by name."""

    shards: tuple[CollectedShard, ...]
    rejected: Mapping[str, str]


def collect(node: LocalNode, plan: ShardPlan, files: Iterable[tuple[str, bytes]]) -> CollectedShards:
    """Verify files, each a name and its bytes, and store what is valid; a file that is rejected changes nothing."""
    verified: dict[str, ShardResults] = {}
    rejected: dict[str, str] = {}
    for name, packed in files:
        try:
            verified[name] = verify_results(name, packed, plan, now=node.context.now)
        except RejectedDataError as error:
            rejected[name] = error.message
    disputed = contradictions(verified.values())
    rejected |= {
        name: f"{name} rejected: {disputed[one.shard]}" for name, one in verified.items() if one.shard in disputed
    }
    by_shard: dict[ShardId, dict[int, ShardResults]] = {}
    for one in verified.values():
        if one.shard not in disputed:
            by_shard.setdefault(one.shard, {})[one.part] = one
    shards = tuple(
        _store(node, shard, given, [*by_shard.get(shard, {}).values()], disputed.get(shard))
        for shard, given in plan.by_shard().items()
    )
    return CollectedShards(shards=shards, rejected=rejected)


def _store(
    node: LocalNode,
    shard: ShardId,
    given: Mapping[Cell, PlannedCell],
    parts: Sequence[ShardResults],
    disputed: str | None,
) -> CollectedShard:
    """Store all that a shard observed, in one transaction."""
    by_cell: dict[Cell, list[Record]] = {}
    for record in (record for part in parts for record in part.records):
        by_cell.setdefault(Cell.of(record), []).append(replace(record, node=node.key.id))
    logs = {digest: text for part in parts for digest, text in part.logs.items()}
    with translate_storage_errors(node.store.path), node.store.db.atomic():
        new = sum(_store_cell(node, given[cell], records, logs) for cell, records in by_cell.items())
    missing = disputed
    if missing is None and not parts:
        missing = "it did not report"
    elif missing is None and len(parts) < parts[0].parts:
        missing = f"{parts[0].parts - len(parts)} of its {parts[0].parts} files are missing"
    return CollectedShard(shard=shard, given=len(given), finished=len(by_cell), new=new, missing=missing)


def _store_cell(node: LocalNode, planned: PlannedCell, records: list[Record], logs: Mapping[str, str]) -> int:
    """Store the records of one cell within an open transaction; return how many were new.

    A verdict takes the cell from the queue, an `ERROR` delays it there. Two verdicts are a regression and its
    confirmation.
    """
    store, now = node.store, node.context.now
    records.sort(key=lambda record: (record.observed_at, record.id))
    new = sum(store.insert_record(record, record.log_sha256 and logs[record.log_sha256]) for record in records)
    if not new:
        return 0
    first, last = records[0], records[-1]
    if last.result is Result.ERROR:
        lasts = last.cause in LASTING_ERRORS
        store.queue.delay(planned.queued, attempts=MAX_ATTEMPTS if lasts else planned.queued.attempts + 1, now=now)
        return new
    store.queue.remove(planned.cell, observed_at=last.observed_at)
    if first is not last and first.result is not Result.ERROR:
        staging.add_pair(store, Recheck(first=first.id, reason=RecheckReason.CONFIRMATION), last.id)
    return new
