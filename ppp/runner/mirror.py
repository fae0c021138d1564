"""Fill the mirror: copies of the files that indexes list, by their sha256, so that these work without the upstream.

A copy is fetched into the cache, where a partial file survives and is continued, and gets its place below the web root
once its size and its sha256 are right. Beside a wheel stands its METADATA, byte for byte, if it has the hash that the
index gave: clients believe what stands there. A copy that is given up is removed only after a build whose pages do not
name it, so that no page ever points at a file that is not there.
"""

import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.bounded_http.session import BoundedSession
from ppp.check.wheel_contents import read_headers
from ppp.config import Config
from ppp.durability import sync_to_disk
from ppp.index_files.store import IndexFiles, read_index_files
from ppp.ledger import published
from ppp.model.canonical import sha256_hex
from ppp.model.errors import LockedFileError
from ppp.model.site_bound import SiteBound
from ppp.project_env.cache import WheelCache
from ppp.project_env.download import LIMITS, WheelFetcher
from ppp.project_env.locked import LockedWheel
from ppp.publish import text
from ppp.publish.builder.mirrored import mirrored_files
from ppp.publish.page_budget import Room
from ppp.publish.verified_index.listing import VerifiedFile, VerifiedPackage
from ppp.publish.verified_index.mirror_choice import (
    MirrorCandidate,
    MirrorChoice,
    choose_mirrored,
    mirror_candidates,
)
from ppp.publish.verified_index.pages import METADATA_SUFFIX, mirror_path
from ppp.publish.verified_index.read import read_verified
from ppp.runner.context import OpenLedger
from ppp.storage_errors import translate_storage_errors

#: Where copies arrive, below the cache.
ARRIVALS: Final = "mirror"
#: The share of a site's bound that its mirror may take: a quarter, as snapshots.
_SHARE: Final = 4
_NO_BOUND: Final = 10**9
_WORKERS: Final = 4
_CHUNK: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorReport:
    """What filling a mirror resulted in.

    `copies` are the files that pages may name, as pairs of sha256 and name, and `bytes` what they take. `dropped` are
    listed files for which there is no room, `failures` say of others why they are not here, and `without_metadata`
    counts wheels whose METADATA is not what the index says.
    """

    copies: frozenset[tuple[str, str]]
    bytes: int
    max_bytes: int
    fetched: int
    dropped: Sequence[MirrorCandidate] = ()
    failures: Sequence[str] = ()
    without_metadata: int = 0


def mirror_room(max_bytes: int, bound: SiteBound | None) -> Room:
    """Return how much the mirror may take: so many bytes, and of a site with a bound at most a quarter."""
    if bound is None:
        return Room(max_bytes, _NO_BOUND)
    return Room(min(max_bytes, bound.max_bytes // _SHARE), bound.max_files // _SHARE)


def fill_mirror(ledger: OpenLedger) -> MirrorReport:
    """Fetch the copies that are missing, as many as there is room for, and return what is there now.

    Nothing is removed. A file that cannot be fetched is told, and the others are fetched. Raise `DiskFullError` or
    `DataReadOnlyError`; what has arrived is kept.
    """
    config, db = ledger.context.config, ledger.store.db
    room = mirror_room(config.mirror_bytes, config.site_bound)
    with read_index_files(config.data) as index_files:
        choice = choose_mirrored(mirror_candidates(_listed(db, index_files)), room)
    files = [candidate.file for candidate in choice.kept]
    missing = [candidate for candidate in choice.kept if not _is_complete(config.public, candidate.file)]
    if missing:
        size = text.size(sum(candidate.file.size for candidate in missing))
        ledger.context.reporter.note(f"copying {_files(len(missing))} into the mirror, {size}")
    with translate_storage_errors(config.public):
        _forget_arrivals(config.cache / ARRIVALS, {candidate.file.sha256 for candidate in missing})
        failures = _fetch_all(config, missing)
        without_metadata = sum(not _write_metadata(config.public, file) for file in files)
    return _report(config, choice, room, failures, without_metadata, fetched=len(missing) - len(failures))


def _listed(db: Database, index_files: IndexFiles) -> Iterator[VerifiedPackage]:
    packages = published.list_packages(db)
    for start in range(0, len(packages), _CHUNK):
        yield from read_verified(db, index_files, packages[start : start + _CHUNK])


def _report(
    config: Config,
    choice: MirrorChoice,
    room: Room,
    failures: Sequence[str],
    without_metadata: int,
    *,
    fetched: int,
) -> MirrorReport:
    copied = [candidate.file for candidate in choice.kept if _is_complete(config.public, candidate.file)]
    return MirrorReport(
        copies=frozenset((file.sha256, file.filename) for file in copied),
        bytes=sum(file.size for file in copied),
        max_bytes=room.bytes,
        fetched=fetched,
        dropped=choice.dropped,
        failures=failures,
        without_metadata=without_metadata,
    )


def _forget_arrivals(arrivals: Path, wanted: set[str]) -> None:
    """Remove what has arrived of files that are wanted no more: it would count nowhere."""
    for folder in arrivals.glob("??/*"):
        if folder.name not in wanted:
            shutil.rmtree(folder)


def _path(public: Path, file: VerifiedFile) -> Path:
    return public / mirror_path(file.sha256, file.filename)


def _is_complete(public: Path, file: VerifiedFile) -> bool:
    # Its hash was checked before it got its name; `ppp verify` checks it again.
    path = _path(public, file)
    return path.is_file() and path.stat().st_size == file.size


def _fetch_all(config: Config, candidates: Sequence[MirrorCandidate]) -> list[str]:
    """Fetch files into their places; return why some could not be."""
    failures: list[str] = []
    credentials = config.index_credentials
    with BoundedSession(config.user_agent, limits=LIMITS, credentials=credentials) as session:
        fetcher = WheelFetcher(session, WheelCache(config.cache / ARRIVALS), _NoProgress())

        def fetch(candidate: MirrorCandidate) -> str | None:
            try:
                _place(fetcher.fetch(_wanted(candidate)), _path(config.public, candidate.file))
            except LockedFileError as error:
                return error.message
            return None

        with ThreadPoolExecutor(_WORKERS) as pool:
            try:
                failures += [failure for failure in pool.map(fetch, candidates) if failure]
            except BaseException:
                # Downloads end at their next bytes, and what has arrived of them is kept.
                fetcher.stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    return failures


def _wanted(candidate: MirrorCandidate) -> LockedWheel:
    file = candidate.file
    return LockedWheel(
        name=candidate.project,
        version=file.version,
        filename=file.filename,
        url=file.url,
        sha256=file.sha256,
        size=file.size,
    )


def _place(arrived: Path, target: Path) -> None:
    """Move a verified file to its place: there it is whole, or it is not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        arrived.replace(target)
    except OSError:
        # The web root may be on another file system.
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(arrived, part)
        sync_to_disk(part)
        part.replace(target)
        arrived.unlink()
    with suppress(OSError):  # not empty: another file of this hash arrives
        arrived.parent.rmdir()


def _write_metadata(public: Path, file: VerifiedFile) -> bool:
    """Write a wheel's METADATA beside its copy; return False if it is not what the index says, and write nothing then.

    Whoever reads the index may have been told a hash of something else: it is not offered from here.
    """
    path = _path(public, file)
    target = path.with_name(path.name + METADATA_SUFFIX)
    if file.metadata_sha256 is None or not path.is_file() or target.exists():
        return True
    headers = read_headers(path)
    if headers is None or headers.metadata is None or sha256_hex(headers.metadata) != file.metadata_sha256:
        return False
    part = target.with_name(f".{target.name}.part")
    part.write_bytes(headers.metadata)
    part.replace(target)
    return True


def evict(public: Path, copies: frozenset[tuple[str, str]]) -> int:
    """Remove all copies but these, given as pairs of sha256 and name; return how many files were removed.

    Call it after a build that was told the same: pages of an earlier one may name what is removed.
    """
    removed = 0
    with translate_storage_errors(public):
        for sha256, name in sorted(mirrored_files(public)):
            if (sha256, name.removesuffix(METADATA_SUFFIX)) in copies:
                continue
            path = public / mirror_path(sha256, name)
            path.unlink(missing_ok=True)
            removed += 1
            for folder in (path.parent, path.parent.parent):
                with suppress(OSError):  # not empty
                    folder.rmdir()
    return removed


def describe(report: MirrorReport) -> list[str]:
    """Return lines that say what is mirrored, and what is not."""
    taken = f"{text.size(report.bytes)} of {text.size(report.max_bytes)}"
    lines = [f"the mirror has {_files(len(report.copies))}, {taken}; {text.grouped(report.fetched)} came now"]
    if report.dropped:
        size = text.size(sum(candidate.file.size for candidate in report.dropped))
        first = report.dropped[0]
        lines.append(
            f"{_files(len(report.dropped))} that indexes list, {size}, stay at their upstream address for"
            f" want of room: the first of them is {first.file.filename}; PPP_MIRROR_BYTES makes more room"
        )
    if report.without_metadata:
        wheels = _files(report.without_metadata)
        lines.append(f"{wheels} of the mirror have no METADATA beside: the index gave another hash for it")
    return lines


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{text.grouped(count)} files"


class _NoProgress:
    """Nobody is told how downloads proceed."""

    def begin(self, wheels: Sequence[LockedWheel]) -> None:
        """Do nothing."""

    def start(self, wheel: LockedWheel, offset: int) -> None:
        """Do nothing."""

    def advance(self, wheel: LockedWheel, count: int) -> None:
        """Do nothing."""

    def finish(self, wheel: LockedWheel) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""
