"""The queue is kept in the order of its policy: turns, another policy, new downloads, what waited too long."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from known_downloads import know_downloads
from sqlite_utils import Database

from ppp.ledger.queue import QueueFilter
from ppp.ledger.queue_order import DAY_S, prepare, read_policy
from ppp.ledger.schema import migrations
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.queue_policy import Criterion, QueuePolicy
from ppp.model.record import Record
from ppp.model.release import Release

Builder = Callable[..., Record]
NOW = 1_800_000_000
SLIM = "py312-slim"
BY_AGE = QueuePolicy(order=(Criterion.AGE,), fair_share=1_000_000)


def queue_up(store: Store, *packages: str, source: str = "journal", now: int = NOW, version: str = "1.0") -> None:
    for package in packages:
        store.queue.enqueue(
            [Cell(release=Release(package=package, version=version), environment=SLIM)], source=source, now=now
        )


def order_of(store: Store) -> list[str]:
    """Return the packages in the order in which they would be taken."""
    store.queue.release_leases()
    leased = store.queue.lease(QueueFilter(environments=[SLIM]), run="run", limit=99, until=NOW * 2, now=NOW)
    store.queue.release_leases()
    return [queued.cell.release.package for queued in leased]


def test_a_bulk_uploader_waits_for_its_turns(store: Store) -> None:
    queue_up(store, *(f"bulk-{n}" for n in range(7)))
    queue_up(store, "late", "later", now=NOW + 5)
    prepare(store.db, store.path, QueuePolicy(fair_share=2), now=NOW)
    assert order_of(store) == ["bulk-0", "bulk-1", "late", "later", *(f"bulk-{n}" for n in range(2, 7))]


def test_versions_of_one_package_are_one_publisher(store: Store) -> None:
    know_downloads(store, "2026-10", {"numpy": 10**9})
    for minor in range(4):
        queue_up(store, "numpy", version=f"1.{minor}")
    queue_up(store, "unknown", now=NOW + 5)
    prepare(store.db, store.path, QueuePolicy(fair_share=2), now=NOW)
    assert order_of(store) == ["numpy", "numpy", "unknown", "numpy", "numpy"]


def test_turns_are_given_anew_when_those_before_have_left(store: Store) -> None:
    queue_up(store, *(f"bulk-{n}" for n in range(6)))
    prepare(store.db, store.path, QueuePolicy(fair_share=2), now=NOW)
    for package in ("bulk-0", "bulk-1"):
        store.queue.remove(Cell(release=Release(package=package, version="1.0"), environment=SLIM))
    queue_up(store, "other", now=NOW + 5)
    prepare(store.db, store.path, QueuePolicy(fair_share=2), now=NOW)
    assert order_of(store) == ["bulk-2", "bulk-3", "other", "bulk-4", "bulk-5"]


def test_another_policy_ranks_everything_anew_and_is_remembered(store: Store) -> None:
    queue_up(store, "young", source="named")
    queue_up(store, "old", now=NOW - 5)
    assert order_of(store) == ["young", "old"]
    assert prepare(store.db, store.path, BY_AGE, now=NOW).is_ranked_anew
    assert order_of(store) == ["old", "young"]
    queue_up(store, "oldest", now=NOW - 9)
    assert order_of(store) == ["oldest", "old", "young"], "what is queued next is ranked by it too"
    assert read_policy(store.db) == BY_AGE
    assert not prepare(store.db, store.path, BY_AGE, now=NOW).is_ranked_anew


def test_new_downloads_rank_everything_anew(store: Store) -> None:
    queue_up(store, "one", "two")
    prepare(store.db, store.path, QueuePolicy(), now=NOW)
    assert order_of(store) == ["one", "two"]
    know_downloads(store, "2026-10", {"two": 50_000})
    assert prepare(store.db, store.path, QueuePolicy(), now=NOW).is_ranked_anew
    assert order_of(store) == ["two", "one"]
    know_downloads(store, "2026-11", {"one": 50_000})
    prepare(store.db, store.path, QueuePolicy(), now=NOW)
    assert order_of(store) == ["one", "two"], "only the newest period counts"


def test_what_nobody_asked_for_and_waits_too_long_is_dropped_and_counted(store: Store, record: Builder) -> None:
    long_ago, policy = NOW - 15 * DAY_S, QueuePolicy(keep_days=14)
    for source in ("journal", "feed", "dependency", "watchlist", "named"):
        queue_up(store, f"by-{source}", source=source, now=long_ago)
    queue_up(store, "in-time", now=NOW - 13 * DAY_S)
    queue_up(store, "leased", now=long_ago)
    store.db.execute("UPDATE queue SET lease = 'other', leased_until = ? WHERE package = 'leased'", (NOW * 2,))
    # It has a result: only the wish to check it again expires.
    store.add_record(record("by-dependency", "1.0", SLIM), retry=None)
    queue_up(store, "by-dependency", source="dependency", now=long_ago)
    assert prepare(store.db, store.path, policy, now=NOW).expired == 3
    left = {package for (package,) in store.db.execute("SELECT package FROM queue").fetchall()}
    assert left == {"by-watchlist", "by-named", "in-time", "leased"}
    skips = store.db.execute("SELECT package, reason, detail, skipped_at FROM skips ORDER BY 1").fetchall()
    detail = "waited for more than 14 days"
    assert skips == [(name, "expired", detail, NOW) for name in ("by-feed", "by-journal")]
    assert prepare(store.db, store.path, policy, now=NOW).expired == 0


@pytest.mark.parametrize("lease", [None, "dead"])
def test_the_queue_of_an_older_version_is_kept(tmp_path: Path, lease: str | None) -> None:
    with closing(Database(tmp_path / "ppp.db")) as db:
        migrations.apply(db, stop_before="m004_journal")
        row = {"version": "1.0", "environment": SLIM, "lease": lease, "leased_until": lease and NOW * 3}
        db.table("queue").insert(row | {"package": "of-the-feed", "source": "feed", "enqueued_at": NOW - 9})
        db.table("queue").insert(row | {"package": "named", "source": "named", "enqueued_at": NOW, "attempts": 1})
        db.table("queue").insert(row | {"package": "listed", "source": "watchlist", "enqueued_at": NOW})
        db.conn.commit()
    with Store.open(tmp_path) as store:
        store.queue.release_leases()
        assert order_of(store) == ["listed", "of-the-feed", "named"], "before it is ranked, too"
        before = store.db.execute("SELECT package, priority FROM queue ORDER BY 1").fetchall()
        assert prepare(store.db, store.path, QueuePolicy(), now=NOW).is_ranked_anew
        assert order_of(store) == ["listed", "of-the-feed", "named"]
        assert store.db.execute("SELECT package, priority FROM queue ORDER BY 1").fetchall() == before
