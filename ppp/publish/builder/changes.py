"""What changed since the build that is remembered: the packages of newer records, or everything.

Records are only ever added, so their row numbers only grow. Everything is built anew where any of it is in doubt:
another PPP, another ledger, a folder that is not as it was left, a machine that was started since (what was written
last may have been lost with the power).
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlite_utils import Database

import ppp
from ppp.model.matrix import Environment
from ppp.model.record import sha256_hex
from ppp.publish.builder.writer import Committed, digest_line
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.cache.manifest import files_in_list
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST, OutputFolder
from ppp.resources import resource

#: At how many places of its history a ledger is asked whether it is the one that is remembered.
PROBES: Final = 16
#: How many files of those that need not be written are looked at in each build; large ones only for their size.
FILES_CHECKED: Final = 256
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPackages:
    """The packages, by name, of records that no build has seen: those after the row `last`; None: all."""

    packages: Sequence[str] | None
    after_row: int


EVERYTHING: Final = ChangedPackages(packages=None, after_row=0)


def changed_packages(
    db: Database, memory: BuildCache, folder: OutputFolder, environments: Sequence[Environment], *, base_url: str
) -> ChangedPackages:
    """Give what changed."""
    boot, listed = _boot(), folder.read(MANIFEST)
    last = memory.fact("records")
    if boot is None or listed is None or not isinstance(last, int):
        return EVERYTHING
    remembered = {name: memory.fact(name) for name in ("boot", "maker", "files", "current", "environments", "probes")}
    now = {
        "boot": boot,
        "maker": _generator_digest(base_url),
        "files": sha256_hex(listed),
        "current": _current(folder),
        "environments": [environment.id for environment in environments],
        "probes": _probes(db, last),
    }
    if now != remembered or not _files_are_intact(memory, folder):
        return EVERYTHING
    newer = db.execute("SELECT package FROM records NOT INDEXED WHERE rowid > ?", (last,))
    return ChangedPackages(packages=sorted({package for (package,) in newer}), after_row=last)


def record_build(
    db: Database, memory: BuildCache, environments: Sequence[Environment], committed: Committed, *, base_url: str
) -> None:
    """Note how far this build came, for `since` in the next."""
    (last,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
    memory.set_fact("boot", _boot())
    memory.set_fact("maker", _generator_digest(base_url))
    memory.set_fact("files", committed.files_sha256)
    memory.set_fact("current", committed.current_sha256)
    memory.set_fact("environments", [environment.id for environment in environments])
    memory.set_fact("records", last)
    memory.set_fact("probes", _probes(db, last))


def _current(folder: OutputFolder) -> str | None:
    # Only where its digest stands beside it.
    digest = sha256_hex(folder.read(CURRENT) or b"")
    return digest if folder.read(DIGEST) == digest_line(digest) else None


def _probes(db: Database, last: int) -> list[list[object]]:
    places = sorted({last * n // PROBES for n in range(1, PROBES + 1)})
    marks = ", ".join("?" * len(places))
    rows = db.execute(f"SELECT rowid, record FROM records WHERE rowid IN ({marks}) ORDER BY rowid", places)  # noqa: S608 - marks
    return [list(row) for row in rows]


def _files_are_intact(memory: BuildCache, folder: OutputFolder) -> bool:
    # Some lists at a time, so that in the end everything was looked at.
    lists = memory.lists()
    turn = memory.fact("turn")
    start = (turn if isinstance(turn, int) else 0) % max(1, len(lists))
    left = FILES_CHECKED
    for number, entry in enumerate([*lists[start:], *lists[:start]], start + 1):
        if left <= 0:
            break
        memory.set_fact("turn", number)
        files = files_in_list(memory, entry.path)
        left -= len(files)
        if not folder.matches(entry) or not all(folder.matches(file) for file in files):
            return False
    return True


def _boot() -> str | None:
    try:
        return _BOOT.read_text("ascii").strip()
    except OSError:
        return None


@cache
def _generator_digest(base_url: str) -> str:
    libraries = (version(name) for name in ("jinja2", "markdown", "markupsafe"))
    digest = hashlib.sha256("\n".join((base_url, sys.version, *libraries, "")).encode())
    for path in _sources():
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for folder in (Path(ppp.__file__).parent, resource("site")):
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
