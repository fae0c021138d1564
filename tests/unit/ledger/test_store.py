"""Writing observations: records are added once and never changed, and the queue loses nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger import queries
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.model.release import Release

Builder = Callable[..., Record]
ENVIRONMENTS = ("py39-slim", "py312-slim", "py312-alpine")
SIX = Release(package="six", version="1.17.0")
IDNA = Release(package="idna", version="3.7")


def cells(release: Release, *environments: str) -> list[Cell]:
    return [Cell(release=release, environment=e) for e in environments]


def count(store: Store, table: str) -> int:
    return store.db.table(table).count


def take(store: Store, *environments: str, now: int, n: int = 100, run: str = "run") -> list[QueuedCell]:
    """Lease for a hundred seconds."""
    return store.queue.lease(
        QueueFilter(environments=environments or ENVIRONMENTS), run=run, limit=n, until=now + 100, now=now
    )


def waiting(store: Store) -> list[tuple[str, str, int, int]]:
    """What nobody has in hand: package, where it was named, attempts, not before."""
    rows = store.db.execute(
        "SELECT package, source, attempts, not_before FROM queue WHERE lease IS NULL ORDER BY package, environment"
    )
    return [tuple(row) for row in rows.fetchall()]


def test_a_record_is_added_once(store: Store, record: Builder) -> None:
    assert store.add_record(record())
    assert not store.add_record(record())
    assert [count(store, t) for t in ("records", "results", "releases", "packages", "environments", "nodes")] == [1] * 6


def test_an_older_observation_is_kept_and_is_not_current(store: Store, record: Builder) -> None:
    newer, older = record(observed_at=200), record(observed_at=100, result="FAIL")
    for each in (newer, older):
        assert store.add_record(each)
    assert count(store, "records") == 2
    assert [*queries.current_by_environment(store.db, record().release).values()] == [newer]


@pytest.mark.attack("own-verdict")
def test_an_error_never_hides_a_verdict(store: Store, record: Builder) -> None:
    error, verdict, later = (
        record(observed_at=1, result="ERROR"),
        record(observed_at=2),
        record(observed_at=3, result="ERROR"),
    )
    seen = []
    for each in (error, verdict, later):
        store.add_record(each)
        seen += [*queries.current_by_environment(store.db, record().release).values()]
    assert seen == [error, verdict, verdict]


def test_a_log_is_kept_once_under_its_hash(store: Store, record: Builder) -> None:
    log = "gcc: not found\n\x00\u202e é"
    digest = sha256_hex(log.encode())
    for environment in ENVIRONMENTS:
        store.add_record(record(environment=environment, log_sha256=digest), log)
    assert count(store, "logs") == 1
    assert queries.read_log(store.db, digest) == log
    assert queries.read_log(store.db, "0" * 64) is None


@pytest.mark.parametrize(("named", "given"), [(None, "log"), ("log", None), ("log", "another log")])
def test_a_log_that_is_not_the_record_s_stores_nothing(
    store: Store, record: Builder, named: str | None, given: str | None
) -> None:
    made = record(log_sha256=named and sha256_hex(named.encode()))
    cell = Cell(release=made.release, environment=made.environment)
    store.queue.enqueue([cell], source="named", now=1)
    with pytest.raises(ValueError, match="the log is not the one"):
        store.add_record(made, given)
    assert [count(store, t) for t in ("records", "results", "packages", "logs")] == [0] * 4
    assert store.queue.length() == 1, "its cell is still queued"


def test_a_recorded_cell_leaves_the_queue(store: Store, record: Builder) -> None:
    store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    store.add_record(record("six", "1.17.0", "py312-slim"))
    assert [q.cell.environment for q in take(store, now=2)] == ["py312-alpine", "py39-slim"]


def test_an_error_without_retry_does_not_change_the_queue(store: Store, record: Builder) -> None:
    store.queue.enqueue(cells(SIX, "py312-slim"), source="feed", now=1)
    store.add_record(record("six", "1.17.0", "py312-slim", result="ERROR"))
    assert waiting(store) == [("six", "feed", 0, 0)]


def test_a_retried_cell_waits_and_comes_after_cells_with_fewer_attempts(store: Store, record: Builder) -> None:
    store.queue.enqueue(cells(SIX, "py312-slim"), source="feed", now=1)
    (first,) = take(store, now=40)
    store.add_record(record("six", "1.17.0", "py312-slim", result="ERROR", observed_at=50), retry=first)
    store.queue.enqueue(cells(IDNA, "py312-slim"), source="watchlist", now=60)
    due = 50 + RETRY_DELAYS_S[0]
    assert waiting(store) == [("idna", "watchlist", 0, 0), ("six", "feed", 1, due)]
    assert [q.cell.release for q in take(store, now=due - 1)] == [IDNA]
    store.queue.release_leases()
    assert [(q.cell.release, q.attempts) for q in take(store, now=due)] == [(IDNA, 0), (SIX, 1)]
    store.add_record(record("six", "1.17.0", "py312-slim", observed_at=due))
    assert [row[0] for row in store.db.execute("SELECT package FROM queue").fetchall()] == ["idna"]


def test_the_delay_grows_until_a_cell_is_given_up(store: Store, record: Builder) -> None:
    (cell,) = cells(SIX, "py312-slim")
    store.queue.enqueue([cell], source="watchlist", now=0)
    now, delays = 0, []
    for _ in range(MAX_ATTEMPTS):
        assert queries.given_up(store.db) == []
        (queued,) = take(store, now=now)
        store.add_record(record("six", "1.17.0", "py312-slim", result="ERROR", observed_at=now), retry=queued)
        ((*_, not_before),) = waiting(store)
        delays.append(not_before - now)
        now = not_before
    assert delays[:-1] == list(RETRY_DELAYS_S)
    assert delays == sorted(delays)
    assert take(store, now=10**9) == []
    assert queries.given_up(store.db) == [cell]
    store.queue.enqueue([cell], source="watchlist", now=now)
    assert queries.given_up(store.db) == [cell], "nobody named it"
    store.queue.enqueue([cell], source="named", now=now)
    assert queries.given_up(store.db) == []
    assert [q.attempts for q in take(store, now=now)] == [0]


# Leases


def test_a_leased_cell_is_not_leased_to_another_run(store: Store) -> None:
    store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    first, second = take(store, now=10, n=2, run="one"), take(store, now=10, n=2, run="two")
    assert [len(first), len(second)] == [2, 1]
    assert not {q.cell for q in first} & {q.cell for q in second}
    assert {q.lease for q in first} == {"one"}
    assert take(store, now=109, run="three") == []


def test_a_cell_with_an_expired_lease_can_be_leased_again(store: Store, record: Builder) -> None:
    store.queue.enqueue(cells(SIX, "py312-slim"), source="feed", now=1)
    (dead,) = take(store, now=10, run="dead")
    (alive,) = take(store, now=110, run="alive")
    assert alive.cell == dead.cell
    error = record("six", "1.17.0", "py312-slim", result="ERROR", observed_at=111)
    store.add_record(error, retry=dead)
    assert waiting(store) == [], "what the dead one says of it is recorded, but the cell stays in the other's hands"
    assert count(store, "records") == 1
    store.queue.remove_leased(dead)
    assert store.queue.length() == 1
    store.queue.remove_leased(alive)
    assert store.queue.length() == 0


def test_the_leases_of_a_run_end_together(store: Store) -> None:
    store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    take(store, now=1, n=1, run="one")
    take(store, now=1, n=1, run="two")
    assert store.queue.release_leases(run="one") == 1
    assert len(waiting(store)) == 2
    take(store, now=1, n=1, run="one")
    assert store.queue.release_leases() == 2
    assert len(waiting(store)) == 3
    assert store.queue.release_leases() == 0


def test_a_filter_limits_what_is_leased(store: Store) -> None:
    store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    store.queue.enqueue(cells(IDNA, *ENVIRONMENTS), source="named", now=2)
    here = "py39-slim", "py312-slim"
    for reach, expected in (
        (QueueFilter(environments=here), {"py39-slim": 2, "py312-slim": 2}),
        (QueueFilter(environments=here, untrusted_environments=["py312-slim"]), {"py39-slim": 1, "py312-slim": 2}),
        (QueueFilter(environments=here, untrusted_environments=[], releases=[SIX]), {}),
        (
            QueueFilter(environments=here, releases=[SIX, Release(package="six", version="1.16.0")]),
            dict.fromkeys(here, 1),
        ),
        (QueueFilter(environments=here, releases=[]), {}),
        (QueueFilter(environments=[]), {}),
    ):
        assert store.queue.due_counts(reach, now=3) == expected
        leased = store.queue.lease(reach, run="run", limit=100, until=4, now=3)
        assert len(leased) == sum(expected.values())
        assert store.queue.due_counts(reach, now=3) == {}
        store.queue.release_leases()


def test_lease_does_not_sort_the_whole_queue(store: Store) -> None:
    asked: list[tuple[str, Any]] = []
    with store.db.tracer(lambda sql, values: asked.append((sql, values))):
        take(store, now=1)
    sql, values = next(each for each in asked if each[0].startswith("SELECT"))
    plan = [detail for *_, detail in store.db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
    assert plan == ["SEARCH queue USING INDEX queue_in_turn (environment=? AND <expr>=? AND attempts<?)"]
    assert not [step for step in plan if "TEMP B-TREE" in step]


def test_queueing_twice_changes_nothing(store: Store) -> None:
    assert store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1) == 3
    assert store.queue.enqueue([*cells(SIX, *ENVIRONMENTS), *cells(IDNA, "py39-slim")], source="named", now=2) == 1
    assert store.queue.length() == 4
    assert store.queue.enqueue([], source="feed", now=3) == 0


def test_a_request_replaces_the_feed_as_source(store: Store, record: Builder) -> None:
    store.queue.enqueue(cells(SIX, "py39-slim"), source="feed", now=1)
    (queued,) = take(store, now=1)
    store.add_record(record("six", "1.17.0", "py39-slim", result="ERROR", observed_at=1), retry=queued)
    assert store.queue.enqueue(cells(SIX, "py39-slim"), source="feed", now=2) == 0
    assert waiting(store) == [("six", "feed", 1, 1 + RETRY_DELAYS_S[0])]
    assert store.queue.enqueue(cells(SIX, "py39-slim"), source="watchlist", now=3) == 0
    assert waiting(store) == [("six", "watchlist", 0, 0)]
    assert store.queue.enqueue(cells(SIX, "py39-slim"), source="feed", now=4) == 0
    assert waiting(store) == [("six", "watchlist", 0, 0)]


def test_lease_returns_the_oldest_cells_of_the_given_environments(store: Store) -> None:
    store.queue.enqueue(cells(SIX, "py39-slim", "py312-slim"), source="feed", now=2)
    store.queue.enqueue(cells(IDNA, "py312-slim", "py312-alpine"), source="feed", now=1)
    assert [str(q.cell) for q in take(store, "py39-slim", "py312-slim", now=3)] == [
        "idna==3.7 in py312-slim",
        "six==1.17.0 in py312-slim",
        "six==1.17.0 in py39-slim",
    ]


def test_named_cells_come_before_the_feed(store: Store) -> None:
    store.queue.enqueue(cells(SIX, "py39-slim"), source="feed", now=1)
    store.queue.enqueue(cells(IDNA, "py39-slim"), source="named", now=2)
    assert [str(q.cell) for q in take(store, "py39-slim", now=3)] == [
        "idna==3.7 in py39-slim",
        "six==1.17.0 in py39-slim",
    ]


def test_the_last_reason_of_a_skip_is_stored(store: Store) -> None:
    store.skip(SIX, "", reason="unsandboxed", detail="x", now=1)
    store.skip(SIX, "", reason="withdrawn", detail="by its maintainer", now=2)
    store.skip(SIX, "py39-host", reason="marker", detail="", now=3)
    found = store.db.execute("SELECT environment, reason, detail, skipped_at FROM skips ORDER BY 1").fetchall()
    assert found == [("", "withdrawn", "by its maintainer", 2), ("py39-host", "marker", "", 3)]


def test_environments_have_their_own_current_results(store: Store, record: Builder) -> None:
    for environment in ("py39-slim", "py312-alpine", "py310-host"):
        store.add_record(record(environment=environment))
    found = store.db.execute("SELECT environment, python, platform, python_key FROM environments ORDER BY python_key")
    assert found.fetchall() == [
        ("py39-slim", "3.9", "slim", 309),
        ("py310-host", "3.10", "host", 310),
        ("py312-alpine", "3.12", "alpine", 312),
    ]
