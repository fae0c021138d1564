"""The journal of the index in the ledger: how far it was read, what it named, and what became of that.

Everything that a page brings is written in one transaction together with how far the journal is read now, so that a
kill at any moment loses nothing and does nothing twice. Addresses are stored by their sha256.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlite_utils import Database

from ppp.model.release import Release

#: How many serials before the last one are read again: they are not given in the order of time.
MARGIN: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a journal is read: everything from `first_serial` to `serial`; times are in epoch seconds.

    `target` is where an interval ends that is read project by project, while some are left to read.
    """

    serial: int
    first_serial: int
    target: int | None
    started_at: int
    read_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedReading:
    """The last reading of a feed: its newest release, the number of releases and the seconds that they span."""

    newest_at: int
    releases: int
    span_s: int
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRelease:
    """A release that a journal named: the serial of its first event, if it has one, and its files in this page."""

    release: Release
    serial: int | None
    announced_at: int
    files: int = 0
    last_file_at: int | None = None
    last_file_serial: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What was read of a journal at once; `events` and `releases` count what was new."""

    first_serial: int
    last_serial: int
    adapter: str
    events: int
    releases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time between two readings of a feed that neither covers, with the number of releases that it may hide."""

    start_at: int
    end_at: int
    estimate: int


def read_cursor(db: Database, source: str) -> Cursor | None:
    """Return how far a journal is read, or None if it was never read."""
    row = db.execute(
        "SELECT serial, first_serial, target, started_at, read_at FROM journal_cursors WHERE source = ?", (source,)
    ).fetchone()
    if row is None:
        return None
    serial, first_serial, target, started_at, read_at = row
    return Cursor(serial=serial, first_serial=first_serial, target=target, started_at=started_at, read_at=read_at)


def start_cursor(db: Database, source: str, serial: int, *, now: int) -> None:
    """Begin to follow a journal after a serial."""
    # A ledger that was restored from a snapshot holds the states of then: from now on they follow from the queue.
    db.execute("DELETE FROM journal_states")
    db.execute(
        "INSERT INTO journal_cursors (source, serial, first_serial, started_at, read_at) VALUES (?, ?, ?, ?, ?)",
        (source, serial, serial, now, now),
    )


def advance_cursor(db: Database, source: str, serial: int, *, complete_at: int | None) -> None:
    """Move the cursor up to a serial, never back, and forget the margin that is no longer needed.

    `complete_at` is the time up to which the journal is read now; None if it has more.
    """
    db.execute(
        "UPDATE journal_cursors SET serial = max(serial, ?), read_at = coalesce(?, read_at) WHERE source = ?",
        (serial, complete_at, source),
    )
    db.execute(
        "DELETE FROM journal_margin WHERE source = ?1"
        " AND serial < (SELECT serial FROM journal_cursors WHERE source = ?1) - ?2",
        (source, MARGIN),
    )


def read_without_events(db: Database, source: str) -> int:
    """Return the last serial that was read project by project, 0 if none was: of these, no single event is known."""
    row = db.execute(
        "SELECT max(last_serial) FROM journal_intervals WHERE source = ? AND adapter = 'index'", (source,)
    ).fetchone()
    return int(row[0] or 0)


def margin_events(db: Database, source: str) -> set[tuple[int, str]]:
    """Return the events that are known of the serials that are read again."""
    return set(db.execute("SELECT serial, event FROM journal_margin WHERE source = ?", (source,)).fetchall())


def add_margin(db: Database, source: str, events: Iterable[tuple[int, str]]) -> None:
    """Remember events, so that reading them again changes nothing."""
    db.conn.executemany(
        "INSERT OR IGNORE INTO journal_margin (source, serial, event) VALUES (?, ?, ?)",
        ((source, serial, event) for serial, event in events),
    )


def set_todo(db: Database, source: str, projects: Iterable[tuple[str, int]], *, target: int) -> None:
    """Store which projects, each with its serial, are left to read of the interval that ends at `target`."""
    db.conn.executemany(
        "INSERT INTO journal_todo (source, package, serial) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET serial = max(serial, excluded.serial)",
        ((source, package, serial) for package, serial in projects),
    )
    db.execute("UPDATE journal_cursors SET target = ? WHERE source = ?", (target, source))


def read_todo(db: Database, source: str) -> list[tuple[str, int]]:
    """Return the projects that are left to read, each with its serial, in the order of these."""
    rows = db.execute(
        "SELECT package, serial FROM journal_todo WHERE source = ? ORDER BY serial, package", (source,)
    ).fetchall()
    return [(package, serial) for package, serial in rows]


def finish_project(db: Database, source: str, package: str) -> None:
    """Take a project off what is left to read."""
    db.execute("DELETE FROM journal_todo WHERE source = ? AND package = ?", (source, package))


def clear_todo(db: Database, source: str) -> None:
    """Forget what was left to read project by project: another way has read the whole interval, or it is complete."""
    db.execute("DELETE FROM journal_todo WHERE source = ?", (source,))
    db.execute("UPDATE journal_cursors SET target = NULL WHERE source = ?", (source,))


def known_releases(
    db: Database, releases: Collection[Release], projects: Collection[str], *, node: str
) -> dict[Release, tuple[bool, bool]]:
    """Return of releases, and of all that belong to some projects, whether they were named and have a node's result.

    Those of which nothing is known are left out.
    """
    found: dict[Release, tuple[bool, bool]] = {}
    pairs = json.dumps([[r.package, r.version] for r in releases])
    rows: list[tuple[str, str, int, int]] = db.execute(
        "SELECT k.value ->> 0, k.value ->> 1, j.package IS NOT NULL,"
        " EXISTS (SELECT 1 FROM records AS c WHERE c.package = k.value ->> 0 AND c.version = k.value ->> 1"
        "         AND c.node = ?2 AND c.result <> 'ERROR')"
        " FROM json_each(?1) AS k LEFT JOIN journal_releases AS j ON j.package = k.value ->> 0"
        " AND j.version = k.value ->> 1",
        (pairs, node),
    ).fetchall()
    if projects:
        rows += db.execute(
            "SELECT k.package, k.version,"
            " EXISTS (SELECT 1 FROM journal_releases AS j WHERE j.package = k.package AND j.version = k.version),"
            " EXISTS (SELECT 1 FROM records AS c WHERE c.package = k.package AND c.version = k.version"
            "         AND c.node = ?2 AND c.result <> 'ERROR')"
            " FROM (SELECT package, version FROM journal_releases WHERE package IN (SELECT value FROM json_each(?1))"
            "       UNION"
            "       SELECT package, version FROM records WHERE package IN (SELECT value FROM json_each(?1))) AS k",
            (json.dumps([*projects]), node),
        ).fetchall()
    for package, version, named, has_result in rows:
        if named or has_result:
            found[Release(package=package, version=version)] = (bool(named), bool(has_result))
    return found


def add_releases(db: Database, named: Iterable[NamedRelease]) -> None:
    """Add releases that a page named, or what it adds to those that were named before."""
    db.conn.executemany(
        "INSERT INTO journal_releases (package, version, serial, announced_at, files, last_file_at, last_file_serial)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " serial = coalesce(min(serial, excluded.serial), serial, excluded.serial),"
        " announced_at = min(announced_at, excluded.announced_at), files = files + excluded.files,"
        " last_file_at = coalesce(max(last_file_at, excluded.last_file_at), last_file_at, excluded.last_file_at),"
        " last_file_serial = coalesce(max(last_file_serial, excluded.last_file_serial), last_file_serial,"
        "                             excluded.last_file_serial)",
        (
            (
                n.release.package,
                n.release.version,
                n.serial,
                n.announced_at,
                n.files,
                n.last_file_at,
                n.last_file_serial,
            )
            for n in named
        ),
    )


def announced_at(db: Database, release: Release) -> int | None:
    """Return when a release was announced, in epoch seconds; None if no journal that is followed here named it."""
    return announcements(db, [(release.package, release.version)]).get((release.package, release.version))


def announcements(db: Database, releases: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return when releases, each a package and a version, were announced, in epoch seconds; without unnamed ones."""
    rows = db.execute(
        "SELECT j.package, j.version, j.announced_at FROM json_each(?) AS k CROSS JOIN journal_releases AS j"
        " ON j.package = k.value ->> 0 AND j.version = k.value ->> 1",
        (json.dumps([[package, version] for package, version in releases]),),
    ).fetchall()
    return {(package, version): at for package, version, at in rows}


def last_event(db: Database, package: str, version: str, actions: Iterable[str]) -> tuple[str, int, int] | None:
    """Return the last of some actions on a release, or on a project (`version` is `""`): action, serial and time."""
    row = db.execute(
        "SELECT action, serial, at FROM journal_events WHERE package = ? AND version = ?"
        " AND action IN (SELECT value FROM json_each(?)) ORDER BY serial DESC, at DESC LIMIT 1",
        (package, version, json.dumps(sorted(actions))),
    ).fetchone()
    return row and (row[0], row[1], row[2])


def with_events(db: Database, packages: Iterable[str], actions: Iterable[str]) -> set[tuple[str, str]]:
    """Return the releases of some packages with one of some actions; a project as a whole has the version `""`."""
    rows = db.execute(
        "SELECT DISTINCT e.package, e.version FROM json_each(?) AS p CROSS JOIN journal_events AS e"
        " ON e.package = p.value WHERE e.action IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(packages)), json.dumps(sorted(actions))),
    ).fetchall()
    return {(package, version) for package, version in rows}


def last_files(db: Database, releases: Collection[Release]) -> dict[Release, int]:
    """Return the time of the last file that is known of each release that was named."""
    rows = db.execute(
        "SELECT j.package, j.version, coalesce(j.last_file_at, 0)"
        " FROM json_each(?) AS k CROSS JOIN journal_releases AS j"
        " WHERE j.package = k.value ->> 0 AND j.version = k.value ->> 1",
        (json.dumps([[r.package, r.version] for r in releases]),),
    ).fetchall()
    return {Release(package=p, version=v): at for p, v, at in rows}


def last_actions(db: Database, source: str, package: str) -> dict[str, str]:
    """Return the last action that is stored of each version of a package, `""` for the project as a whole."""
    rows = db.execute(
        "SELECT version, action, max(serial) FROM journal_events WHERE source = ? AND package = ? GROUP BY version",
        (source, package),
    ).fetchall()
    return {version: action for version, action, _ in rows}


def add_events(db: Database, source: str, events: Iterable[tuple[int, str, str, str, int]]) -> None:
    """Add events: serial, package, version, action and time; one that is there already changes nothing."""
    db.conn.executemany(
        "INSERT OR IGNORE INTO journal_events (source, serial, package, version, action, at) VALUES (?, ?, ?, ?, ?, ?)",
        ((source, *event) for event in events),
    )


def add_interval(db: Database, source: str, interval: Interval, *, now: int) -> None:
    """Add an interval that was read; one that continues the last one of the same adapter and reading extends it."""
    extended = db.execute(
        "UPDATE journal_intervals SET last_serial = ?, events = events + ?, releases = releases + ?"
        " WHERE source = ? AND adapter = ? AND read_at = ? AND last_serial = ?",
        (
            interval.last_serial,
            interval.events,
            interval.releases,
            source,
            interval.adapter,
            now,
            interval.first_serial - 1,
        ),
    )
    if not extended.rowcount:
        db.execute(
            "INSERT INTO journal_intervals (source, first_serial, last_serial, adapter, events, releases, read_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                source,
                interval.first_serial,
                interval.last_serial,
                interval.adapter,
                interval.events,
                interval.releases,
                now,
            ),
        )


def add_rejects(db: Database, source: str, rejected: Iterable[tuple[int, str]], *, now: int) -> None:
    """Add entries that name no valid release: a serial (0 if it has none) and the reason, which quotes the entry."""
    db.conn.executemany(
        "INSERT OR IGNORE INTO journal_rejects (source, serial, entry, reason, at) VALUES (?, ?, ?, 'invalid-name', ?)",
        ((source, serial, reason, now) for serial, reason in rejected),
    )


def add_anomaly(db: Database, source: str, kind: str, detail: str, *, now: int) -> None:
    """Add something that no journal should do."""
    db.execute("INSERT OR IGNORE INTO journal_anomalies VALUES (?, ?, ?, ?)", (source, kind, detail, now))


def last_feed_reading(db: Database, source: str) -> FeedReading | None:
    """Return the last reading of a feed, or None."""
    row = db.execute(
        "SELECT newest_at, releases, span_s, etag, last_modified FROM journal_feeds WHERE source = ?", (source,)
    ).fetchone()
    return row and FeedReading(newest_at=row[0], releases=row[1], span_s=row[2], etag=row[3], last_modified=row[4])


def save_feed_reading(db: Database, source: str, reading: FeedReading, *, now: int) -> None:
    """Store the last reading of a feed."""
    db.execute(
        "INSERT OR REPLACE INTO journal_feeds (source, newest_at, releases, span_s, etag, last_modified, read_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (source, reading.newest_at, reading.releases, reading.span_s, reading.etag, reading.last_modified, now),
    )


def add_gap(db: Database, source: str, gap: Gap, *, now: int) -> None:
    """Add a time that no reading of a feed covers."""
    db.execute(
        "INSERT OR IGNORE INTO journal_gaps (source, start_at, end_at, estimate, found_at) VALUES (?, ?, ?, ?, ?)",
        (source, gap.start_at, gap.end_at, gap.estimate, now),
    )


def fill_gaps(db: Database, *, since: int, now: int) -> int:
    """Mark the gaps that began after `since` as filled: a journal with serials has covered that time."""
    return db.execute(
        "UPDATE journal_gaps SET filled_at = ? WHERE filled_at IS NULL AND start_at >= ?", (now, since)
    ).rowcount


def withdraw(db: Database, withdrawn: Mapping[Release, str], *, now: int) -> None:
    """Take releases that are gone out of the queue, and store that as the reason why they are not tested."""
    keys: Sequence[tuple[str, str]] = [(r.package, r.version) for r in withdrawn]
    db.conn.executemany("DELETE FROM queue WHERE package = ? AND version = ? AND lease IS NULL", keys)
    db.conn.executemany(
        "INSERT OR REPLACE INTO skips (package, version, environment, reason, detail, skipped_at)"
        " VALUES (?, ?, '', 'withdrawn', ?, ?)",
        ((r.package, r.version, action, now) for r, action in withdrawn.items()),
    )


def unskip(db: Database, releases: Iterable[Release]) -> None:
    """Remove the reason why releases were not tested: they are queued again."""
    db.conn.executemany(
        "DELETE FROM skips WHERE package = ? AND version = ? AND reason IN ('withdrawn', 'expired')",
        ((r.package, r.version) for r in releases),
    )
