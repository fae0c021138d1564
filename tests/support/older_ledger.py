"""Records in ledgers of an older schema, to which the store of today cannot write."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.schema import migrations
from ppp.ledger.store import Store
from ppp.model.record import Record

with closing(sqlite3.connect(":memory:")) as _none:
    #: The names of all migrations, in their order.
    MIGRATIONS: Final = tuple(one.name for one in migrations.pending(Database(_none)))


def make_older_ledger(path: Path, records: Iterable[Record], *, schema: int, folder: Path) -> None:
    """Make a ledger that has the first `schema` migrations alone; `folder` is for a ledger of today's."""
    with closing(sqlite3.connect(path)) as connection:
        db = Database(connection)
        migrations.apply(db, stop_before=MIGRATIONS[schema] if schema < len(MIGRATIONS) else None)
        for record in records:
            add_to_older_ledger(db, record, folder)
        connection.commit()


def add_to_older_ledger(db: Database, record: Record, folder: Path) -> None:
    """Add a record to a ledger of an older schema; `folder` is for a ledger of today's, from which it is copied."""
    with Store.open(folder) as store:
        store.add_record(record)
        for table in ("packages", "releases", "environments", "nodes", "records", "results"):
            columns = [column.name for column in db.table(table).columns]
            rows = [{name: row[name] for name in columns} for row in store.db.table(table).rows]
            db.table(table).insert_all(rows, ignore=True)
