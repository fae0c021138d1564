"""Find what has changed since the build that the cache describes: packages with newer records or other downloads.

Records are only ever added, so their row numbers only grow. Everything is built again where there is any doubt:
another PPP, another ledger, a folder that is not as the last build left it, or a machine that was restarted since
(files that were written last may have been lost with the power).
"""

import functools
import hashlib
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlite_utils import Database

import ppp
from ppp.index_files.store import IndexFiles
from ppp.ledger.dependents import packages_that_installed
from ppp.ledger.downloads import newest_downloads, newest_source
from ppp.ledger.flips import triggers_of_packages
from ppp.ledger.published_journal import announcement_digests, tested_packages_of_days
from ppp.ledger.queued_cells import packages_queued_otherwise, queued_cells
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Environment
from ppp.model.site_address import SiteAddresses
from ppp.publish.cache.build_cache import BuildCache
from ppp.publish.cache.manifest import files_in_list
from ppp.publish.folder import CURRENT, DIGEST, MANIFEST, OutputFolder, digest_line
from ppp.publish.packages.dependencies import dependents_of_new_packages
from ppp.publish.site.directory import PACKAGES_LISTING
from ppp.resources import resource

#: At how many rows, spread over its history, a ledger is compared with the one that the cache describes.
PROBES: Final = 16
#: How many unchanged files each build compares with the lists; large ones by their size only.
FILES_CHECKED: Final = 256
#: A file whose content the system changes at every start.
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedPackages:
    """The sorted names of packages whose files records after the row `after_row` change; None: all packages."""

    packages: Sequence[str] | None
    after_row: int


EVERYTHING: Final = ChangedPackages(packages=None, after_row=0)


def find_changes(
    db: Database,
    cache: BuildCache,
    folder: OutputFolder,
    environments: Sequence[Environment],
    *,
    addresses: SiteAddresses,
    choices: Mapping[str, object],
    index_files: IndexFiles | None = None,
) -> ChangedPackages:
    """Return the packages that changed since the last build, or `EVERYTHING` where the cache cannot be relied on.

    `choices` decide about every page, see `PlanInputs`: sites with others have little in common. `index_files` are what
    the index said of files, None where nothing of that is published.
    """
    boot_id, listed = _boot_id(), folder.read(MANIFEST)
    last = cache.fact("records")
    if boot_id is None or listed is None or not isinstance(last, int):
        return EVERYTHING
    now = {
        "boot id": boot_id,
        "generator": _generator_digest(addresses),
        "files": sha256_hex(listed),
        "current": _current_digest(folder),
        "environments": [environment.id for environment in environments],
        "probes": _probes(db, last),
        "choices": choices,
    }
    if any(cache.fact(name) != value for name, value in now.items()) or not _files_are_intact(cache, folder):
        return EVERYTHING
    if (read := _index_read_before(cache, index_files)) is None:
        return EVERYTHING
    # By row number, not by the index on packages: that would read every record.
    newer = db.execute("SELECT package FROM records NOT INDEXED WHERE rowid > ?", (last,))
    changed = {package for (package,) in newer} | _packages_with_other_downloads(db, cache)
    changed |= _packages_announced_anew(db, cache) | _packages_queued_otherwise(db, cache)
    if index_files:
        changed |= packages_that_installed(db, ((f.project, f.version) for f in index_files.added_after(read)))
    # The page of a package links those of its dependencies that have a page.
    changed |= dependents_of_new_packages(db, changed, last)
    # What a release did to these packages is on the pages of the package whose release that is.
    return ChangedPackages(packages=sorted(changed.union(triggers_of_packages(db, changed))), after_row=last)


def index_position(index_files: IndexFiles | None) -> list[int] | None:
    """Return up to where what the index said of files was read, as the cache stores it."""
    return [*index_files.position] if index_files else None


def _index_read_before(cache: BuildCache, index_files: IndexFiles | None) -> int | None:
    """Return up to which addition to `index_files` builds have read; None if that cannot be told."""
    match cache.fact("index files"), index_position(index_files):
        case None, None:
            return 0
        case [identity, int(read)], [now, int(last)] if identity == now and read <= last:
            return read
    return None


def _packages_with_other_downloads(db: Database, cache: BuildCache) -> set[str]:
    # Those whose own number is another one, or of another period; no page shows a place among others.
    source, before = newest_source(db), cache.fact("downloads")
    now = source and asdict(source)
    if now == before:
        return set()
    numbers = newest_downloads(db)
    same_period = isinstance(before, dict) and source is not None and before["period"] == source.period
    return {
        package
        for package, shown in cache.listings.downloads(PACKAGES_LISTING).items()
        if (number := numbers.get(package)) is not None or shown is not None
        if not same_period or number is None or number.downloads != shown
    }


def _packages_announced_anew(db: Database, cache: BuildCache) -> set[str]:
    # Those with a result that were announced on days of which anything was announced since, or at another time.
    before, now = cache.fact("announcements"), announcement_digests(db)
    known = before if isinstance(before, dict) else {}
    return tested_packages_of_days(db, (day for day in {*known, *now} if known.get(day) != now.get(day)))


def _packages_queued_otherwise(db: Database, cache: BuildCache) -> set[str]:
    before = cache.fact("queued")
    return packages_queued_otherwise(before if isinstance(before, dict) else {}, queued_cells(db))


def record_build(
    db: Database,
    cache: BuildCache,
    environments: Sequence[Environment],
    *,
    addresses: SiteAddresses,
    current_sha256: str,
    files_sha256: str,
    choices: Mapping[str, object],
    index_read: list[int] | None = None,
) -> None:
    """Store in the cache what this build covered, for `find_changes` in the next one."""
    (last,) = db.execute("SELECT coalesce(max(rowid), 0) FROM records").fetchone()
    cache.set_fact("boot id", _boot_id())
    cache.set_fact("generator", _generator_digest(addresses))
    cache.set_fact("files", files_sha256)
    cache.set_fact("current", current_sha256)
    cache.set_fact("environments", [environment.id for environment in environments])
    cache.set_fact("records", last)
    cache.set_fact("choices", choices)
    cache.set_fact("index files", index_read)
    cache.set_fact("probes", _probes(db, last))
    cache.set_fact("announcements", announcement_digests(db))
    cache.set_fact("queued", queued_cells(db))
    source = newest_source(db)
    cache.set_fact("downloads", source and asdict(source))


def _current_digest(folder: OutputFolder) -> str | None:
    # None where the digest file does not agree.
    digest = sha256_hex(folder.read(CURRENT) or b"")
    return digest if folder.read(DIGEST) == digest_line(digest) else None


def _probes(db: Database, last: int) -> list[list[object]]:
    rows = sorted({last * n // PROBES for n in range(1, PROBES + 1)})
    marks = ", ".join("?" * len(rows))
    found = db.execute(f"SELECT rowid, record FROM records WHERE rowid IN ({marks}) ORDER BY rowid", rows)  # noqa: S608 - marks
    return [list(row) for row in found]


def _files_are_intact(cache: BuildCache, folder: OutputFolder) -> bool:
    # Each build checks the next few lists and their files, so that in the end every file has been checked.
    lists = cache.lists()
    next_list = cache.fact("next list to check")
    start = (next_list if isinstance(next_list, int) else 0) % max(1, len(lists))
    remaining = FILES_CHECKED
    for number, entry in enumerate([*lists[start:], *lists[:start]], start + 1):
        if remaining <= 0:
            break
        cache.set_fact("next list to check", number)
        files = files_in_list(cache, entry.path)
        remaining -= len(files)
        if not folder.matches(entry) or not all(folder.matches(file) for file in files):
            return False
    return True


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return None


@functools.cache
def _generator_digest(addresses: SiteAddresses) -> str:
    # Of everything but the ledger that pages depend on: our code and templates, Python, the libraries that render.
    libraries = (version(name) for name in ("jinja2", "markdown", "markupsafe"))
    versions = (sys.version, zlib.ZLIB_RUNTIME_VERSION, *libraries)
    digest = hashlib.sha256("\n".join((repr(addresses), *versions, "")).encode())
    for path in _sources():
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for folder in (Path(ppp.__file__).parent, resource("site"), resource("docs")):
        yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
