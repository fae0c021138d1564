"""Batches: a node's records as immutable files that are not kept as files, but rebuilt byte for byte from their rows.

A batch's bytes follow from its node, its records and their logs alone; its id is their sha256, and its node's signature
stands beside it. A record may stand in several batches.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.queries import log as log_of
from ppp.ledger.queries import record_from_row
from ppp.ledger.schema import sqlite_errors
from ppp.ledger.store import Store
from ppp.model.errors import LedgerDamagedError
from ppp.model.record import Record, canonical, sha256_hex

BATCH_SCHEMA: Final = "ppp-batch-1"
#: What one batch is sealed with at most; a single record with a greater log still makes one.
MAX_BATCH_RECORDS: Final = 5_000
SEALED_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBatch:
    """What the ledger knows of a batch: its id, whose it is, that node's signature (hex), its count and its times."""

    id: str
    node: str
    signature: str
    records: int
    first_observed_at: int
    last_observed_at: int


def encode(node: str, records: Iterable[Record], logs: Mapping[str, str]) -> bytes:
    """Give a batch's bytes: canonical JSON, records sorted by id; `logs` holds each log a record names, by sha256."""
    return canonical(
        {
            "schema": BATCH_SCHEMA,
            "node": node,
            "records": [record.to_json() for record in sorted(records, key=lambda record: record.id)],
            "logs": dict(logs),
        }
    )


def seal(store: Store, *, node: str, sign: Callable[[bytes], str], most: int = MAX_BATCH_RECORDS) -> tuple[str, ...]:
    """Put all of a node's records that no batch holds into signed batches, in one transaction; give their ids.

    A batch holds `most` records at most.
    """
    sealed: list[str] = []
    with sqlite_errors(store.path), store.db.atomic():
        last = ""
        while share := _next_share(store.db, node, after=last, most=most):
            data = encode(node, share, _logs(store.db, share))
            batch_id = sha256_hex(data)
            add_batch(store.db, batch_id, node=node, signature=sign(data), records=share)
            sealed.append(batch_id)
            last = max(record.id for record in share)
    return tuple(sealed)


def _next_share(db: Database, node: str, *, after: str, most: int) -> list[Record]:
    rows = db.query(
        "SELECT * FROM records AS r WHERE node = ? AND record > ?"
        " AND NOT EXISTS (SELECT 1 FROM batch_records AS b WHERE b.record = r.record) ORDER BY record LIMIT ?",
        (node, after, most),
    )
    share: list[Record] = []
    room = SEALED_BYTES
    for record in map(record_from_row, rows):
        room -= len(canonical([record.to_json(), *_logs(db, [record]).values()]))
        if share and room < 0:
            break
        share.append(record)
    return share


def _logs(db: Database, records: Iterable[Record]) -> dict[str, str]:
    found: dict[str, str] = {}
    for digest in {record.log_sha256 for record in records if record.log_sha256}:
        text = log_of(db, digest)
        if text is None:
            raise LedgerDamagedError(f"the log {digest} is missing from the ledger", hint="restore it from a snapshot")
        found[digest] = text
    return found


def add_batch(db: Database, batch: str, *, node: str, signature: str, records: Iterable[Record]) -> None:
    """Note, within an open transaction, that a batch holds records that are in the ledger already."""
    held = list(records)
    times = [record.observed_at for record in held]
    db.execute(
        "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)", (batch, node, signature, len(held), min(times), max(times))
    )
    db.table("batch_records").insert_all({"batch": batch, "record": record.id} for record in held)


def batches(db: Database) -> list[SealedBatch]:
    """Give every batch the ledger holds, own and others', by id."""
    rows = db.execute(
        "SELECT batch, node, signature, records, first_observed_at, last_observed_at FROM batches ORDER BY batch"
    )
    return [
        SealedBatch(id=b, node=n, signature=s, records=r, first_observed_at=first, last_observed_at=last)
        for b, n, s, r, first, last in rows.fetchall()
    ]


def holds_batch(db: Database, batch: str) -> bool:
    """Say whether the ledger holds a batch."""
    return db.execute("SELECT 1 FROM batches WHERE batch = ?", (batch,)).fetchone() is not None


def batch_bytes(db: Database, batch: str) -> bytes:
    """Rebuild a batch's bytes; raise `LedgerDamagedError` if they do not hash to its id."""
    row = db.execute("SELECT node FROM batches WHERE batch = ?", (batch,)).fetchone()
    rows = db.query(
        "SELECT r.* FROM batch_records AS b JOIN records AS r ON r.record = b.record WHERE b.batch = ?", (batch,)
    )
    records = [record_from_row(row) for row in rows]
    data = encode(row[0], records, _logs(db, records)) if row else b""
    if sha256_hex(data) != batch:
        raise LedgerDamagedError(f"the batch {batch} cannot be rebuilt", hint="restore the ledger from a snapshot")
    return data


def batch_files(db: Database) -> Iterator[tuple[str, bytes]]:
    """Give each batch as it is published: `batches/<id>.json`, and its signature in `batches/<id>.sig`."""
    for batch in batches(db):
        yield f"batches/{batch.id}.json", batch_bytes(db, batch.id)
        yield f"batches/{batch.id}.sig", f"{batch.signature}\n".encode()


def root(db: Database) -> str:
    """Give the digest of the whole set of records: the sha256 (hex) over their sorted ids, each with a line's end."""
    digest = hashlib.sha256()
    for (record,) in db.execute("SELECT record FROM records ORDER BY record"):
        digest.update(f"{record}\n".encode())
    return digest.hexdigest()
