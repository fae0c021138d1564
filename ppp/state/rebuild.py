"""Make a ledger from a verified state: the snapshot's file first, then the state's own rows, then the batches after it.

The ledger is made in a file of its own. It ends up with the records that the state names, which is checked by count and
by the digest over all their ids, or there is no ledger.
"""

import gc
import json
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.batches import ledger_root
from ppp.ledger.bulk import BulkLoader
from ppp.ledger.schema import migrations
from ppp.mesh.batch import authenticate_batch, decompress_batch
from ppp.mesh.untrusted import reject
from ppp.model.canonical import Json, plain_canonical_json, sha256_hex
from ppp.model.errors import LedgerTooNewError
from ppp.state.folder import read_listed
from ppp.state.manifest import HINT, Manifest, StateFile
from ppp.state.tables import LANDINGS, TableRows, carried_tables, load_rows, read_rows, set_landings
from ppp.storage_errors import translate_storage_errors

#: How much SQLite keeps in memory meanwhile, in KiB: rows come in an order that has nothing to do with their keys.
_CACHE_KIB: Final = 256 * 1024
#: Nobody else reads the file, and what a crash leaves is made again.
_PRAGMAS: Final = ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = OFF", f"cache_size = -{_CACHE_KIB}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBatch:
    """A batch whose hash and signature were verified: its node, its compressed bytes, and what they hold."""

    id: str
    node: str
    signature: str
    packed: bytes
    document: dict[str, Json]


def rebuild(folder: Path, manifest: Manifest, target: Path, extra: Iterator[SignedBatch]) -> None:
    """Make the ledger `target` from a folder; if it exists, it is the snapshot that the manifest names, verified.

    `extra` are batches that are not part of the state, and are merged at the end. Raises `RejectedDataError`,
    `LedgerTooNewError` or the errors of the disk; `target` is of no use then.
    """
    with translate_storage_errors(target), _open(target) as db, _without_collections():
        _migrate_to(db, manifest)
        landings = _load_tables(db, folder, manifest)
        migrations.apply(db)
        with db.atomic():
            loader = BulkLoader(db)
            for batch in read_batches(folder, manifest):
                _add(loader, batch)
            _load_records(loader, folder, manifest)
            _check_records(db, manifest)
            for batch in extra:
                _add(loader, batch)
            loader.finish()
            set_landings(db, landings)
        _check_references(db)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Do not look for cycles of objects: rows have none, and to look through millions of them takes long."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _open(target: Path) -> Iterator[Database]:
    with closing(sqlite3.connect(target.absolute().as_uri(), uri=True)) as connection:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        yield Database(connection)


def _migrate_to(db: Database, manifest: Manifest) -> None:
    """Bring the schema to that of the state's rows."""
    ours = [*(m.name for m in migrations.applied(db)), *(m.name for m in migrations.pending(db))]
    if unknown := sorted(set(manifest.migrations) - set(ours)):
        raise LedgerTooNewError(f"the state was saved by a newer PPP (it has {', '.join(unknown)})", hint="upgrade PPP")
    later = [name for name in ours if name not in manifest.migrations]
    migrations.apply(db, stop_before=later[0] if later else None)


def _load_tables(db: Database, folder: Path, manifest: Manifest) -> list[tuple[str, list[str]]]:
    """Insert the rows of the state; return the rows about landings, which need the records."""
    landings: list[tuple[str, list[str]]] = []
    with db.atomic():
        # A migration may have put something there.
        for table in (*carried_tables(db), *filter(db.table_names().__contains__, [LANDINGS])):
            db.execute(f"DELETE FROM [{table}]")  # noqa: S608 - our own schema
        for file in _files(manifest, "tables/"):
            found = read_rows(read_listed(folder, file), file.path)
            if found.table == LANDINGS:
                landings += [(environment, records) for environment, records in found.rows]
            else:
                load_rows(db, found, file.path)
    return landings


def _load_records(loader: BulkLoader, folder: Path, manifest: Manifest) -> None:
    for file in _files(manifest, "records/"):
        found: TableRows = read_rows(read_listed(folder, file), file.path)
        logs = {record["log_sha256"]: log for record, log in found.rows if log is not None}
        loader.add_records((record for record, _ in found.rows), logs)


def unsigned_records(folder: Path, manifest: Manifest) -> set[str]:
    """Return the ids of the records and pending observations of a state that are in no batch."""
    found: set[str] = set()
    for file in _files(manifest, "records/"):
        rows = read_rows(read_listed(folder, file), file.path).rows
        found.update(sha256_hex(plain_canonical_json(record)) for record, _ in rows)
    for file in _files(manifest, "tables/pending-"):
        pending = read_rows(read_listed(folder, file), file.path)
        place = pending.columns.index("record")
        found.update(row[place] for row in pending.rows)
    return found


def _add(loader: BulkLoader, batch: SignedBatch) -> None:
    loader.add_batch(batch.id, node=batch.node, signature=batch.signature, packed=batch.packed, document=batch.document)


def read_batches(folder: Path, manifest: Manifest) -> Iterator[SignedBatch]:
    """Yield the batches of a folder; raise `RejectedDataError` for one that is missing, changed or not signed."""
    files = {file.path: file for file in manifest.files}
    for batch in sorted(manifest.batches):
        signature = files.get(f"batches/{batch}.sig")
        if signature is None:
            reject(f"batch {batch}", "it has no signature file", hint=HINT)
        packed = read_listed(folder, files[f"batches/{batch}.json.gz"])
        yield open_batch(batch, packed, read_listed(folder, signature).decode("ascii", "replace").strip())


def open_batch(batch: str, packed: bytes, signature: str) -> SignedBatch:
    """Return a batch if it hashes to its id and its node signed it; raise `RejectedDataError` otherwise.

    Its content is not validated again: a node signs and merges only what is valid.
    """
    data = decompress_batch(packed, what=f"batch {batch}")
    node = authenticate_batch(data, signature, batch_id=batch)
    return SignedBatch(id=batch, node=node, signature=signature, packed=packed, document=json.loads(data))


def _files(manifest: Manifest, prefix: str) -> list[StateFile]:
    return [file for file in manifest.files if file.path.startswith(prefix)]


def _check_records(db: Database, manifest: Manifest) -> None:
    (records,) = db.execute("SELECT count(*) FROM records").fetchone()
    root = ledger_root(db)
    if (records, root) != (manifest.records, manifest.root):
        reject(
            "the state",
            f"it makes {records} records with the root {root}, but it says {manifest.records} with {manifest.root}",
            hint=HINT,
        )


def _check_references(db: Database) -> None:
    """Raise `RejectedDataError` if a row of the state names what is not there; the other tables were made together."""
    for table in carried_tables(db):
        for row in db.execute("SELECT * FROM pragma_foreign_key_check(?)", (table,)):
            reject("the state", f"a row of {table} names a row of {row[2]} that is not there", hint=HINT)


def unpack_snapshot(source: Path, target: Path, *, unpacked: int) -> None:
    """Copy a snapshot's file, decompressed if it is gzip; raise `RejectedDataError` if it unpacks to another size."""
    with translate_storage_errors(target), source.open("rb") as packed, target.open("wb") as whole:
        if source.suffix != ".gz":
            shutil.copyfileobj(packed, whole, 1 << 20)
        else:
            _decompress(packed.read, whole.write, unpacked)
    if (size := target.stat().st_size) != unpacked:
        reject(source.name, f"it unpacks to {size:,} bytes, and the state says {unpacked:,}", hint=HINT)


def _decompress(read: Callable[[int], bytes], write: Callable[[bytes], object], limit: int) -> None:
    stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
    room = limit
    while room >= 0 and not stream.eof and (data := stream.unconsumed_tail or read(1 << 20)):
        content = stream.decompress(data, 1 << 22)
        room -= len(content)
        write(content)
