"""The migrations of the ledger, and the functions that open it.

The ledger is one SQLite file with a rollback journal: after a kill at any moment the next reader can open it, and a
copy of that one file is a complete ledger. Migrations are literal SQL in `ppp/ledger/migrations/`; none is changed
after a release, because `ppp verify` compares the schema of a file, word for word, with what the migrations create.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database, Migrations

from ppp.ledger.connect import connect, finish_rollback
from ppp.ledger.upgrade import back_up_before_upgrade, schema_number, way_back
from ppp.model.errors import LedgerDamagedError, LedgerTooNewError
from ppp.storage_errors import translate_storage_errors

LEDGER_NAME: Final = "ppp.db"
#: How much of the ledger a writer keeps in memory, in KiB: SQLite's own 2 MiB hold too little of a long queue.
WRITER_CACHE_KIB: Final = 16_384
MIGRATIONS_FOLDER: Final = Path(__file__).with_name("migrations")
#: Seconds until a cell that resulted in `ERROR` is tried again, after the first and the second time: long enough for a
#: short disturbance, and for an outage.
RETRY_DELAYS_S: Final = (60, 3600)
#: How often a cell may result in `ERROR` before it waits for a person. The view `given_up` repeats this number.
MAX_ATTEMPTS: Final = len(RETRY_DELAYS_S) + 1

migrations: Final = Migrations("ppp")


@migrations()
def m001_founding(db: Database) -> None:
    """Create the first tables and views."""
    _run_script(db, "m001.sql")


@migrations()
def m002_peers(db: Database) -> None:
    """Add what a node remembers of its peers."""
    _run_script(db, "m002.sql")


@migrations()
def m003_observations(db: Database) -> None:
    """Add what a verdict leaves to tell."""
    _run_script(db, "m003.sql")


@migrations()
def m004_journal(db: Database) -> None:
    """Add the journal, the order of the queue, downloads, and why a cell was checked again."""
    _run_script(db, "m004.sql")


@migrations()
def m005_proofs(db: Database) -> None:
    """Add what a failed cell did with the index as it was."""
    _run_script(db, "m005.sql")


@migrations()
def m006_episodes(db: Database) -> None:
    """Add what the pages and the sound of an episode need to know, and which files several distributions own."""
    _run_script(db, "m006.sql")


def _run_script(db: Database, name: str) -> None:
    # One statement at a time: executescript() would commit the transaction of the migration.
    for statement in _statements((MIGRATIONS_FOLDER / name).read_text("utf-8")):
        db.execute(statement)


def _statements(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""


def open_ledger(data: Path) -> Database:
    """Open the ledger of the data folder for writing; create the folder and the ledger, or migrate it, if necessary.

    Before it is migrated, a backup is made beside it; all migrations are one transaction. The caller has locked the
    folder, or is alone. Raise `LedgerTooNewError`, `LedgerDamagedError`, `LedgerBusyError`, `BackupError`,
    `DiskFullError` or `DataReadOnlyError`; the file is unchanged then.
    """
    path = data / LEDGER_NAME
    with translate_storage_errors(path):
        data.mkdir(parents=True, exist_ok=True)
        if path.exists():
            # Read only at first, so that a ledger that is refused keeps its bytes.
            finish_rollback(path)
            with closing(connect(path, mode="ro")) as connection:
                older = _older_schema(Database(connection), path)
            if older:
                back_up_before_upgrade(path, older)
        with ExitStack() as undo:
            db = Database(undo.enter_context(closing(connect(path, mode="rwc"))))
            db.execute("PRAGMA foreign_keys = ON")
            db.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
            with db.atomic():
                migrations.apply(db)
            undo.pop_all()
            return db


def read_ledger(data: Path) -> Database:
    """Open the ledger of the data folder read-only; raise `LedgerDamagedError` if there is none."""
    path = data / LEDGER_NAME
    with translate_storage_errors(path), ExitStack() as undo:
        if not path.exists():
            raise LedgerDamagedError(
                f"no ledger at {path}", hint="run `ppp run` first, or name another folder with --data"
            )
        finish_rollback(path)
        db = Database(undo.enter_context(closing(connect(path, mode="ro"))))
        _refuse_newer(db, path)
        if migrations.pending(db):
            raise LedgerDamagedError(
                f"{path} is from an older PPP",
                hint="any command that writes, such as `ppp run`, migrates it",
            )
        undo.pop_all()
        return db


def _older_schema(db: Database, path: Path) -> int:
    """Return the number of the last migration of a ledger that lacks some; 0 if it has all, or none at all."""
    _refuse_newer(db, path)
    applied = [migration.name for migration in migrations.applied(db)]
    return schema_number(applied) if migrations.pending(db) else 0


def _refuse_newer(db: Database, path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as none_applied:
        ours = {m.name for m in migrations.pending(Database(none_applied))}
    if unknown := sorted({m.name for m in migrations.applied(db)} - ours):
        back = way_back(path.parent, schema_number(ours))
        other = f"go back to {back.path}, which this PPP reads" if back else "name another folder with --data"
        raise LedgerTooNewError(
            f"{path} was written by a newer PPP (it has {', '.join(unknown)})", hint=f"upgrade PPP, or {other}"
        )
