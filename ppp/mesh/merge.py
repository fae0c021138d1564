"""Merging is the set union of records by id: any order, grouping or repetition results in the same set."""

from ppp.ledger.batches import add_batch, has_batch, mark_received
from ppp.ledger.store import Store
from ppp.mesh.batch import Batch
from ppp.storage_errors import translate_storage_errors


def merge(store: Store, batch: Batch, *, now: int) -> int:
    """Add a verified batch to the ledger in one transaction, and return how many of its records were new.

    `now`, in epoch seconds, is stored as the time of its arrival.
    """
    with translate_storage_errors(store.path), store.db.atomic():
        # Merging a batch again changes nothing.
        if has_batch(store.db, batch.id):
            return 0
        new = sum(
            store.insert_record(record, None if record.log_sha256 is None else batch.logs[record.log_sha256])
            for record in batch.records
        )
        add_batch(store.db, batch.data, node=batch.node, signature=batch.signature, records=batch.records)
        mark_received(store.db, batch.id, now=now)
        return new
