"""Save the state of a node into a folder: what a machine that keeps nothing needs for the next run.

An unchanged ledger leaves the folder as it is, byte for byte. A kill leaves the state that was there before: the list
of its files is replaced last, and no file that it names is ever written with other bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.durability import replace_file
from ppp.index_files.store import read_index_files
from ppp.ledger.batches import ledger_root, list_batch_ids, published_batch_files
from ppp.ledger.queries import read_log, record_from_row
from ppp.ledger.schema import LEDGER_NAME, migrations
from ppp.ledger.statements import newest_statement
from ppp.ledger.store import Store
from ppp.mesh.node import NodeKey
from ppp.model.canonical import Json
from ppp.model.errors import StateError
from ppp.state.folder import has_state, open_state, remove_unlisted, write_file
from ppp.state.index_files import dump_index_files
from ppp.state.manifest import STATE_NAME, BaseSnapshot, Manifest, StateFile, sign_manifest
from ppp.state.snapshot import write_snapshot
from ppp.state.tables import NamedFile, dump_loose_records, dump_tables
from ppp.storage_errors import translate_storage_errors

#: Above this size of the folder in bytes it is time for a snapshot: a branch of that size is still quickly fetched.
SNAPSHOT_DUE_BYTES: Final = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedState:
    """What was saved; `changed` is false if the folder held it already, `removed` counts files that were too many."""

    manifest: Manifest
    changed: bool
    removed: int

    @property
    def size(self) -> int:
        """The size of all files of the folder, in bytes."""
        return sum(file.size for file in self.manifest.files)

    @property
    def snapshot_due(self) -> bool:
        """Whether the folder has become large enough for its batches to go into a snapshot."""
        return self.size > SNAPSHOT_DUE_BYTES


def save_state(store: Store, key: NodeKey, folder: Path, *, ledger: Path, snapshot: Path | None = None) -> SavedState:
    """Save the state of an open ledger, which is in the data folder `ledger`, into a folder.

    With `snapshot`, all batches are written into that file, and the folder holds none; else the folder holds those that
    are not in the snapshot that it named before. Raises `StateError` if it holds the state of another node, or one that
    has what this ledger lacks; `RejectedDataError` if it holds one that was changed.
    """
    before = open_state(folder, own=key.id) if has_state(folder) else None
    present = set(list_batch_ids(store.db))
    if before is not None:
        _refuse_older(store.db, before, present, folder)
    base = before.snapshot if before else None
    if snapshot is not None:
        base = write_snapshot(ledger / LEDGER_NAME, snapshot)
    kept = sorted(present.difference(base.batches if base else ()))
    with translate_storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files = tuple(write_file(folder, file) for file in _state_files(store.db, kept, ledger))
    manifest = _manifest(store.db, key.id, base, sorted(files, key=lambda file: file.path))
    content = sign_manifest(manifest, key)
    with translate_storage_errors(folder / STATE_NAME):
        changed = before is None or (folder / STATE_NAME).read_bytes() != content
        if changed:
            replace_file(folder / STATE_NAME, content)
    return SavedState(manifest=manifest, changed=changed, removed=remove_unlisted(folder, manifest))


def _refuse_older(db: Database, before: Manifest, present: set[str], folder: Path) -> None:
    newest = newest_statement(db)
    sequence = newest.sequence if newest else 0
    missing = len(before.all_batches - present)
    if sequence < before.sequence or missing:
        raise StateError(
            f"{folder} holds what this ledger lacks: its newest statement is {before.sequence}, here it is {sequence},"
            f" and {missing} of its batches are not here",
            hint=f"restore it first, with `ppp restore {folder}`",
        )


def _state_files(db: Database, batches: list[str], data: Path) -> Iterator[NamedFile]:
    for batch in batches:
        for path, content in published_batch_files(db, batch):
            yield NamedFile(path=path, content=content)
    yield from dump_loose_records(_loose_records(db))
    yield from dump_tables(db)
    with read_index_files(data) as index_files:
        yield from dump_index_files(index_files.all())


def _loose_records(db: Database) -> Iterator[tuple[dict[str, Json], str | None]]:
    rows = db.query(
        "SELECT * FROM records AS r WHERE NOT EXISTS (SELECT 1 FROM batch_records AS b WHERE b.record = r.record)"
        " ORDER BY record"
    )
    for record in map(record_from_row, rows):
        yield record.to_json(), record.log_sha256 and read_log(db, record.log_sha256)


def _manifest(db: Database, own: str, base: BaseSnapshot | None, files: list[StateFile]) -> Manifest:
    newest = newest_statement(db)
    (records,) = db.execute("SELECT count(*) FROM records").fetchone()
    return Manifest(
        node=own,
        sequence=newest.sequence if newest else 0,
        digest=newest.digest if newest else None,
        records=records,
        root=ledger_root(db),
        migrations=tuple(migration.name for migration in migrations.applied(db)),
        snapshot=base,
        files=tuple(files),
    )
