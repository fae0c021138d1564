"""Read a lock file in the form of PEP 751 (`pylock.toml`): the packages that it pins, as a requirements file would.

Packages from version control, folders and archives have no release of the index: they are left out, with a note.
"""

from pathlib import Path
from typing import Final

from packaging.pylock import Package, is_valid_pylock_path

from ppp.locks.any_lock import NotALockError, parse_any_lock
from ppp.model.errors import RequirementsError
from ppp.model.release import RequestedPackage
from ppp.watch import watchlist
from ppp.watch.markers import can_be_evaluated
from ppp.watch.watchlist import Watchlist, WatchlistEntry

#: A lock names each file of each package with its hashes.
MAX_BYTES: Final = 50_000_000
HINT: Final = "make it again with the tool that wrote it"


def read_requirements(path: Path) -> Watchlist:
    """Read a lock file if its name is one's (`pylock.toml`, `pylock.NAME.toml`), else a requirements file.

    Raise `RequirementsError`.
    """
    return read(path) if is_valid_pylock_path(path) else watchlist.read(path)


def read(path: Path) -> Watchlist:
    """Read a lock file; the lines of its entries are numbers of packages, from 1. Raise `RequirementsError`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequirementsError(f"cannot read {path}: {error.strerror}", hint="name a pylock.toml") from error
    if len(content) > MAX_BYTES:
        raise RequirementsError(f"{path} is larger than {MAX_BYTES} bytes", hint="split it into several files")
    try:
        lock = parse_any_lock(content)
    except NotALockError as error:
        raise RequirementsError(f"{path} is not a lock file: {error}", hint=HINT) from error
    entries = [_entry(package, number) for number, package in enumerate(lock.packages, 1) if package.version]
    left_out = [package.name for package in lock.packages if not package.version]
    notes = (f"left out, because the lock gives no version: {', '.join(left_out)}",) if left_out else ()
    return Watchlist(entries=tuple(entries), notes=notes)


def _entry(package: Package, number: int) -> WatchlistEntry:
    # A marker that asks for an extra or a group of the lock has no value here: the package counts as needed.
    marker = package.marker if package.marker is not None and can_be_evaluated(package.marker) else None
    wanted = RequestedPackage.parse(f"{package.name}=={package.version}")
    return WatchlistEntry(wanted=wanted, line=number, marker=marker)
