"""Keep the order of the queue: by the policy in use, the downloads that are known, and the turns of publishers.

The ledger remembers by what its priorities were made. A run that brings another policy, or other numbers of downloads,
ranks the whole queue anew; any run gives publishers that wait for turns their exact ones, and drops what has waited too
long. After that the order depends on what is queued alone, not on the order in which it came.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from ppp.ledger.queue_facts import all_downloads, downloads_digest
from ppp.model.queue_policy import Packer, Part, QueuePolicy, downloads_band, publisher_of
from ppp.storage_errors import translate_storage_errors

DAY_S: Final = 86_400

#: Give the releases of each publisher their turns, in the order that the other parts of their priorities say.
_SETTLE: Final = """
WITH waiting AS (
    SELECT publisher, package, version, min(priority - turn * :weight) AS best
    FROM queue WHERE publisher <> '' AND {which} GROUP BY publisher, package, version),
ordered AS (
    SELECT package, version, min(:most, (row_number() OVER (
        PARTITION BY publisher ORDER BY best, package, version) - 1) / :fair_share) AS turn
    FROM waiting)
UPDATE queue SET priority = priority + (ordered.turn - queue.turn) * :weight, turn = ordered.turn
FROM ordered
WHERE queue.package = ordered.package AND queue.version = ordered.version
  AND queue.publisher <> '' AND queue.turn <> ordered.turn
"""
#: Publishers with no more queued releases than their fair share have no turn but 0.
_WITH_TURNS: Final = "publisher IN (SELECT DISTINCT publisher FROM queue WHERE turn > 0)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `prepare` did: how many cells had waited too long and were dropped, and whether all were ranked anew."""

    expired: int
    is_ranked_anew: bool


def read_policy(db: Database) -> QueuePolicy:
    """Return the policy by which cells are ranked: that of the last run, or else the default."""
    row = db.execute("SELECT policy FROM queue_order").fetchone()
    return QueuePolicy() if row is None else QueuePolicy.from_data(json.loads(row[0]))


def prepare(db: Database, path: Path, policy: QueuePolicy, *, now: int) -> Prepared:
    """Bring the queue into the order of a policy, and drop what has waited for longer than `keep_days`, at once."""
    wanted = (json.dumps(policy.to_json()), downloads_digest(db))
    with translate_storage_errors(path), db.atomic():
        expired = _expire(db, policy, now)
        is_new = db.execute("SELECT policy, downloads FROM queue_order").fetchone() != wanted
        if is_new:
            _rank_all(db, policy)
            db.execute("INSERT OR REPLACE INTO queue_order VALUES (1, ?, ?)", wanted)
        _settle(db, policy, every=is_new)
    return Prepared(expired=expired, is_ranked_anew=is_new)


def _expire(db: Database, policy: QueuePolicy, now: int) -> int:
    values = {
        "before": now - policy.keep_days * DAY_S,
        "now": now,
        "detail": f"waited for more than {policy.keep_days} days",
    }
    # A release that has a result was tested, whatever became of the wish to test it again.
    db.execute(
        "INSERT OR REPLACE INTO skips (package, version, environment, reason, detail, skipped_at)"
        " SELECT package, version, environment, 'expired', :detail, :now FROM queue AS q"
        " WHERE enqueued_at < :before AND source NOT IN ('named', 'requirements', 'watchlist') AND lease IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM results AS r WHERE r.package = q.package AND r.version = q.version"
        " AND r.environment = q.environment)",
        values,
    )
    return db.execute(
        "DELETE FROM queue"
        " WHERE enqueued_at < :before AND source NOT IN ('named', 'requirements', 'watchlist') AND lease IS NULL",
        {"before": values["before"]},
    ).rowcount


def _rank_all(db: Database, policy: QueuePolicy) -> None:
    """Make every priority anew, with turn 0; `_settle` gives the turns."""
    downloads = all_downloads(db)
    pack = Packer(policy).pack

    def priority(package: str, asked: int, watchlist: int, risk: int, age: int) -> int:
        band = downloads_band(downloads.get(package))
        return pack(asked=asked, watchlist=watchlist, turn=0, downloads=band, risk=risk, age=age)

    def publisher(package: str) -> str:
        return publisher_of(package, downloads.get(package))

    def known(package: str) -> int | None:
        return downloads.get(package)

    db.register_function(priority, name="ppp_priority", replace=True)
    db.register_function(publisher, name="ppp_publisher", replace=True)
    db.register_function(known, name="ppp_downloads", replace=True)
    db.execute(
        "UPDATE queue SET turn = 0, downloads = ppp_downloads(package), publisher ="
        " CASE WHEN source IN ('named', 'requirements', 'watchlist') THEN '' ELSE ppp_publisher(package) END,"
        " priority = ppp_priority(package, source NOT IN ('named', 'requirements'), source <> 'watchlist', risk,"
        " enqueued_at)"
    )


def _settle(db: Database, policy: QueuePolicy, *, every: bool) -> None:
    shift = Packer(policy).shifts[Part.TURN]
    values = {"weight": 1 << shift, "most": (1 << 16) - 1, "fair_share": policy.fair_share}
    db.execute(_SETTLE.format(which="1" if every else _WITH_TURNS), values)
