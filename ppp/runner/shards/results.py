"""The files in which a shard hands over what it observed: written from its ledger, verified without I/O.

A shard runs package code, so its files are untrusted: whoever reads one decides first that every record is valid, of no
node, of a cell that the plan gave to that shard, and observed since. What a stolen shard says of its own cells cannot
be told from the truth; of others it can say nothing.
"""

import gzip
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.batches import GZIP_LEVEL, MAX_BATCH_RECORDS, batch_document, read_logs, unsealed_chunks
from ppp.mesh.batch import CLOCK_TOLERANCE_S, decompress_batch, verify_own_batch
from ppp.mesh.untrusted import canonical_bytes, parse_document, reject
from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.errors import RejectedDataError
from ppp.model.matrix import Cell
from ppp.model.printable import printable_reason
from ppp.model.record import Record
from ppp.runner.environments import NO_NODE
from ppp.runner.shards.plan import PlannedCell, ShardId, ShardPlan

RESULTS_SCHEMA: Final = "ppp-shard-results-1"
SCHEMA_FILE: Final = "site/shards/results.schema.json"
#: How large a file is at most, as it lies there and unpacked; and how many a shard writes.
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_PARTS: Final = 99
#: How much of a file's name is shown, in characters.
MAX_NAME_CHARS: Final = 100
#: A new regression is checked twice, everything else once.
MAX_CELL_RECORDS: Final = 2
_HINT: Final = "nothing of it was stored; its cells stay queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardResults:
    """A verified file: whose it is, which part, and the records with their logs by sha256 (hex).

    The records are of no node yet. `finished` counts the cells of all parts.
    """

    id: str
    shard: ShardId
    part: int
    parts: int
    finished: int
    records: tuple[Record, ...]
    logs: Mapping[str, str]


def file_name(data: bytes) -> str:
    """Return the name of a file with this content, not packed yet."""
    return f"shard-{sha256_hex(data)}.json.gz"


def encode_results(db: Database, plan: ShardPlan, shard: ShardId) -> Iterator[tuple[str, bytes]]:
    """Yield the files, each a name and its bytes, of what a shard's ledger holds; one without records if it has none.

    Records of other cells than those that the plan gave to the shard are left out.
    """
    given = plan.by_shard().get(shard, {})
    chunks = [
        [record for record in chunk if Cell.of(record) in given]
        for chunk in unsealed_chunks(db, NO_NODE, max_records=MAX_BATCH_RECORDS)
    ]
    parts = [chunk for chunk in chunks if chunk] or [[]]
    for part, records in enumerate(parts, 1):
        document: dict[str, Json] = {
            "schema": RESULTS_SCHEMA,
            "plan": plan.id,
            "environment": shard.environment,
            "shard": shard.number,
            "part": part,
            "parts": len(parts),
            "given": len(given),
            "finished": len({Cell.of(record) for chunk in parts for record in chunk}),
            "batch": batch_document(NO_NODE, records, read_logs(db, records)) if records else None,
        }
        data = canonical_json(document)
        yield file_name(data), gzip.compress(data, GZIP_LEVEL, mtime=0)


def verify_results(name: str, packed: bytes, plan: ShardPlan, *, now: int) -> ShardResults:
    """Return what a file says; raise `RejectedDataError` with the first thing that is wrong with it.

    `name` is the file's own, without its folder. `now` is in epoch seconds.
    """
    what = printable_reason(name, MAX_NAME_CHARS)
    data = decompress_batch(packed, what=what)
    if file_name(data) != name:
        reject(what, f"its content hashes to {sha256_hex(data)}", hint=_HINT)
    document = parse_document(data, what=what, schema=SCHEMA_FILE, max_bytes=MAX_FILE_BYTES)
    if canonical_bytes(document, what=what) != data:
        reject(what, "it is not in canonical form", hint=_HINT)
    shard = ShardId(environment=document["environment"], number=document["shard"], count=plan.shards)
    given = plan.by_shard().get(shard, {})
    batch = document["batch"]
    records = () if batch is None else _verified_records(batch, what=what, now=now)
    for mistake in (*_header_mistakes(document, plan, shard, len(given)), *_record_mistakes(records, plan, given)):
        reject(what, mistake, hint=_HINT)
    return ShardResults(
        id=sha256_hex(data),
        shard=shard,
        part=document["part"],
        parts=document["parts"],
        finished=document["finished"],
        records=records,
        logs={} if batch is None else batch["logs"],
    )


def _verified_records(batch: Json, *, what: str, now: int) -> tuple[Record, ...]:
    try:
        return verify_own_batch(canonical_json(batch), node=NO_NODE, now=now)
    except RejectedDataError as error:
        reject(what, error.message, hint=_HINT)


def _header_mistakes(document: Mapping[str, Json], plan: ShardPlan, shard: ShardId, given: int) -> Iterator[str]:
    if document["plan"] != plan.id:
        yield f"it answers another plan, {document['plan']}"
    if not given:
        yield f"the plan has no {shard}"
    if document["given"] != given:
        yield f"it was given {document['given']} cells, the plan gave {given} to {shard}"
    if document["finished"] > given:
        yield f"it has finished {document['finished']} of {given} cells"
    if document["part"] > document["parts"]:
        yield f"it is part {document['part']} of {document['parts']}"


def _record_mistakes(records: tuple[Record, ...], plan: ShardPlan, given: Mapping[Cell, PlannedCell]) -> Iterator[str]:
    for number, record in enumerate(records):
        cell = Cell.of(record)
        planned = given.get(cell)
        if planned is None:
            yield f"records[{number}] is of {cell}, which the plan did not give to it"
        elif record.triggered_by != planned.queued.triggered_by:
            yield f"records[{number}] names another trigger than the plan"
        if record.observed_at < plan.created_at - CLOCK_TOLERANCE_S:
            yield f"records[{number}] was observed before the plan was made, at {record.observed_at}"
    for cell, count in Counter(map(Cell.of, records)).most_common(1):
        if count > MAX_CELL_RECORDS:
            yield f"there are {count} records of {cell}"


def contradictions(results: Iterable[ShardResults]) -> Mapping[ShardId, str]:
    """Return the shards whose files cannot all be of one shard, each with why: none of these can be believed."""
    by_shard: dict[ShardId, list[ShardResults]] = {}
    for one in results:
        by_shard.setdefault(one.shard, []).append(one)
    return {shard: why for shard, files in by_shard.items() if (why := _contradiction(files))}


def _contradiction(files: Sequence[ShardResults]) -> str | None:
    if len({(one.parts, one.finished) for one in files}) > 1:
        return "its files disagree on how many there are"
    if len({one.part for one in files}) < len({one.id for one in files}):
        return f"there are two different files of one part: {files[0].id} and another"
    per_cell = Counter(Cell.of(record) for one in {one.id: one for one in files}.values() for record in one.records)
    if per_cell and max(per_cell.values()) > MAX_CELL_RECORDS:
        return f"there are more than {MAX_CELL_RECORDS} records of a cell"
    return None
