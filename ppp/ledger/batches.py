"""Batches: a node's records as immutable files, kept packed beside their rows as they were signed.

A batch's bytes follow from its node, its records and their logs alone; its id is their sha256, and its node's signature
stands beside it. A record may stand in several batches.
"""

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.digests import read_day_digests, root_digest
from ppp.ledger.queries import read_log as log_of
from ppp.ledger.queries import record_from_row
from ppp.ledger.store import Store
from ppp.model.errors import LedgerDamagedError
from ppp.model.record import Record, canonical_json, sha256_hex
from ppp.storage_errors import translate_storage_errors

BATCH_SCHEMA: Final = "ppp-batch-1"
#: What one batch is sealed with at most; a single record with a greater log still makes one.
MAX_BATCH_RECORDS: Final = 5_000
MAX_SEALED_BYTES: Final = 16 * 1024 * 1024
#: The level of the gzip: a batch is packed once, and fetched by many.
GZIP_LEVEL: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBatch:
    """What the ledger knows of a batch: its id, whose it is, that node's signature (hex), its count and its times."""

    id: str
    node: str
    signature: str
    records: int
    first_observed_at: int
    last_observed_at: int


def batch_sort_key(record: Record) -> tuple[str, str, str, str]:
    """Give the key that a batch's records are sorted by: those of a release stand together, so they pack well."""
    return record.release.package, record.release.version, record.environment, record.id


def encode_batch(node: str, records: Iterable[Record], logs: Mapping[str, str]) -> bytes:
    """Give a batch's bytes: canonical JSON, records in `batch_order`; `logs` holds each that one names, by sha256."""
    return canonical_json(
        {
            "schema": BATCH_SCHEMA,
            "node": node,
            "records": [record.to_json() for record in sorted(records, key=batch_sort_key)],
            "logs": dict(logs),
        }
    )


def seal(
    store: Store, *, node: str, sign: Callable[[bytes], str], max_records: int = MAX_BATCH_RECORDS
) -> tuple[str, ...]:
    """Put all of a node's records that no batch holds into signed batches, in one transaction; give their ids.

    A batch holds `most` records at most.
    """
    sealed: list[str] = []
    with translate_storage_errors(store.path), store.db.atomic():
        for share in _chunks(store.db, node, max_records=max_records):
            data = encode_batch(node, share, _logs(store.db, share))
            sealed.append(add_batch(store.db, data, node=node, signature=sign(data), records=share))
    return tuple(sealed)


def _chunks(db: Database, node: str, *, max_records: int) -> Iterator[list[Record]]:
    unsealed = db.execute(
        "SELECT record FROM records AS r WHERE node = ? AND NOT EXISTS"
        " (SELECT 1 FROM batch_records AS b WHERE b.record = r.record) ORDER BY package, version, environment, record",
        (node,),
    ).fetchall()
    share: list[Record] = []
    room = MAX_SEALED_BYTES
    for (id_,) in unsealed:
        record = record_from_row(next(db.query("SELECT * FROM records WHERE record = ?", (id_,))))
        size = len(canonical_json([record.to_json(), *_logs(db, [record]).values()]))
        if share and (size > room or len(share) == max_records):
            yield share
            share, room = [], MAX_SEALED_BYTES
        share.append(record)
        room -= size
    if share:
        yield share


def _logs(db: Database, records: Iterable[Record]) -> dict[str, str]:
    found: dict[str, str] = {}
    for digest in {record.log_sha256 for record in records if record.log_sha256}:
        text = log_of(db, digest)
        if text is None:
            raise LedgerDamagedError(f"the log {digest} is missing from the ledger", hint="restore it from a snapshot")
        found[digest] = text
    return found


def add_batch(db: Database, data: bytes, *, node: str, signature: str, records: Iterable[Record]) -> str:
    """Keep, within an open transaction, a batch whose records are in the ledger already; give its id."""
    held, batch = list(records), sha256_hex(data)
    times = [record.observed_at for record in held]
    db.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", (batch, node, signature, len(held), min(times), max(times))
    )
    db.execute("INSERT INTO batch_files VALUES (?, ?)", (batch, compress_batch(data)))
    db.table("batch_records").insert_all({"batch": batch, "record": record.id} for record in held)
    return batch


def list_batches(db: Database) -> list[SealedBatch]:
    """Give every batch the ledger holds, own and others', by id."""
    rows = db.execute(
        "SELECT batch, node, signature, records, first_observed_at, last_observed_at FROM batches ORDER BY batch"
    )
    return [
        SealedBatch(id=b, node=n, signature=s, records=r, first_observed_at=first, last_observed_at=last)
        for b, n, s, r, first, last in rows.fetchall()
    ]


def has_batch(db: Database, batch: str) -> bool:
    """Say whether the ledger holds a batch."""
    return db.execute("SELECT 1 FROM batches WHERE batch = ?", (batch,)).fetchone() is not None


def read_batch(db: Database, batch: str) -> bytes:
    """Give a batch's bytes; raise `LedgerDamagedError` if the ledger holds none that hash to its id."""
    return _read_batch_file(db, batch)[1]


def _read_batch_file(db: Database, batch: str) -> tuple[bytes, bytes]:
    # Packed, and not.
    row = db.execute("SELECT packed FROM batch_files WHERE batch = ?", (batch,)).fetchone()
    with suppress(OSError, EOFError, zlib.error):
        if row and sha256_hex(data := gzip.decompress(row[0])) == batch:
            return bytes(row[0]), data
    raise LedgerDamagedError(f"the batch {batch} is not in the ledger as it was signed", hint="restore it from a copy")


def compress_batch(data: bytes) -> bytes:
    """Give the gzip of a batch: the same bytes from the same zlib, as it carries no time and no name."""
    return gzip.compress(data, GZIP_LEVEL, mtime=0)


def published_batch_files(db: Database, batch: str) -> Iterator[tuple[str, bytes]]:
    """Give a batch as it is published: packed in `batches/<id>.json.gz`, its signature in `batches/<id>.sig`.

    Its id and its signature are those of what is packed.
    """
    (signature,) = db.execute("SELECT signature FROM batches WHERE batch = ?", (batch,)).fetchone()
    yield f"batches/{batch}.json.gz", _read_batch_file(db, batch)[0]
    yield f"batches/{batch}.sig", f"{signature}\n".encode()


def ledger_root(db: Database) -> str:
    """Give the digest of the whole set of records; see `ppp.ledger.digests`."""
    return root_digest(read_day_digests(db))
