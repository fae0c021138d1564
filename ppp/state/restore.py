"""Restore a ledger from a saved state: verify, make the ledger in a file of its own, replace the ledger at once.

Rules:

1. The folder is treated like a peer's: nothing counts that this node's own key did not sign.
2. Nothing is lost. A ledger that holds what the state lacks of this node is newer than the state, and stays. Batches of
   other nodes that only the ledger has, as the founding record that comes with the program, are merged.
3. A kill leaves the ledger that was there before, or the restored one.
"""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.durability import sync_to_disk
from ppp.index_files.store import open_index_files
from ppp.ledger.batches import list_batches, published_batch_files
from ppp.ledger.schema import LEDGER_NAME, open_ledger
from ppp.ledger.statements import newest_statement
from ppp.mesh.node import NodeKey
from ppp.mesh.untrusted import reject
from ppp.model.errors import InvalidFileError, StateError
from ppp.publish.snapshots.description import file_sha256
from ppp.state.folder import open_state
from ppp.state.index_files import load_index_files
from ppp.state.manifest import HINT, BaseSnapshot, Manifest
from ppp.state.rebuild import SignedBatch, open_batch, rebuild, unpack_snapshot, unsigned_records
from ppp.storage_errors import translate_storage_errors

_PART_NAME: Final = f".{LEDGER_NAME}.restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredState:
    """What was restored, and how many batches of other nodes were merged that only the ledger before had."""

    manifest: Manifest
    merged: int


def restore_state(data: Path, key: NodeKey, folder: Path, *, snapshot: Path | None) -> RestoredState:
    """Replace the ledger of a data folder, which the caller has locked, by the one that a state describes.

    `snapshot` is the file that the state starts from, if it names one. Raises `RejectedDataError` for a state that was
    changed, `StateError` for one of another node or one that is older than the ledger, `InvalidFileError` for a folder
    without a state or a snapshot that is missing. The ledger is unchanged then.
    """
    manifest = open_state(folder, own=key.id)
    known_files = load_index_files(folder, manifest)
    part = data / _PART_NAME
    with translate_storage_errors(part):
        part.unlink(missing_ok=True)
        try:
            extra = _batches_to_keep(data, manifest, folder, key.id)
            if (base := manifest.snapshot) is not None:
                unpack_snapshot(_verified(base, snapshot, folder), part, unpacked=base.unpacked)
            rebuild(folder, manifest, part, iter(extra))
            sync_to_disk(part)
            part.replace(data / LEDGER_NAME)
            sync_to_disk(data)
        finally:
            part.unlink(missing_ok=True)
    if known_files:
        with open_index_files(data) as index_files:
            index_files.add(known_files)
    # It describes the ledger that is gone.
    (data / "cache" / "publish.db").unlink(missing_ok=True)
    return RestoredState(manifest=manifest, merged=len(extra))


def _verified(base: BaseSnapshot, given: Path | None, folder: Path) -> Path:
    """Return the file of the snapshot that a state starts from; raise an error unless it is that one."""
    path = given or folder / base.file
    if not path.is_file():
        raise InvalidFileError(
            f"the state starts from the snapshot {base.file}, which is not at {path}",
            hint="name the file, or its address, with --snapshot",
        )
    if (found := file_sha256(path)) != base.sha256:
        reject(str(path), f"it hashes to {found}, and the state starts from {base.file} with {base.sha256}", hint=HINT)
    return path


def _batches_to_keep(data: Path, manifest: Manifest, folder: Path, own: str) -> list[SignedBatch]:
    """Return the batches of other nodes that only the ledger has; raise `StateError` if it has more of this node."""
    if not (data / LEDGER_NAME).exists():
        return []
    # For writing, so that what a kill left is rolled back: its journal must not be applied to another file.
    with closing(open_ledger(data).conn) as connection:
        db = Database(connection)
        _refuse_older(db, manifest, own, data)
        _refuse_loose(db, manifest, folder, data)
        known = manifest.all_batches
        others = [batch for batch in list_batches(db) if batch.id not in known]
        return [open_batch(b.id, next(iter(published_batch_files(db, b.id)))[1], b.signature) for b in others]


def _refuse_older(db: Database, manifest: Manifest, own: str, data: Path) -> None:
    newest = newest_statement(db)
    sequence = newest.sequence if newest else 0
    known = manifest.all_batches
    missing = sum(batch.node == own and batch.id not in known for batch in list_batches(db))
    if sequence > manifest.sequence or missing:
        raise StateError(
            f"the state is older than the ledger in {data}: its newest statement is {manifest.sequence}, there it is"
            f" {sequence}, and it lacks {missing} of this node's batches",
            hint="nothing was restored; save the ledger, or name another folder with --data",
        )
    if newest and sequence == manifest.sequence and newest.digest != manifest.digest:
        raise StateError(
            f"the state and the ledger in {data} have different statements with the number {sequence}",
            hint="nothing was restored; two machines ran as one node: keep one of the two, and `ppp peer evidence`",
        )


def _refuse_loose(db: Database, manifest: Manifest, folder: Path, data: Path) -> None:
    """Raise `StateError` if the ledger has observations that no batch holds, and that the state lacks."""
    loose = {record for (record,) in db.execute("SELECT record FROM records EXCEPT SELECT record FROM batch_records")}
    pending = {record for (record,) in db.execute("SELECT record FROM pending")}
    if missing := len((loose | pending) - (unsigned_records(folder, manifest) if loose or pending else set())):
        raise StateError(
            f"the ledger in {data} holds {missing} records that are in no batch, and that the state lacks",
            hint="nothing was restored; `ppp publish` signs them, or name another folder with --data",
        )
