"""Measure how fast a ledger is restored from a saved state: `nox -s bench -- restore --records 1000000`.

The measure is SQLite itself: the same rows of all tables, inserted one by one into the same schema with its indexes, in
one transaction, in the same run; to read them first is not counted. To restore from a snapshot and the batches after it
(a twentieth of the records) must take no more than twice that. A restore from batches alone is shown beside it. All is
processor time, because this machine may have more to do.
"""

import argparse
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database

from ppp.durability import sync_to_disk
from ppp.ledger.batches import list_batches, published_batch_files
from ppp.ledger.bulk import BulkLoader
from ppp.ledger.schema import LEDGER_NAME, migrations, read_ledger
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.resources import resource as shipped
from ppp.state.rebuild import open_batch
from ppp.state.restore import restore_state
from ppp.state.save import SavedState, save_state

KEY = NodeKey.from_seed(bytes(32))
NEW_SHARE = 20
MAX_RATIO = 2.0


def synthetic(data: Path, records: int, seed: int) -> None:
    """Write a ledger of made-up records in signed batches."""
    script = shipped("matrices").parent / "scripts" / "synthetic-ledger"
    sizes = ("--records", str(records), "--packages", str(max(records // 20, 100)), "--seed", str(seed))
    subprocess.run([sys.executable, str(script), str(data), *sizes], check=True, stdout=subprocess.DEVNULL)


def timed(what: str, action: Callable[[], object]) -> float:
    """Run something, print the seconds that it took, and return them."""
    started = time.process_time()
    action()
    seconds = time.process_time() - started
    print(f"{what:48} {seconds:8.2f} s", flush=True)
    return seconds


def insert_same_rows(source: Path, target: Path) -> float:
    """Insert all rows of a ledger into a new one, table by table in their order; return the seconds that it took."""
    seconds = 0.0
    with closing(sqlite3.connect(target.absolute().as_uri(), uri=True)) as connection:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -262144"):
            connection.execute(f"PRAGMA {pragma}")
        db = Database(connection)
        migrations.apply(db)
        with closing(sqlite3.connect(source)) as ledger, db.atomic():
            for table in (name for name in db.table_names() if not name.startswith(("_", "sqlite_"))):
                rows = ledger.execute(f"SELECT * FROM [{table}]")  # noqa: S608 - our own schema
                marks = ", ".join("?" * len(rows.description))
                while some := rows.fetchmany(10_000):
                    started = time.process_time()
                    connection.executemany(f"INSERT INTO [{table}] VALUES ({marks})", some)  # noqa: S608 - our own schema
                    seconds += time.process_time() - started
            started = time.process_time()
        sync_to_disk(target)
    return seconds + time.process_time() - started


def add_batches(data: Path, source: Path) -> None:
    """Add the batches of another ledger."""
    with closing(read_ledger(source)) as theirs, Store.open(data) as store:
        store.db.execute("PRAGMA foreign_keys = OFF")
        with store.db.atomic():
            loader = BulkLoader(store.db)
            for batch in list_batches(theirs):
                (_, packed), _ = published_batch_files(theirs, batch.id)
                one = open_batch(batch.id, packed, batch.signature)
                loader.add_batch(
                    one.id, node=one.node, signature=one.signature, packed=one.packed, document=one.document
                )
            loader.finish()


def save(data: Path, folder: Path, snapshot: Path | None = None) -> SavedState:
    """Save the state of a ledger."""
    with Store.open(data) as store:
        return save_state(store, KEY, folder, ledger=data, snapshot=snapshot)


def restore(folder: Path, data: Path, snapshot: Path | None = None) -> None:
    """Restore a ledger into a new folder."""
    data.mkdir()
    restore_state(data, KEY, folder, snapshot=snapshot)


def megabytes(path: Path) -> float:
    """Return the size of a file, or of all files of a folder, in megabytes."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ppp-bench-") as name:
        folder = Path(name)
        data, later, snapshot = folder / "data", folder / "later", folder / "base.db.gz"
        synthetic(data, options.records - options.records // NEW_SHARE, options.seed)
        synthetic(later, options.records // NEW_SHARE, options.seed + 1)
        timed("write the snapshot", lambda: save(data, folder / "state", snapshot))
        add_batches(data, later)
        # Once from a snapshot and what came after it, and once from batches alone.
        timed("save what came after it", lambda: save(data, folder / "state"))
        timed("save all batches", lambda: save(data, folder / "batches"))
        based = timed(
            "restore: snapshot, and batches after it", lambda: restore(folder / "state", folder / "1", snapshot)
        )
        alone = timed("restore: batches alone", lambda: restore(folder / "batches", folder / "2"))
        bare = insert_same_rows(data / LEDGER_NAME, folder / "bare.db")
        print(f"{'SQLite inserts the same rows':48} {bare:8.2f} s")
        for what, path in (("ledger", data / LEDGER_NAME), ("snapshot", snapshot), ("state", folder / "batches")):
            print(f"{what}: {megabytes(path):,.1f} MB for {options.records:,} records")
    print(f"restored in {based / bare:.2f} times that; batches alone {alone / bare:.2f}; wanted: {MAX_RATIO:g}")
    return int(based / bare > MAX_RATIO)


if __name__ == "__main__":
    sys.exit(main())
