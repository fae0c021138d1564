"""The folder `snapshots/`: a database for each day, closed months, a window without logs, and what is kept of them.

All databases of one taking are of one moment. Each file lies ready, whole and on the disk, before any of them changes;
then each takes its place in one step. A closed month is never written again. Only what a file beside it vouches for
is ever removed.
"""

import gzip
import json
import os
import re
import shutil
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Final

from ppp.model.errors import PublishError
from ppp.model.record import Json
from ppp.publish.snapshots.database import (
    CompressedFile,
    RecordSelection,
    Snapshot,
    SnapshotKind,
    describe,
    extract,
    file_sha256,
    utc_day,
)
from ppp.schemas import schema_errors
from ppp.storage_errors import translate_storage_errors

SNAPSHOTS_FOLDER: Final = "snapshots"
LATEST_NAME: Final = "latest"
WINDOW_NAME: Final = "window"
#: How long after its end a month is closed: what other nodes saw in its last days has come by then.
CLOSING_S: Final = 3 * 86_400
#: What a row of the window takes before one was weighed, in bytes.
_ROW_BYTES: Final = 600
#: No description of ours is larger, in bytes.
MAX_DESCRIPTION_BYTES: Final = 64 * 1024

_SCHEMA: Final = "site/schemas/snapshot.schema.json"
_DAY_NAME: Final = re.compile(r"ppp-(\d{4}-\d{2}-\d{2})\.db", re.ASCII)
_TEMPORARY_NAME: Final = re.compile(r"\.(ppp-[\d-]+|latest|window)(\.[a-z0-9]+)+(-journal)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What is kept: dated snapshots of so many days, then the last of so many weeks; the window's size in bytes."""

    days: int
    weeks: int
    window_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSnapshots:
    """What a taking did, by path in the public folder, and what a person should know of it."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]
    notes: tuple[str, ...]
    latest: Snapshot


def take(ledger: Path, out: Path, policy: RetentionPolicy) -> TakenSnapshots:
    """Write the snapshots of a ledger into a public folder, and remove those that the policy keeps no longer.

    Raises `PublishError` (nothing to write, or something in the way), `DiskFullError`, `DataReadOnlyError`,
    `LedgerBusyError` or `LedgerDamagedError`; what was there is whole then.
    """
    folder = out / SNAPSHOTS_FOLDER
    with translate_storage_errors(folder):
        _prepare_folder(folder, out)
        taking = _SnapshotRun(folder)
        try:
            return taking.run(ledger, policy)
        finally:
            _remove_temporary_files(folder)


class _SnapshotRun:
    """One taking: what lies ready, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready: list[tuple[Path, Path]] = []
        self._notes: list[str] = []
        self._written: list[str] = []
        self._unchanged: list[str] = []

    def run(self, ledger: Path, policy: RetentionPolicy) -> TakenSnapshots:
        whole = _temporary_path(self._folder / "ppp-0.db")
        extract(ledger, whole, RecordSelection())
        as_of = _rows(whole, "SELECT max(observed_at) FROM records")[0][0]
        if as_of is None:
            raise PublishError(f"{ledger} holds no record to take a snapshot of", hint="run `ppp run` first")
        latest = describe(whole, kind=SnapshotKind.DAY, file=f"ppp-{utc_day(as_of)}.db", logs=True)
        # The others are taken from this copy, so that all are of one moment. It is moved last: they need it.
        months = [self._month(whole, month) for month in _closed_months(whole, as_of)]
        window = self._window(whole, policy.window_bytes)
        for snapshot in (*(month for month in months if month), window):
            self._stage_snapshot(_temporary_path(self._folder / snapshot.file), snapshot)
        self._stage_snapshot(whole, latest)
        self._stage_latest(latest, whole)
        self._replace_changed()
        removed = _prune(self._folder, policy, self._notes)
        return TakenSnapshots(
            written=tuple(self._written),
            unchanged=tuple(self._unchanged),
            removed=removed,
            notes=tuple(self._notes),
            latest=latest,
        )

    def _month(self, whole: Path, month: str) -> Snapshot | None:
        file = f"ppp-{month}.db"
        first, end = _month_bounds(month)
        # Its description is what closes a month, wherever its database was taken since.
        if (beside := description_of(self._folder, file)) is not None:
            held = _count(whole, "SELECT count(*) FROM records WHERE observed_at >= ? AND observed_at < ?", first, end)
            if late := held - beside.rows["records"]:
                self._notes.append(
                    f"{late} records of {month} came after its archive was closed: the daily snapshots hold them"
                )
            return None
        part = _temporary_path(self._folder / file)
        extract(whole, part, RecordSelection(start=first, end=end))
        return describe(part, kind=SnapshotKind.MONTH, file=file, logs=True)

    def _window(self, whole: Path, bound: int) -> Snapshot:
        file = f"{WINDOW_NAME}.db"
        part, trial = _temporary_path(self._folder / file), _temporary_path(self._folder / f"{WINDOW_NAME}.trial")
        days = _rows_by_day(whole)

        def weigh(count: int) -> int:
            extract(whole, trial, RecordSelection(start=_day_start(days[count - 1][0]), logs=False))
            if (size := trial.stat().st_size) <= bound:
                trial.replace(part)
            return size

        if not days_that_fit([rows for _, rows in days], weigh, bound):
            extract(whole, part, RecordSelection(end=0, logs=False))
            self._notes.append(f"the window is empty: {days[0][0]} alone takes more than its {bound} bytes")
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
        """Lay a snapshot ready with its digest and its description, the description last: it vouches for the others."""
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
        # One file under two names: a web server serves both, and the disk holds it once.
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
            raise PublishError(f"the folder {target} is in the way", hint="move it away, and take the snapshot again")
        _sync(part)
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
            # What is about to change is vouched for by nothing, rather than by the wrong words.
            if target.suffix == ".db" and target.stem != LATEST_NAME:
                target.with_suffix(".json").unlink(missing_ok=True)
        for part, target in changed:
            part.replace(target)
            self._written.append(f"{SNAPSHOTS_FOLDER}/{target.name}")
        _sync(self._folder)


def days_that_fit(rows: Sequence[int], size_of: Callable[[int], int], bound: int) -> int:
    """Give how many of the newest days fit within a bound; `rows` counts theirs, newest first.

    `size_of` weighs so many days, in bytes; it is asked few times, as a guess by rows comes close.
    """
    totals = [0, *accumulate(rows)]
    fitting, too_many = 0, len(rows) + 1
    row_bytes = float(_ROW_BYTES)
    for attempt in range(len(rows) + 1):
        if too_many - fitting <= 1:
            break
        guess = sum(total * row_bytes <= bound for total in totals) - 1
        if attempt > 4:  # noqa: PLR2004 - a guess that does not close in gives way to halving
            guess = (fitting + too_many) // 2
        count = min(max(guess, fitting + 1), too_many - 1)
        size = size_of(count)
        row_bytes = size / max(totals[count], 1)
        fitting, too_many = (count, too_many) if size <= bound else (fitting, count)
    return fitting


def kept_days(days: Sequence[str], policy: RetentionPolicy) -> set[str]:
    """Give which dated snapshots a policy keeps: the newest days, then the last of each of the newest weeks (ISO)."""
    newest_first = sorted(days, reverse=True)
    kept = set(newest_first[: policy.days])
    last_of_week: dict[tuple[int, int], str] = {}
    for day in newest_first:
        year, week, _ = date.fromisoformat(day).isocalendar()
        last_of_week.setdefault((year, week), day)
    # The newest is `latest`: it stays whatever the policy says.
    return kept | set([*last_of_week.values()][: policy.weeks]) | set(newest_first[:1])


def complete_snapshots(out: Path) -> tuple[Snapshot, ...]:
    """Give the snapshots that lie whole in a public folder, as the descriptions beside them say: newest first.

    A description that is none, or whose database is not there in its size, is passed over; bytes are not read.
    """
    names = sorted((path.name for path in (out / SNAPSHOTS_FOLDER).glob("*.db")), reverse=True)
    found = [description_of(out / SNAPSHOTS_FOLDER, name) for name in names if name != f"{LATEST_NAME}.db"]
    return tuple(
        snapshot for snapshot in found if snapshot and _size(out / SNAPSHOTS_FOLDER / snapshot.file) == snapshot.bytes
    )


def description_of(folder: Path, file: str) -> Snapshot | None:
    """Give the description that stands beside a snapshot of that name; None where there is none of ours."""
    found = read_description((folder / file).with_suffix(".json"))
    return found if found and found.file == file else None


def read_description(path: Path) -> Snapshot | None:
    """Give the snapshot that a file describes; None where it is no description of ours."""
    try:
        with path.open("rb") as beside:
            data = json.loads(beside.read(MAX_DESCRIPTION_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return None if schema_errors(_SCHEMA, data, limit=1) else Snapshot.from_json(data)


def description_bytes(snapshot: Snapshot) -> bytes:
    """Give a description as it is published: keys sorted, ASCII."""
    return (json.dumps(snapshot.to_json(), indent=1, sort_keys=True) + "\n").encode("ascii")


def digest_lines(digests: Sequence[tuple[str, str]]) -> bytes:
    """Give what `sha256sum -c` reads."""
    return "".join(f"{sha256}  {name}\n" for sha256, name in digests).encode()


def _prune(folder: Path, policy: RetentionPolicy, notes: list[str]) -> tuple[str, ...]:
    days = {match[1]: path for path in folder.glob("ppp-*.db") if (match := _DAY_NAME.fullmatch(path.name))}
    kept = kept_days([*days], policy)
    removed: list[str] = []
    for day, path in sorted(days.items()):
        if day in kept:
            continue
        beside = description_of(folder, path.name)
        if beside is None or _size(path) != beside.bytes or file_sha256(path) != beside.sha256:
            notes.append(f"{path} is left: nothing beside it says that PPP wrote it as it is")
            continue
        # What vouches goes first: a kill in between leaves a file that the next look leaves alone.
        for gone in (path.with_suffix(".json"), path.with_name(f"{path.name}.sha256"), path):
            gone.unlink(missing_ok=True)
            removed.append(f"{SNAPSHOTS_FOLDER}/{gone.name}")
    return tuple(removed)


def _prepare_folder(folder: Path, out: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.resolve().is_relative_to(out.resolve()):
        raise PublishError(f"{folder} leads out of {out}", hint="remove that link and take the snapshot again")
    _remove_temporary_files(folder)


def _remove_temporary_files(folder: Path) -> None:
    for path in folder.iterdir():
        if _TEMPORARY_NAME.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()


def _temporary_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _same_content(part: Path, target: Path) -> bool:
    if _size(target) != part.stat().st_size:
        return False
    return part.samefile(target) or file_sha256(part) == file_sha256(target)


def _size(path: Path) -> int | None:
    """Give a regular file's size in bytes."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _compress(source: Path, target: Path) -> None:
    # Neither name nor time goes in: the same bytes give the same bytes.
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
    """Give each UTC day that has a record with how many, newest first."""
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
