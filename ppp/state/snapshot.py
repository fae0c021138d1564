"""The snapshot that a state starts from: all records and signed batches of a ledger as one SQLite file.

Unlike a published snapshot it holds the batches too, and neither the journal nor anything else that the state's own
files have. It is stored where large files may be (as an asset of a release), once a month or so: the state then needs
only the batches after it. The same records and batches give the same bytes.
"""

import gzip
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.durability import sync_to_disk
from ppp.ledger.batches import list_batch_ids
from ppp.ledger.schema import migrations
from ppp.model.errors import InvalidFileError
from ppp.publish.snapshots.description import file_sha256
from ppp.state.manifest import BaseSnapshot, is_snapshot_name
from ppp.state.tables import CONTENT_TABLES, columns_of
from ppp.storage_errors import translate_storage_errors

#: The recorded time of the migrations: with a clock, two snapshots of the same records would differ.
_APPLIED_AT: Final = "1970-01-01 00:00:00+00:00"
_CHUNK: Final = 1 << 20


def write_snapshot(ledger: Path, target: Path) -> BaseSnapshot:
    """Write the snapshot of a ledger, compressed if the name ends with `.gz`, and return its description.

    An existing file is replaced. Raises `InvalidFileError` for a name that cannot be part of an address, and the errors
    of the ledger and of the disk.
    """
    if not is_snapshot_name(target.name):
        raise InvalidFileError(
            f"{target.name!r} is no name for a snapshot", hint="use letters, digits, and `._-`: node-2026-11.db.gz"
        )
    staged, whole, part = (target.with_name(f".{target.name}.{end}") for end in ("staged", "db", "part"))
    with translate_storage_errors(target):
        try:
            for path in (staged, whole):
                path.unlink(missing_ok=True)
            batches = _extract(ledger, staged, whole)
            if target.suffix == ".gz":
                _compress(whole, part)
            else:
                shutil.copyfile(whole, part)
            sync_to_disk(part)
            part.replace(target)
            return BaseSnapshot(
                file=target.name,
                size=target.stat().st_size,
                sha256=file_sha256(target),
                unpacked=whole.stat().st_size,
                batches=batches,
            )
        finally:
            for path in (staged, whole, part):
                path.unlink(missing_ok=True)


def _extract(ledger: Path, staged: Path, whole: Path) -> tuple[str, ...]:
    with closing(sqlite3.connect(staged.absolute().as_uri(), uri=True)) as connection:
        # No journal: nobody reads this file.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "page_size = 4096", "cache_size = -65536"):
            connection.execute(f"PRAGMA {pragma}")
        db = Database(connection)
        migrations.apply(db)
        with translate_storage_errors(ledger):
            db.execute("ATTACH ? AS ledger", (f"{ledger.absolute().as_uri()}?mode=ro",))
            with db.atomic():
                db.execute("UPDATE _sqlite_migrations SET applied_at = ?", (_APPLIED_AT,))
                for table, order in CONTENT_TABLES.items():
                    columns = ", ".join(columns_of(db, table))
                    rows = f"SELECT {columns} FROM ledger.{table} ORDER BY {order}"  # noqa: S608 - our own identifiers
                    db.execute(f"INSERT INTO main.{table} ({columns}) {rows}")
        batches = tuple(sorted(list_batch_ids(db)))
        db.execute("DETACH ledger")
        db.execute("PRAGMA schema_version = 1")
        connection.execute("VACUUM INTO ?", (str(whole),))
    return batches


def _compress(source: Path, target: Path) -> None:
    # Without name and time in the header, so that the same input gives the same bytes.
    with (
        source.open("rb") as whole,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as zipped,
    ):
        shutil.copyfileobj(whole, zipped, _CHUNK)
