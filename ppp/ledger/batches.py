"""Batches: a node's records as immutable, signed files, stored compressed in the ledger.

The bytes of a batch depend only on its node, its records and their logs. Its id is the sha256 of these bytes, and it is
stored together with its node's signature. A record may be part of several batches.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlite_utils import Database

from ppp.ledger.digests import read_day_digests, root_digest
from ppp.ledger.queries import read_log as log_of
from ppp.ledger.queries import record_from_row
from ppp.ledger.store import Store
from ppp.model.canonical import Json, canonical_json, sha256_hex
from ppp.model.errors import LedgerDamagedError, RejectedDataError
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.storage_errors import translate_storage_errors

BATCH_SCHEMA: Final = "ppp-batch-1"
#: Limits of one batch. A single record whose log exceeds them still becomes a batch of its own.
MAX_BATCH_RECORDS: Final = 5_000
MAX_SEALED_BYTES: Final = 16 * 1024 * 1024
#: The highest gzip level: a batch is compressed once and downloaded many times.
GZIP_LEVEL: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBatch:
    """A batch's metadata: id (sha256), signing node, its signature (hex), record count, and times in epoch seconds."""

    id: str
    node: str
    signature: str
    records: int
    first_observed_at: int
    last_observed_at: int


class PackedBatch(NamedTuple):
    """A batch with the bytes of its compressed file, and what `SealedBatch` says of it."""

    id: str
    node: str
    records: int
    first_observed_at: int
    last_observed_at: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRecord:
    """A record of this node that peers would reject: its cell, and what they would say."""

    cell: Cell
    mistake: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SealReport:
    """The ids of the batches that were sealed, and the records that were left out, by id."""

    batches: tuple[str, ...]
    refused: Mapping[str, RefusedRecord]


def batch_sort_key(record: Record) -> tuple[str, str, str, str]:
    """Return the key that sorts a batch's records: those of one release are adjacent, so that they compress well."""
    return record.release.package, record.release.version, record.environment, record.id


def encode_batch(node: str, records: Iterable[Record], logs: Mapping[str, str]) -> bytes:
    """Return a batch as canonical JSON, records by `batch_sort_key`; `logs` maps sha256 to text for their logs."""
    return canonical_json(batch_document(node, records, logs))


def batch_document(node: str, records: Iterable[Record], logs: Mapping[str, str]) -> dict[str, Json]:
    """Return the JSON object of a batch; see `encode_batch`."""
    return {
        "schema": BATCH_SCHEMA,
        "node": node,
        "records": [record.to_json() for record in sorted(records, key=batch_sort_key)],
        "logs": dict(logs),
    }


def seal(
    store: Store,
    *,
    node: str,
    sign: Callable[[bytes], str],
    verify: Callable[[bytes], None],
    max_records: int = MAX_BATCH_RECORDS,
) -> SealReport:
    """Put all records of a node that are in no batch yet into signed batches, in one transaction.

    A batch has `max_records` records at most. `verify` raises `RejectedDataError` for the bytes of a batch that peers
    would reject: such a batch is never signed. Its records are then verified one by one, and those that fail are left
    out: they stay in the ledger, in no batch, and are tried again at the next call.
    """
    sealed: list[str] = []
    refused: dict[str, RefusedRecord] = {}
    with translate_storage_errors(store.path), store.db.atomic():
        for share in unsealed_chunks(store.db, node, max_records=max_records):
            records = _acceptable(store.db, share, node, verify, refused)
            if records:
                data = encode_batch(node, records, read_logs(store.db, records))
                sealed.append(add_batch(store.db, data, node=node, signature=sign(data), records=records))
    return SealReport(batches=tuple(sealed), refused=refused)


def _acceptable(
    db: Database, share: list[Record], node: str, verify: Callable[[bytes], None], refused: dict[str, RefusedRecord]
) -> list[Record]:
    """Return the records that verify together, and add the others to `refused`."""

    def mistake_in(records: list[Record]) -> str | None:
        try:
            verify(encode_batch(node, records, read_logs(db, records)))
        except RejectedDataError as error:
            return error.message
        return None

    if mistake_in(share) is None:
        return share
    acceptable = []
    for record in share:
        if (mistake := mistake_in([record])) is None:
            acceptable.append(record)
        else:
            refused[record.id] = RefusedRecord(cell=Cell.of(record), mistake=mistake)
    if acceptable and (mistake := mistake_in(acceptable)) is not None:
        raise LedgerDamagedError(
            f"{len(acceptable)} valid records make no valid batch: {mistake}",
            hint="nothing was signed; this is a fault of PPP, please report it",
        )
    return acceptable


def unsealed_chunks(db: Database, node: str, *, max_records: int) -> Iterator[list[Record]]:
    """Yield the records of a node that are in no batch, in order, as many at a time as fit into one."""
    unsealed = db.execute(
        "SELECT record FROM records AS r WHERE node = ? AND NOT EXISTS"
        " (SELECT 1 FROM batch_records AS b WHERE b.record = r.record) ORDER BY package, version, environment, record",
        (node,),
    ).fetchall()
    share: list[Record] = []
    room = MAX_SEALED_BYTES
    for (id_,) in unsealed:
        record = record_from_row(next(db.query("SELECT * FROM records WHERE record = ?", (id_,))))
        size = len(canonical_json([record.to_json(), *read_logs(db, [record]).values()]))
        if share and (size > room or len(share) == max_records):
            yield share
            share, room = [], MAX_SEALED_BYTES
        share.append(record)
        room -= size
    if share:
        yield share


def read_logs(db: Database, records: Iterable[Record]) -> dict[str, str]:
    """Return the logs that records name, by sha256 (hex); raise `LedgerDamagedError` if one is missing."""
    found: dict[str, str] = {}
    for digest in {record.log_sha256 for record in records if record.log_sha256}:
        text = log_of(db, digest)
        if text is None:
            raise LedgerDamagedError(f"the log {digest} is missing from the ledger", hint="restore it from a snapshot")
        found[digest] = text
    return found


def add_batch(db: Database, data: bytes, *, node: str, signature: str, records: Iterable[Record]) -> str:
    """Store, within an open transaction, a batch whose records are in the ledger already; return its id."""
    added, batch = list(records), sha256_hex(data)
    times = [record.observed_at for record in added]
    db.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", (batch, node, signature, len(added), min(times), max(times))
    )
    db.execute("INSERT INTO batch_files VALUES (?, ?)", (batch, compress_batch(data)))
    db.table("batch_records").insert_all({"batch": batch, "record": record.id} for record in added)
    return batch


def mark_received(db: Database, batch: str, *, now: int) -> None:
    """Store, within an open transaction, when a batch of another node arrived."""
    db.execute("INSERT OR IGNORE INTO receipts VALUES (?, ?)", (batch, now))


def list_batches(db: Database) -> list[SealedBatch]:
    """Return all batches in the ledger, this node's own and those of peers, by id."""
    rows = db.execute(
        "SELECT batch, node, signature, records, first_observed_at, last_observed_at FROM batches ORDER BY batch"
    )
    return [
        SealedBatch(id=b, node=n, signature=s, records=r, first_observed_at=first, last_observed_at=last)
        for b, n, s, r, first, last in rows.fetchall()
    ]


def list_batch_ids(db: Database) -> list[str]:
    """Return the ids of all batches in the ledger."""
    return [batch for (batch,) in db.execute("SELECT batch FROM batches").fetchall()]


def packed_batches(db: Database) -> list[PackedBatch]:
    """Return all batches with their sizes, as they are published: those with the newest record first, then by id."""
    # SQLite takes the length from the row's header: the bytes themselves are not read.
    rows = db.execute(
        "SELECT batch, node, records, first_observed_at, last_observed_at, coalesce(length(packed), 0)"
        " FROM batches LEFT JOIN batch_files USING (batch) ORDER BY last_observed_at DESC, batch"
    )
    return [PackedBatch(*row) for row in rows.fetchall()]


def has_batch(db: Database, batch: str) -> bool:
    """Return whether the ledger has a batch."""
    return db.execute("SELECT 1 FROM batches WHERE batch = ?", (batch,)).fetchone() is not None


def read_batch(db: Database, batch: str) -> bytes:
    """Return a batch's bytes; raise `LedgerDamagedError` if they are missing or do not hash to its id."""
    return _read_batch_file(db, batch)[1]


def _read_batch_file(db: Database, batch: str) -> tuple[bytes, bytes]:
    # Compressed and decompressed.
    row = db.execute("SELECT packed FROM batch_files WHERE batch = ?", (batch,)).fetchone()
    with suppress(OSError, EOFError, zlib.error):
        if row and sha256_hex(data := gzip.decompress(row[0])) == batch:
            return bytes(row[0]), data
    raise LedgerDamagedError(f"the batch {batch} is not in the ledger as it was signed", hint="restore it from a copy")


def compress_batch(data: bytes) -> bytes:
    """Return a batch compressed by gzip, without a time or a name: one version of zlib always gives the same bytes."""
    return gzip.compress(data, GZIP_LEVEL, mtime=0)


def published_batch_files(db: Database, batch: str) -> Iterator[tuple[str, bytes]]:
    """Yield the published files of a batch as (path, bytes): `batches/<id>.json.gz` and `batches/<id>.sig`.

    The id and the signature are those of the uncompressed bytes.
    """
    (signature,) = db.execute("SELECT signature FROM batches WHERE batch = ?", (batch,)).fetchone()
    yield f"batches/{batch}.json.gz", _read_batch_file(db, batch)[0]
    yield f"batches/{batch}.sig", f"{signature}\n".encode()


def ledger_root(db: Database) -> str:
    """Return the digest (hex) of the whole set of records; see `ppp.ledger.digests`."""
    return root_digest(read_day_digests(db))
