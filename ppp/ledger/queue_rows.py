"""What is inserted into the queue: rows of cells, or of releases whose cells differ in the environment alone."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlite_utils import Database

from ppp.ledger.queue_facts import QueueFacts, first_turns, read_facts
from ppp.ledger.queue_order import read_policy
from ppp.model.canonical import canonical_json
from ppp.model.matrix import Cell
from ppp.model.queue_policy import (
    ASKED_SOURCES,
    CHANGE_SOURCES,
    TRUSTED_SOURCES,
    WATCHLIST_SOURCES,
    Packer,
    Risk,
    downloads_band,
)
from ppp.model.release import Release
from ppp.model.trigger import Trigger


def release_rows(
    db: Database,
    releases: Sequence[Release],
    environments: Collection[str],
    *,
    source: str,
    now: int,
    triggered_by: Trigger | None,
) -> dict[Release, tuple[Any, ...]]:
    """Return the parameters of the statement that queues a release, for each one whose package has no results."""
    keys = [(release.package, release.version) for release in releases]
    facts = read_facts(db, keys, recheck=False)
    known = {package for package, _ in facts.results}
    where, reason = json.dumps(sorted(environments)), triggered_by and trigger_text(triggered_by)
    measures, packer = _measures(db, keys, facts, source=source, now=now)
    risk = int(Risk.UNKNOWN)
    rows: dict[Release, tuple[Any, ...]] = {}
    for release in releases:
        package, version = release.package, release.version
        if package not in known:
            publisher, turn, downloads, base = measures[package, version]
            priority = base + risk * packer.risk_weight
            place = (publisher, turn, downloads, risk, priority, package, version, where)
            rows[release] = (source, now, reason, *place)
    return rows


def _measures(
    db: Database, releases: Collection[tuple[str, str]], facts: QueueFacts, *, source: str, now: int
) -> tuple[dict[tuple[str, str], tuple[str, int, int | None, int]], Packer]:
    """Return what the cells of each release share: publisher, turn, downloads, and priority without the risk."""
    policy = read_policy(db)
    # What a person asked for, and the watchlist, wait for no turn.
    turns = {} if source in TRUSTED_SOURCES else first_turns(db, releases, facts, policy)
    packer = Packer(policy)
    asked, watchlist = int(source not in ASKED_SOURCES), int(source not in WATCHLIST_SOURCES)
    measures: dict[tuple[str, str], tuple[str, int, int | None, int]] = {}
    for package, version in releases:
        publisher, turn = turns.get((package, version), ("", 0))
        downloads = facts.downloads.get(package)
        band = downloads_band(downloads)
        base = packer.pack(asked=asked, watchlist=watchlist, turn=turn, downloads=band, risk=0, age=now)
        measures[package, version] = publisher, turn, downloads, base
    return measures, packer


def cell_rows(
    db: Database,
    cells: Sequence[Cell],
    *,
    source: str,
    now: int,
    triggered_by: Trigger | None,
    attempts: int = 0,
    not_before: int = 0,
) -> list[tuple[Any, ...]]:
    """Return the parameters of the statement that queues a cell for each cell."""
    changed = source in CHANGE_SOURCES
    releases = {(cell.release.package, cell.release.version) for cell in cells}
    facts = read_facts(db, releases, recheck=changed)
    shared, packer = _measures(db, releases, facts, source=source, now=now)
    reason = triggered_by and trigger_text(triggered_by)
    rows: list[tuple[Any, ...]] = []
    for cell in cells:
        package, version, environment = cell.release.package, cell.release.version, cell.environment
        publisher, turn, downloads, base = shared[package, version]
        risk = facts.risk(package, version, environment, changed=changed)
        priority = base + risk * packer.risk_weight
        place = (publisher, turn, downloads, risk, priority)
        rows.append((source, now, attempts, not_before, reason, *place, package, version, environment))
    return rows


def trigger_text(trigger: Trigger) -> str:
    """Return a trigger as the queue holds it."""
    return canonical_json(trigger.to_json()).decode()
