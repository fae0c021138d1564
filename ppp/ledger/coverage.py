"""What became of every release that the index named: numbers that add up, by UTC day and in all.

`named = tested + queued + skipped + lost`. Lost is what is left over, so a fault of this node shows up there. What the
feed's gaps may hide is an estimate and is never added to these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from ppp.ledger.digests import format_day
from ppp.ledger.published_journal import Coverage, DayCoverage, announced_days, day_coverage, total_coverage
from ppp.model.release import Release
from ppp.model.release_files import FILES_TAKEN_FOR_S


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedJournal:
    """How far a journal was read: the serials from `first_serial` (not included) to `serial`, and when that was.

    `unfinished` counts the projects that are left to read of an interval up to `target`.
    """

    first_serial: int
    serial: int
    started_at: int
    read_at: int
    target: int | None
    unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfilledGaps:
    """The times that no reading of the feed covers: how many, how long (in seconds), and how much they may hide."""

    gaps: int
    seconds: int
    estimate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something that no journal should do."""

    kind: str
    detail: str
    found_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageReport:
    """What became of named releases, by UTC day and in all, and what is known of how the journal was read.

    `rejected` counts the entries that named no valid release; `rejects` quotes the last ones, `lost` names releases.
    """

    days: Sequence[DayCoverage]
    total: Coverage
    lost: Sequence[Release]
    journals: Sequence[FollowedJournal]
    gaps: UnfilledGaps
    rejected: int
    rejects: Sequence[str]
    anomalies: Sequence[Anomaly]

    @property
    def is_followed(self) -> bool:
        """Whether a journal was read, or a feed has named releases."""
        return bool(self.journals or self.total.named)


def read_report(db: Database, *, since: int = 0, limit: int) -> CoverageReport:
    """Return what became of the releases that were announced at `since` (epoch seconds) or later.

    At most `limit` lost releases, rejected entries and anomalies are named.
    """
    days = [day_coverage(db, day, format_day(day)) for day in announced_days(db, since=since)]
    rejected, rejects = rejected_entries(db, limit=limit)
    return CoverageReport(
        days=days,
        total=total_coverage(days),
        lost=lost_releases(db, since=since, limit=limit),
        journals=followed_journals(db),
        gaps=unfilled_gaps(db),
        rejected=rejected,
        rejects=rejects,
        anomalies=anomalies(db, limit=limit),
    )


def releases_with_open_files(db: Database, *, since: int = 0, now: int) -> int:
    """Return how many of the releases that were announced at `since` or later may still gain files after `now`."""
    (count,) = db.execute(
        "SELECT count(*) FROM journal_releases WHERE announced_at > ? AND announced_at >= ?",
        (now - FILES_TAKEN_FOR_S, since),
    ).fetchone()
    return int(count)


def lost_releases(db: Database, *, since: int = 0, limit: int) -> list[Release]:
    """Return releases that were announced at `since` or later and of which nothing became, by name."""
    rows = db.execute(
        "SELECT package, version FROM coverage_releases WHERE state = 'lost' AND announced_at >= ?"
        " ORDER BY package, version LIMIT ?",
        (since, limit),
    ).fetchall()
    return [Release(package=package, version=version) for package, version in rows]


def followed_journals(db: Database) -> list[FollowedJournal]:
    """Return how far each journal was read, the one that was read last first."""
    rows = db.execute(
        "SELECT first_serial, serial, started_at, read_at, target,"
        " (SELECT count(*) FROM journal_todo AS t WHERE t.source = c.source)"
        " FROM journal_cursors AS c ORDER BY read_at DESC, source"
    ).fetchall()
    return [
        FollowedJournal(
            first_serial=first, serial=serial, started_at=started, read_at=read, target=target, unfinished=unfinished
        )
        for first, serial, started, read, target, unfinished in rows
    ]


def unfilled_gaps(db: Database) -> UnfilledGaps:
    """Return how much time no reading of the feed covers, and what it may hide."""
    gaps, seconds, estimate = db.execute(
        "SELECT count(*), coalesce(sum(end_at - start_at), 0), coalesce(sum(estimate), 0) FROM journal_gaps"
        " WHERE filled_at IS NULL"
    ).fetchone()
    return UnfilledGaps(gaps=gaps, seconds=seconds, estimate=estimate)


def rejected_entries(db: Database, *, limit: int) -> tuple[int, list[str]]:
    """Return how many entries named no valid release, and the reasons of the last ones."""
    (count,) = db.execute("SELECT count(*) FROM journal_rejects").fetchone()
    rows = db.execute("SELECT entry FROM journal_rejects ORDER BY at DESC, serial DESC, entry LIMIT ?", (limit,))
    return count, [entry for (entry,) in rows.fetchall()]


def anomalies(db: Database, *, limit: int) -> list[Anomaly]:
    """Return the last things that no journal should do."""
    rows = db.execute(
        "SELECT kind, detail, found_at FROM journal_anomalies ORDER BY found_at DESC, kind, detail LIMIT ?", (limit,)
    ).fetchall()
    return [Anomaly(kind=kind, detail=detail, found_at=found_at) for kind, detail, found_at in rows]
