"""Records in ledgers of an older schema, to which the store of today cannot write."""

from pathlib import Path

from sqlite_utils import Database

from ppp.ledger.store import Store
from ppp.model.record import Record


def add_to_older_ledger(db: Database, record: Record, folder: Path) -> None:
    """Add a record to a ledger of an older schema; `folder` is for a ledger of today's, from which it is copied."""
    with Store.open(folder) as store:
        store.add_record(record)
        for table in ("packages", "releases", "environments", "nodes", "records", "results"):
            columns = [column.name for column in db.table(table).columns]
            db.table(table).insert_all([{name: row[name] for name in columns} for row in store.db.table(table).rows])
