"""What the ledger knows of packages that are about to be queued, read for many of them at once.

Where the ledger has no results and no downloads yet, this costs next to nothing for each of them.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlite_utils import Database

from ppp.model.queue_policy import QueuePolicy, Risk, publisher_of, risk_of
from ppp.model.record import Result

#: How many of a package's newest releases are looked at for its last results: some may have none but `ERROR`.
NEWEST_RELEASES: Final = 3
_UNKNOWN: Final = int(Risk.UNKNOWN)

_HISTORY: Final = """
SELECT l.package, l.version, r.environment, c.result
FROM json_each(:packages) AS p CROSS JOIN releases AS l CROSS JOIN results AS r CROSS JOIN records AS c
WHERE l.package = p.value AND r.package = l.package AND r.version = l.version AND c.record = r.record
  AND c.result <> 'ERROR'
  AND l.version IN (SELECT version FROM releases WHERE package = p.value ORDER BY version_key DESC LIMIT :newest)
ORDER BY l.package, l.version_key DESC
"""

_OWN: Final = """
SELECT r.package, r.version, r.environment, c.result
FROM json_each(:releases) AS p CROSS JOIN results AS r CROSS JOIN records AS c
WHERE r.package = p.value ->> 0 AND r.version = p.value ->> 1 AND c.record = r.record AND c.result <> 'ERROR'
"""

_TURNS: Final = """
SELECT publisher, turn, count(DISTINCT package || ' ' || version)
FROM json_each(:publishers) AS p CROSS JOIN queue AS q
WHERE q.publisher = p.value AND q.turn = (SELECT max(turn) FROM queue WHERE publisher = p.value)
GROUP BY publisher
"""

_ALL_DOWNLOADS: Final = """
SELECT package, downloads FROM downloads
WHERE python_version = '' AND period = (SELECT max(period) FROM downloads WHERE python_version = '')
"""
#: Of the period by which the queue was ranked: a newer one counts from the next run on.
_DOWNLOADS: Final = """
SELECT package, downloads FROM downloads
WHERE python_version = '' AND period = (SELECT downloads ->> 0 FROM queue_order)
  AND package IN (SELECT value FROM json_each(:packages))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """What is known of packages: downloads, and results of the newest releases on record, the newest first.

    `results` are by package and environment; `own`, by release and environment, are read for re-checks only.
    """

    downloads: Mapping[str, int] = field(default_factory=dict)
    results: Mapping[tuple[str, str], list[Result]] = field(default_factory=dict)
    own: Mapping[tuple[str, str, str], Result] = field(default_factory=dict)

    def risk(self, package: str, version: str, environment: str, *, changed: bool) -> int:
        """Return the `Risk` of a cell; `changed` says whether something that it rests on has changed."""
        newest = self.results.get((package, environment))
        if newest is None and not changed:
            return _UNKNOWN
        own = self.own.get((package, version, environment))
        return int(risk_of(own=own, changed=changed, newest=newest or ()))


def read_facts(db: Database, releases: Collection[tuple[str, str]], *, recheck: bool) -> QueueFacts:
    """Return what is known of releases, each a package and a version."""
    packages = json.dumps([*{package for package, _ in releases}])
    results: defaultdict[tuple[str, str], list[Result]] = defaultdict(list)
    rows = db.execute(_HISTORY, {"packages": packages, "newest": NEWEST_RELEASES})
    for package, _, environment, result in rows:
        results[package, environment].append(Result(result))
    own = db.execute(_OWN, {"releases": json.dumps([*releases])}) if recheck else ()
    return QueueFacts(
        downloads=dict(db.execute(_DOWNLOADS, {"packages": packages}).fetchall()),
        results=results,
        own={(p, v, e): Result(result) for p, v, e, result in own},
    )


def first_turns(
    db: Database, releases: Iterable[tuple[str, str]], facts: QueueFacts, policy: QueuePolicy
) -> dict[tuple[str, str], tuple[str, int]]:
    """Return the publisher of each release, and its turn after those that are queued."""
    by_publisher: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for package, version in sorted(releases):
        by_publisher[publisher_of(package, facts.downloads.get(package))].append((package, version))
    first = queued_by_publisher(db, by_publisher, fair_share=policy.fair_share)
    return {
        release: (publisher, number // policy.fair_share)
        for publisher, ordered in by_publisher.items()
        for number, release in enumerate(ordered, first.get(publisher, 0))
    }


def queued_by_publisher(db: Database, publishers: Collection[str], *, fair_share: int) -> dict[str, int]:
    """Return the number from which on the next releases of each publisher are counted, where it has any queued."""
    rows = db.execute(_TURNS, {"publishers": json.dumps([*publishers])})
    return {publisher: turn * fair_share + releases for publisher, turn, releases in rows}


def all_downloads(db: Database) -> dict[str, int]:
    """Return the downloads of every package that has a number, in the newest period."""
    return dict(db.execute(_ALL_DOWNLOADS).fetchall())


def downloads_digest(db: Database) -> str:
    """Return a text that changes when the numbers of downloads do: a JSON array that begins with the newest period."""
    row = db.execute(
        "SELECT max(period), count(*), coalesce(sum(downloads), 0) FROM downloads WHERE python_version = ''"
    ).fetchone()
    return json.dumps(row)
