"""Backups that are made beside a ledger before a newer program changes its schema, so that there is a way back.

A backup is named by the schema that it has and by the time of the ledger's last change, in UTC:
`ppp-m003-20261129T091500Z.db`. So a program that is killed on its way to the new schema, and started again, finds the
backup that it made, and makes no other one of the same ledger.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ppp.ledger.backup import back_up, count_rows
from ppp.model.errors import LedgerDamagedError

#: How many of these backups are kept: those of the newest ledgers.
KEPT: Final = 3
_NAME: Final = re.compile(r"ppp-m(?P<schema>\d{3})-(?P<at>\d{8}T\d{6}Z)\.db")
_TIME: Final = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class UpgradeBackup:
    """A backup; `at` is when its ledger was changed last, `schema` the number of the last migration that it has."""

    at: str
    schema: int
    path: Path


def schema_number(migrations: Iterable[str]) -> int:
    """Return the number of the last one of some migrations, of whose names it is a part; 0 if there is none."""
    return max((int(name[1:4]) for name in migrations), default=0)


def list_upgrade_backups(folder: Path) -> list[UpgradeBackup]:
    """Return the backups in a data folder, by the age of their ledgers, the oldest first."""
    found = ((path, _NAME.fullmatch(path.name)) for path in folder.glob("ppp-m*.db"))
    return sorted(UpgradeBackup(at=name["at"], schema=int(name["schema"]), path=path) for path, name in found if name)


def back_up_before_upgrade(ledger: Path, schema: int) -> Path:
    """Return the verified backup of a ledger, which is made if there is none yet, and remove what is too old.

    Nobody may write to the ledger meanwhile. Raise what `back_up` raises; the ledger is unchanged in any case.
    """
    for part in ledger.parent.glob(".ppp-m*.db.part"):
        # A kill left it.
        part.unlink(missing_ok=True)
    made = _make(ledger, schema)
    others = [each for each in list_upgrade_backups(ledger.parent) if each.path != made]
    for old in others[: max(0, len(others) - KEPT + 1)]:
        old.path.unlink(missing_ok=True)
    return made


def _make(ledger: Path, schema: int) -> Path:
    changed = int(ledger.stat().st_mtime)
    while (target := _target(ledger, schema, changed)).exists():
        if _is_copy(target, ledger):
            return target
        changed += 1
    return back_up(ledger, target).path


def _target(ledger: Path, schema: int, changed: int) -> Path:
    return ledger.with_name(f"ppp-m{schema:03}-{datetime.fromtimestamp(changed, UTC).strftime(_TIME)}.db")


def _is_copy(target: Path, ledger: Path) -> bool:
    try:
        return count_rows(target) == count_rows(ledger)
    except LedgerDamagedError:
        return False


def way_back(folder: Path, schema: int) -> UpgradeBackup | None:
    """Return the newest backup in a data folder that a program reads whose last migration is `schema`."""
    return next((each for each in reversed(list_upgrade_backups(folder)) if each.schema <= schema), None)
