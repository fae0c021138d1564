"""A copy of the ledger that is complete, also while another process writes, and that was read again before it counts.

A copy by `cp` may be of two moments. SQLite's backup API copies the pages of one transaction.
"""

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ppp.durability import sync_to_disk
from ppp.ledger.connect import connect_as_it_is
from ppp.model.errors import BackupError
from ppp.storage_errors import translate_storage_errors

#: The tables of a ledger without which it would be none, of any schema: what a copy has as many rows of.
_COUNTED: Final = ("records", "batches", "statements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds: its size in bytes, and how many rows each of these tables has."""

    path: Path
    size: int
    rows: dict[str, int]


def back_up(ledger: Path, target: Path) -> Backup:
    """Copy a ledger into a new file, verify the copy, and return what it holds.

    The ledger may have any schema, and it may be in use. Raise `BackupError` if the target exists or the copy is not
    sound, `LedgerDamagedError` if there is no ledger or it cannot be read, `DiskFullError` or `DataReadOnlyError`.
    There is no file at the target then.
    """
    if os.path.lexists(target):
        raise BackupError(f"{target} exists", hint="name a file that does not exist: backups are never overwritten")
    part = target.with_name(f".{target.name}.part")
    try:
        with translate_storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            rows = _copy(ledger, part)
            _verify(part, rows)
            sync_to_disk(part)
            # Not a rename, which would replace what another process has put there in the meantime.
            os.link(part, target)
            part.unlink()
            sync_to_disk(target.parent)
            return Backup(path=target, size=target.stat().st_size, rows=rows)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def count_rows(ledger: Path) -> dict[str, int]:
    """Return how many rows the tables of a ledger have without which it would be none."""
    with translate_storage_errors(ledger), closing(connect_as_it_is(ledger)) as db:
        return _count(db)


def _copy(ledger: Path, part: Path) -> dict[str, int]:
    with closing(connect_as_it_is(ledger)) as source, closing(sqlite3.connect(part)) as copy:
        # One transaction, so that what is counted is what is copied.
        source.execute("BEGIN")
        rows = _count(source)
        source.backup(copy)
        source.rollback()
    return rows


def _verify(part: Path, rows: dict[str, int]) -> None:
    with closing(sqlite3.connect(part)) as copy:
        problems = [text for (text,) in copy.execute("PRAGMA integrity_check(5)") if text != "ok"]
        problems += [f"a row of {table} refers to nothing" for table, *_ in copy.execute("PRAGMA foreign_key_check")][
            :5
        ]
        if (copied := _count(copy)) != rows:
            problems.append(f"it has {copied} rows, and the ledger has {rows}")
    if problems:
        raise BackupError(
            f"the copy is not sound: {'; '.join(problems)}", hint="`ppp verify` says more about the ledger itself"
        )


def _count(db: sqlite3.Connection) -> dict[str, int]:
    # The names are ours.
    return {table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in _COUNTED}  # noqa: S608
