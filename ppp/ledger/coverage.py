"""What became of every release that the index named: numbers that add up, by UTC day and in all.

`named = tested + queued + skipped + lost`. Lost is what is left over, so a fault of this node shows up there. What the
feed's gaps may hide is an estimate and is never added to these.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlite_utils import Database

from ppp.model.release import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class CoverageCounts:
    """What became of named releases: numbers of releases, `skip_reasons` adds up to `skipped`."""

    tested: int = 0
    queued: int = 0
    skipped: int = 0
    lost: int = 0
    skip_reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def named(self) -> int:
        """All releases that were named."""
        return self.tested + self.queued + self.skipped + self.lost

    def __str__(self) -> str:
        """Return the numbers as a sum."""
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.skip_reasons.items())
        return (
            f"named {self.named:,} = tested {self.tested:,} + queued {self.queued:,} + skipped {self.skipped:,}"
            f"{reasons and f' ({reasons})'} + lost {self.lost:,}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that answers in JSON show."""
        return {
            "named": self.named,
            "tested": self.tested,
            "queued": self.queued,
            "skipped": self.skipped,
            "skip_reasons": dict(self.skip_reasons),
            "lost": self.lost,
        }


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

    days: Mapping[str, CoverageCounts]
    total: CoverageCounts
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
    days = coverage_by_day(db, since=since)
    rejected, rejects = rejected_entries(db, limit=limit)
    return CoverageReport(
        days=days,
        total=total(days),
        lost=lost_releases(db, since=since, limit=limit),
        journals=followed_journals(db),
        gaps=unfilled_gaps(db),
        rejected=rejected,
        rejects=rejects,
        anomalies=anomalies(db, limit=limit),
    )


def coverage_by_day(db: Database, *, since: int = 0) -> dict[str, CoverageCounts]:
    """Return, by UTC day (`2026-11-28`), what became of the releases that were announced at `since` or later."""
    rows = db.execute(
        "SELECT date(announced_at, 'unixepoch') AS day, state, CASE state WHEN 'skipped' THEN skip_reason END, count(*)"
        " FROM coverage_releases WHERE announced_at >= ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        (since,),
    ).fetchall()
    days: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    for day, state, reason, count in rows:
        states, reasons = days.setdefault(day, ({}, {}))
        states[state] = states.get(state, 0) + count
        if reason is not None:
            reasons[reason] = count
    return {day: CoverageCounts(**states, skip_reasons=reasons) for day, (states, reasons) in days.items()}


def total(days: Mapping[str, CoverageCounts]) -> CoverageCounts:
    """Return the sum of days."""
    reasons: dict[str, int] = {}
    for day in days.values():
        for reason, count in day.skip_reasons.items():
            reasons[reason] = reasons.get(reason, 0) + count
    return CoverageCounts(
        tested=sum(day.tested for day in days.values()),
        queued=sum(day.queued for day in days.values()),
        skipped=sum(day.skipped for day in days.values()),
        lost=sum(day.lost for day in days.values()),
        skip_reasons=reasons,
    )


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
