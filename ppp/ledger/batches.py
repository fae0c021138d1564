"""Batches: a node's records as immutable files that are not kept as files, but rebuilt byte for byte from their rows.

A batch's bytes follow from its node, its records and their logs alone; its id is their sha256, and its node's signature
stands beside it. A record may stand in several batches.
"""

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.ledger.digests import days, root_of
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
#: The level of the gzip: a batch is packed once, and fetched by many.
PACKING: Final = 9

#: As `batch_order` orders: SQLite compares text byte by byte, which is by code point.
_ORDER: Final = "r.package, r.version, r.environment, r.record"
#: A record's canonical JSON, from its row; what a merge patch leaves out is null.
_RECORD_JSON: Final = (
    "json_object('arch', arch, 'blame', blame, 'bytes', json_patch('{}', json_object('download', download_bytes,"
    " 'full', full_bytes, 'import', import_bytes, 'nodeps', nodeps_bytes)), 'cause', cause, 'detail', detail,"
    " 'duration_ms', json_patch('{}', json_object('download', download_ms, 'full', full_ms, 'import', import_ms,"
    " 'nodeps', nodeps_ms)), 'environment', environment, 'file', CASE WHEN filename IS NOT NULL THEN"
    " json_object('filename', filename, 'sha256', file_sha256, 'size', file_size) END, 'grounds', json(grounds),"
    " 'image_digest', image_digest, 'imports', json(imports), 'installed', json(installed), 'log_sha256',"
    " r.log_sha256, 'network', network, 'node', node, 'observed_at', observed_at, 'package', package,"
    " 'phase_download', phase_download, 'phase_full', phase_full, 'phase_import', phase_import, 'phase_nodeps',"
    " phase_nodeps, 'pip_version', pip_version, 'python', python, 'result', result, 'standin',"
    " json(iif(standin, 'true', 'false')), 'version', version)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBatch:
    """What the ledger knows of a batch: its id, whose it is, that node's signature (hex), its count and its times."""

    id: str
    node: str
    signature: str
    records: int
    first_observed_at: int
    last_observed_at: int


def batch_order(record: Record) -> tuple[str, str, str, str]:
    """Give the key that a batch's records are sorted by: those of a release stand together, so they pack well."""
    return record.release.package, record.release.version, record.environment, record.id


def encode(node: str, records: Iterable[Record], logs: Mapping[str, str]) -> bytes:
    """Give a batch's bytes: canonical JSON, records in `batch_order`; `logs` holds each that one names, by sha256."""
    return canonical(
        {
            "schema": BATCH_SCHEMA,
            "node": node,
            "records": [record.to_json() for record in sorted(records, key=batch_order)],
            "logs": dict(logs),
        }
    )


def seal(store: Store, *, node: str, sign: Callable[[bytes], str], most: int = MAX_BATCH_RECORDS) -> tuple[str, ...]:
    """Put all of a node's records that no batch holds into signed batches, in one transaction; give their ids.

    A batch holds `most` records at most.
    """
    sealed: list[str] = []
    with sqlite_errors(store.path), store.db.atomic():
        for share in _shares(store.db, node, most=most):
            data = encode(node, share, _logs(store.db, share))
            batch_id = sha256_hex(data)
            add_batch(store.db, batch_id, node=node, signature=sign(data), records=share)
            sealed.append(batch_id)
    return tuple(sealed)


def _shares(db: Database, node: str, *, most: int) -> Iterator[list[Record]]:
    unsealed = db.execute(
        "SELECT record FROM records AS r WHERE node = ? AND NOT EXISTS"  # noqa: S608 - our own columns
        f" (SELECT 1 FROM batch_records AS b WHERE b.record = r.record) ORDER BY {_ORDER}",
        (node,),
    ).fetchall()
    share: list[Record] = []
    room = SEALED_BYTES
    for (id_,) in unsealed:
        record = record_from_row(next(db.query("SELECT * FROM records WHERE record = ?", (id_,))))
        size = len(canonical([record.to_json(), *_logs(db, [record]).values()]))
        if share and (size > room or len(share) == most):
            yield share
            share, room = [], SEALED_BYTES
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
    data = _quickly(db, batch, row[0]) if row else b""
    if row and sha256_hex(data) != batch:
        rows = db.query(
            "SELECT r.* FROM batch_records AS b JOIN records AS r ON r.record = b.record WHERE b.batch = ?", (batch,)
        )
        records = [record_from_row(row) for row in rows]
        data = encode(row[0], records, _logs(db, records))
    if sha256_hex(data) != batch:
        raise LedgerDamagedError(f"the batch {batch} cannot be rebuilt", hint="restore the ledger from a snapshot")
    return data


def _quickly(db: Database, batch: str, node: str) -> bytes:
    # SQLite writes JSON as RFC 8785 wants it but for rare characters; the batch's own id tells whether it did.
    of_batch = "FROM batch_records AS b CROSS JOIN records AS r ON r.record = b.record"
    records = db.execute(f"SELECT {_RECORD_JSON} {of_batch} WHERE b.batch = ? ORDER BY {_ORDER}", (batch,))
    logs = db.execute(
        f"SELECT DISTINCT json_quote(l.log_sha256) || ':' || json_quote(l.log) {of_batch}"
        " JOIN logs AS l ON l.log_sha256 = r.log_sha256 WHERE b.batch = ? ORDER BY l.log_sha256",
        (batch,),
    )
    texts = [",".join(text for (text,) in rows) for rows in (logs, records)]
    return (f'{{"logs":{{{texts[0]}}},"node":"{node}","records":[{texts[1]}],"schema":"{BATCH_SCHEMA}"}}').encode(
        "utf-8", "replace"
    )


def packed(data: bytes) -> bytes:
    """Give the gzip of a batch: the same bytes from the same zlib, as it carries no time and no name."""
    return gzip.compress(data, PACKING, mtime=0)


def batch_contents(db: Database, batch: str) -> Iterator[tuple[str, bytes]]:
    """Give a batch as it is published: packed in `batches/<id>.json.gz`, its signature in `batches/<id>.sig`.

    Its id and its signature are those of what is packed.
    """
    (signature,) = db.execute("SELECT signature FROM batches WHERE batch = ?", (batch,)).fetchone()
    yield f"batches/{batch}.json.gz", packed(batch_bytes(db, batch))
    yield f"batches/{batch}.sig", f"{signature}\n".encode()


def root(db: Database) -> str:
    """Give the digest of the whole set of records; see `ppp.ledger.digests`."""
    return root_of(days(db))
