"""Take snapshots: a database for each day, one for each closed month, and a window of recent days without logs.

All databases of a run are from one state of the ledger. All files are written and synced to disk before any of them is
replaced, each by an atomic rename. The archive of a closed month is never written again.
"""

import gzip
import re
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from ppp.durability import sync_to_disk
from ppp.model.canonical import Json
from ppp.model.errors import PublishError, SnapshotRoomError
from ppp.publish.snapshots.database import RecordSelection, describe, extract, utc_day
from ppp.publish.snapshots.description import (
    LATEST_NAME,
    SNAPSHOTS_FOLDER,
    WINDOW_NAME,
    CompressedFile,
    Snapshot,
    SnapshotKind,
    description_bytes,
    description_of,
    digest_lines,
    file_sha256,
    file_size,
)
from ppp.publish.snapshots.retention import RetentionPolicy, days_that_fit, folder_bytes, remove_expired
from ppp.storage_errors import translate_storage_errors

#: How long after its end a month is closed, so that records of its last days can still arrive from other nodes.
CLOSING_S: Final = 3 * 86_400

_MONTH_NAME: Final = re.compile(r"ppp-\d{4}-\d{2}\.db", re.ASCII)
_TEMPORARY_NAME: Final = re.compile(r"\.(ppp-[\d-]+|latest|window)(\.[a-z0-9]+)+(-journal)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSnapshots:
    """The files of a run, by path in the public folder, and notes for the operator."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]
    latest: Snapshot


def take(ledger: Path, out: Path, policy: RetentionPolicy) -> TakenSnapshots:
    """Write the snapshots of a ledger into a public folder, and remove those that the policy does not keep.

    Raises `PublishError` (no records, or a path is obstructed), `DiskFullError`, `DataReadOnlyError`, `LedgerBusyError`
    or `LedgerDamagedError`; existing snapshots stay intact then.
    """
    folder = out / SNAPSHOTS_FOLDER
    with translate_storage_errors(folder):
        _prepare_folder(folder, out)
        run = _SnapshotRun(folder)
        try:
            return run.execute(ledger, policy)
        finally:
            _remove_temporary_files(folder)


class _SnapshotRun:
    """One run: the files that are ready to be moved into place, and the outcome."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: list[tuple[Path, Path]] = []
        self._notes: list[str] = []
        self._written: list[str] = []
        self._unchanged: list[str] = []

    def execute(self, ledger: Path, policy: RetentionPolicy) -> TakenSnapshots:
        whole = _temporary_path(self._folder / "ppp-0.db")
        extract(ledger, whole, RecordSelection())
        as_of = _rows(whole, "SELECT max(observed_at) FROM records")[0][0]
        if as_of is None:
            raise PublishError(f"{ledger} has no records to take a snapshot of", hint="run `ppp run` first")
        latest = describe(whole, kind=SnapshotKind.DAY, file=f"ppp-{utc_day(as_of)}.db", logs=True)
        self._check_room(latest, policy)
        # The others are extracted from this copy, so that all are from one state; it is moved last.
        months = [self._month(whole, month) for month in _closed_months(whole, as_of)]
        window = self._window(whole, policy.window_bytes)
        for snapshot in (*(month for month in months if month), window):
            self._stage_snapshot(_temporary_path(self._folder / snapshot.file), snapshot)
        self._stage_snapshot(whole, latest)
        self._stage_latest(latest, whole)
        self._replace_changed()
        removed = remove_expired(self._folder, policy, self._notes)
        return TakenSnapshots(
            written=tuple(self._written),
            unchanged=tuple(self._unchanged),
            removed=removed,
            notes=tuple(self._notes),
            latest=latest,
        )

    def _check_room(self, latest: Snapshot, policy: RetentionPolicy) -> None:
        """Raise `SnapshotRoomError` if the archives of months leave no room for the newest snapshot.

        It counts twice, as it is also `latest`. The window counts at most its own limit, and is not known yet.
        """
        if policy.max_bytes is None:
            return
        months = folder_bytes(self._folder, without=lambda name: _MONTH_NAME.fullmatch(name) is None)
        if (needed := months + 2 * latest.bytes) > policy.max_bytes:
            raise SnapshotRoomError(
                f"the snapshot of {latest.last_day} has no room in the site: {latest.file} takes {latest.bytes:,}"
                f" bytes, twice as it is also {LATEST_NAME}.db, and archives of months take {months:,}; that is"
                f" {needed:,} of {policy.max_bytes:,}, a quarter of the site's bound",
                hint="copy the ledger elsewhere with `ppp backup`, move archives of months elsewhere, or raise"
                " PPP_SITE_MAX_MIB where the host allows it; no snapshot was written",
            )

    def _month(self, whole: Path, month: str) -> Snapshot | None:
        file = f"ppp-{month}.db"
        first, end = _month_bounds(month)
        # A month is closed once it has a description, even if its database was moved elsewhere since.
        if (closed := description_of(self._folder, file)) is not None:
            count = _count(whole, "SELECT count(*) FROM records WHERE observed_at >= ? AND observed_at < ?", first, end)
            if late := count - closed.rows["records"]:
                self._notes.append(
                    f"{late} records of {month} arrived after its archive was closed; the daily snapshots contain them"
                )
            return None
        part = _temporary_path(self._folder / file)
        extract(whole, part, RecordSelection(start=first, end=end))
        return describe(part, kind=SnapshotKind.MONTH, file=file, logs=True)

    def _window(self, whole: Path, bound: int) -> Snapshot:
        file = f"{WINDOW_NAME}.db"
        part, trial = _temporary_path(self._folder / file), _temporary_path(self._folder / f"{WINDOW_NAME}.trial")
        days = _rows_by_day(whole)

        def window_size(count: int) -> int:
            extract(whole, trial, RecordSelection(start=_day_start(days[count - 1][0]), logs=False))
            if (size := trial.stat().st_size) <= bound:
                trial.replace(part)
            return size

        if not days_that_fit([rows for _, rows in days], window_size, bound):
            extract(whole, part, RecordSelection(end=0, logs=False))
            self._notes.append(f"the window is empty, because {days[0][0]} alone exceeds the limit of {bound} bytes")
        snapshot = describe(part, kind=SnapshotKind.WINDOW, file=file, logs=False)
        zipped = _temporary_path(self._folder / f"{file}.gz")
        _compress(part, zipped)
        return replace(
            snapshot,
            gzip=CompressedFile(
                file=f"{file}.gz",
                bytes=zipped.stat().st_size,
                sha256=file_sha256(zipped),
                zlib=zlib.ZLIB_RUNTIME_VERSION,
            ),
        )

    def _stage_snapshot(self, part: Path, snapshot: Snapshot) -> None:
        """Stage a snapshot and its digests, then its description, which must be replaced last."""
        target = self._folder / snapshot.file
        digests = [(snapshot.sha256, snapshot.file)]
        self._stage(part, target)
        if snapshot.gzip is not None:
            self._stage(_temporary_path(self._folder / snapshot.gzip.file), self._folder / snapshot.gzip.file)
            digests.append((snapshot.gzip.sha256, snapshot.gzip.file))
        self._stage_text(f"{snapshot.file}.sha256", digest_lines(digests))
        self._stage_text(target.with_suffix(".json").name, description_bytes(snapshot))

    def _stage_latest(self, latest: Snapshot, whole: Path) -> None:
        target = self._folder / f"{LATEST_NAME}.db"
        part = _temporary_path(target)
        # A hard link, so that the content is stored only once.
        try:
            part.hardlink_to(whole)
        except OSError:
            shutil.copyfile(whole, part)
        self._stage(part, target)
        self._stage_text(f"{target.name}.sha256", digest_lines([(latest.sha256, target.name)]))
        self._stage_text(f"{LATEST_NAME}.json", description_bytes(latest))

    def _stage_text(self, name: str, content: bytes) -> None:
        target = self._folder / name
        _temporary_path(target).write_bytes(content)
        self._stage(_temporary_path(target), target)

    def _stage(self, part: Path, target: Path) -> None:
        if target.is_dir() and not target.is_symlink():
            raise PublishError(
                f"the folder {target} is in the way", hint="move it elsewhere, then take the snapshot again"
            )
        sync_to_disk(part)
        self._ready.append((part, target))

    def _replace_changed(self) -> None:
        changed = []
        for part, target in self._ready:
            if _same_content(part, target):
                part.unlink()
                self._unchanged.append(f"{SNAPSHOTS_FOLDER}/{target.name}")
            else:
                changed.append((part, target))
        for _, target in changed:
            # Remove the descriptions of files that are about to change: no description is better than a wrong one.
            if target.suffix == ".db" and target.stem != LATEST_NAME:
                target.with_suffix(".json").unlink(missing_ok=True)
        for part, target in changed:
            part.replace(target)
            self._written.append(f"{SNAPSHOTS_FOLDER}/{target.name}")
        sync_to_disk(self._folder)


def _prepare_folder(folder: Path, out: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise PublishError(f"{folder} leads out of {out}", hint="remove the link, then take the snapshot again")
    _remove_temporary_files(folder)


def _remove_temporary_files(folder: Path) -> None:
    for path in folder.iterdir():
        if _TEMPORARY_NAME.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def _temporary_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _same_content(part: Path, target: Path) -> bool:
    if file_size(target) != part.stat().st_size:
        return False
    return part.samefile(target) or file_sha256(part) == file_sha256(target)


def _compress(source: Path, target: Path) -> None:
    # Without name and time in the header, so that the same input gives the same bytes.
    with (
        source.open("rb") as whole,
        target.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as zipped,
    ):
        shutil.copyfileobj(whole, zipped, 1 << 20)


def _rows(database: Path, sql: str, *values: object) -> list[tuple[Json, ...]]:
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def _count(database: Path, sql: str, *values: object) -> int:
    return int(_rows(database, sql, *values)[0][0])


def _rows_by_day(database: Path) -> list[tuple[str, int]]:
    """Return each UTC day with records and their number, newest first."""
    return _rows(
        database,
        "SELECT date(observed_at, 'unixepoch') AS day, count(*) FROM records GROUP BY day ORDER BY day DESC",
    )


def _closed_months(database: Path, as_of: int) -> Iterator[str]:
    rows = _rows(database, "SELECT DISTINCT strftime('%Y-%m', observed_at, 'unixepoch') FROM records ORDER BY 1")
    return (month for (month,) in rows if _month_bounds(month)[1] + CLOSING_S <= as_of)


def _month_bounds(month: str) -> tuple[int, int]:
    first = date.fromisoformat(f"{month}-01")
    return _day_start(first.isoformat()), _day_start((first + timedelta(days=31)).replace(day=1).isoformat())


def _day_start(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp())
