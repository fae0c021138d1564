"""The locks of a package's newest release: of each PASS, as far as what the index said of its files is known here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ppp.index_files.store import IndexFiles
from ppp.locks.lock import Lock
from ppp.locks.make import locked_files, make_lock
from ppp.locks.pylock import LOCK_NAME, write_pylock
from ppp.locks.requirements import REQUIREMENTS_NAME, write_requirements
from ppp.model.errors import LockRefusedError
from ppp.model.record import Record, Result

LOCKS_FOLDER: Final = "locks"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageLocks:
    """Locks by environment, and how many PASSes have none because an address is not known here."""

    locks: Mapping[str, Lock] = field(default_factory=dict)
    missing: int = 0


NO_LOCKS: Final = PackageLocks()


def read_locks(passes: Mapping[str, Record], index_files: IndexFiles) -> PackageLocks:
    """Return the locks of records that are PASSes, by their ids; a record of which there can be none is left out."""
    wanted = {id_: pairs for id_, record in passes.items() if (pairs := _wanted(record))}
    files = index_files.get_many(pair for pairs in wanted.values() for pair in pairs)
    complete = [id_ for id_, pairs in wanted.items() if all(pair in files for pair in pairs)]
    locks: dict[str, Lock] = {}
    for id_ in complete:
        try:
            locks[passes[id_].environment] = make_lock(passes[id_], id_, files)
        except LockRefusedError:
            # What the index lists contradicts the record: no later reading of the index changes that.
            continue
    return PackageLocks(locks=locks, missing=len(wanted) - len(complete))


def _wanted(record: Record) -> list[tuple[str, str]]:
    try:
        return locked_files(record) if record.result is Result.PASS else []
    except LockRefusedError:
        return []


def lock_path(package: str, version: str, environment: str, name: str = LOCK_NAME) -> str:
    """Return the address within the site of a lock, or of another file beside it."""
    return f"{LOCKS_FOLDER}/{environment}/{package}/{version}/{name}"


def lock_files(package: str, version: str, locks: PackageLocks) -> list[tuple[str, bytes]]:
    """Return the files of a release's locks, each a path within the site and its bytes."""
    return [
        (lock_path(package, version, environment, name), write(lock))
        for environment, lock in locks.locks.items()
        for name, write in ((LOCK_NAME, write_pylock), (REQUIREMENTS_NAME, write_requirements))
    ]
