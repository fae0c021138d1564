"""Ledgers in memory, for tests that need hundreds of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

from ppp.ledger.schema import migrations
from ppp.ledger.store import Store
from ppp.model.record import Record


@contextmanager
def store_in_memory(records: Iterable[Record] = ()) -> Iterator[Store]:
    """Yield a ledger in memory that holds these records."""
    db = Database(memory=True)
    try:
        db.execute("PRAGMA foreign_keys = ON")
        migrations.apply(db)
        store = Store(db, Path("memory"))
        for record in records:
            store.add_record(record)
        yield store
    finally:
        db.close()
