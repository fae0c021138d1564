"""The queue: who may take a cell, in which order, and what becomes of it after an error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from known_downloads import know_downloads

from ppp.ledger import queries
from ppp.ledger.queue import QueuedCell, QueueFilter
from ppp.ledger.queue_order import prepare
from ppp.ledger.schema import MAX_ATTEMPTS, RETRY_DELAYS_S
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.queue_policy import QueuePolicy
from ppp.model.record import Record
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind

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


def plan(store: Store, sql: str, values: Any) -> list[str]:
    """Return SQLite's plan of a statement."""
    return [detail for *_, detail in store.db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]


def test_taking_cells_reads_indexes_and_sorts_nothing(store: Store) -> None:
    store.queue.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    asked: list[tuple[str, Any]] = []
    with store.db.tracer(lambda sql, values: asked.append((sql, values))):
        assert len(take(store, now=1)) == len(ENVIRONMENTS)
    plans = {sql: plan(store, sql, values) for sql, values in asked if sql.startswith(("SELECT", "UPDATE"))}
    searched = {step.replace("COVERING ", "") for steps in plans.values() for step in steps}
    assert searched == {
        "SEARCH queue USING INDEX queue_in_turn (environment=? AND <expr>=? AND attempts<?)",
        "SEARCH queue USING INDEX queue_waiting (not_before>? AND not_before<?)",
        "SEARCH queue USING INDEX queue_leased (leased_until<?)",
    }


def test_what_is_not_to_be_had_is_not_even_read(store: Store) -> None:
    # Leased, delayed, given up, of another environment, untrusted without a gateway: 6 of 7 are none of the run's.
    releases = [Release(package=f"a{n}", version="1.0") for n in range(700)]
    for number, release in enumerate(releases):
        environment = ENVIRONMENTS[2] if number % 7 == 1 else ENVIRONMENTS[0]
        store.queue.enqueue(cells(release, environment), source="named" if number % 7 else "feed", now=number)
    kind = "CAST(substr(package, 2) AS INTEGER) % 7"
    store.db.execute(f"UPDATE queue SET lease = 'other', leased_until = 10000 WHERE {kind} = 2")  # noqa: S608
    store.db.execute(f"UPDATE queue SET attempts = {MAX_ATTEMPTS} WHERE {kind} = 3")  # noqa: S608
    store.db.execute(f"UPDATE queue SET not_before = 10000 WHERE {kind} IN (4, 5)")  # noqa: S608
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    queue_filter = QueueFilter(environments=ENVIRONMENTS[:2], untrusted_environments=())
    store.db.conn.set_progress_handler(step, 1)
    leased = store.queue.lease(queue_filter, run="run", limit=10, until=9000, now=5000)
    store.db.conn.set_progress_handler(None, 1)
    assert [queued.cell.release.package for queued in leased] == [f"a{7 * n + 6}" for n in range(10)]
    # About 40 steps of SQLite's machine for each cell that is taken; each other one would cost ten more.
    assert steps < 1500


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


def test_a_person_s_request_comes_before_the_watchlist(store: Store) -> None:
    for release, source in ((SIX, "watchlist"), (IDNA, "requirements")):
        store.queue.enqueue(cells(release, "py39-slim"), source=source, now=1)
    assert [q.cell.release for q in take(store, "py39-slim", now=2)] == [IDNA, SIX]
    store.queue.release_leases()
    store.queue.enqueue(cells(SIX, "py39-slim"), source="named", now=0)
    assert [(q.cell.release, q.source) for q in take(store, "py39-slim", now=2)] == [
        (SIX, "named"),
        (IDNA, "requirements"),
    ]


@pytest.mark.parametrize("source", ["late-file", "withdrawal", "dependency", "image", "pip", "named"])
def test_what_has_changed_is_tried_anew_although_it_was_given_up(store: Store, source: str) -> None:
    trigger = Trigger(kind=TriggerKind.LATE_FILE, name="six", version="1.17.0")
    store.queue.enqueue(cells(SIX, "py39-slim"), source="journal", now=1)
    store.db.execute("UPDATE queue SET attempts = ?, not_before = 100", (MAX_ATTEMPTS,))
    assert store.queue.enqueue(cells(SIX, "py39-slim"), source="journal", now=2) == 0
    assert take(store, now=200) == []
    assert store.queue.enqueue(cells(SIX, "py39-slim"), source=source, now=2, triggered_by=trigger) == 0
    (queued,) = take(store, now=3)
    assert (queued.source, queued.attempts, queued.triggered_by) == (source, 0, trigger)


NUMPY = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0")
PIP = Trigger(kind=TriggerKind.PIP, name="pip", version="26.0")
WHEEL = Trigger(kind=TriggerKind.LATE_FILE, name="six-1.17.0-2-py3-none-any.whl", version="1.17.0")
OTHER_WHEEL = replace(WHEEL, name="six-1.17.0-3-py3-none-any.whl")


@pytest.mark.parametrize("attempts", [0, 1, MAX_ATTEMPTS])
@pytest.mark.parametrize(
    ("first", "later", "named"),
    [
        (NUMPY, PIP, NUMPY),
        (PIP, NUMPY, PIP),
        # Of what a file of its own changed, no other release is to be named as the reason.
        (NUMPY, WHEEL, WHEEL),
        (WHEEL, NUMPY, WHEEL),
        (WHEEL, OTHER_WHEEL, WHEEL),
        # A yank of its own has no trigger: what comes then does.
        (None, NUMPY, NUMPY),
        (NUMPY, None, NUMPY),
    ],
)
def test_a_cell_with_two_triggers_keeps_the_first_unless_the_second_is_its_own_file(
    store: Store, first: Trigger | None, later: Trigger | None, named: Trigger, attempts: int
) -> None:
    for now, trigger in ((1, first), (2, later)):
        source = str(trigger.kind) if trigger else "withdrawal"
        store.queue.enqueue(cells(SIX, "py39-slim"), source=source, now=now, triggered_by=trigger)
        if now == 1:
            store.db.execute("UPDATE queue SET attempts = ?", (attempts,))
    # A person who asks for it does not hide why it waited.
    store.queue.enqueue(cells(SIX, "py39-slim"), source="named", now=3)
    (queued,) = take(store, now=4)
    assert (queued.triggered_by, queued.source, queued.attempts) == (named, "named", 0)


@pytest.mark.parametrize("before", ["journal", "dependency"])
@pytest.mark.parametrize("change", ["late-file", "withdrawal", "dependency", "image", "pip"])
def test_what_changes_while_a_cell_is_checked_elsewhere_is_not_lost(
    store: Store, record: Builder, before: str, change: str
) -> None:
    seen = record("six", "1.17.0", "py39-slim", observed_at=20)
    store.queue.enqueue(cells(SIX, "py39-slim"), source=before, now=10)
    store.queue.enqueue(cells(SIX, "py39-slim"), source=change, now=30)
    store.add_record(seen)
    assert store.queue.length() == 1, "it was observed before the change"
    store.add_record(replace(seen, observed_at=40))
    assert store.queue.length() == 0


def test_a_first_check_has_no_trigger(store: Store) -> None:
    store.queue.enqueue(cells(SIX, "py39-slim"), source="journal", now=1)
    store.queue.enqueue(cells(SIX, "py39-slim"), source="late-file", now=2, triggered_by=WHEEL)
    (queued,) = take(store, now=3)
    assert queued.triggered_by is None


def test_what_a_person_asked_for_stays_so_whatever_changes(store: Store) -> None:
    store.queue.enqueue(cells(SIX, "py39-slim"), source="named", now=1)
    store.db.execute("UPDATE queue SET attempts = ?", (MAX_ATTEMPTS,))
    store.queue.enqueue(cells(SIX, "py39-slim"), source="late-file", now=2)
    assert waiting(store) == [("six", "named", MAX_ATTEMPTS, 0)]


def test_more_downloads_come_first_then_what_is_likely_to_have_changed(store: Store, record: Builder) -> None:
    know_downloads(store, "2027-01", {"popular": 1_000_000})
    know_downloads(store, "2026-12", {"new": 2_000_000})
    prepare(store.db, store.path, QueuePolicy(), now=0)
    for version, result in (("1.0", "PASS"), ("2.0", "FAIL")):
        store.add_record(record("broken", version, "py39-slim", result=result))
        store.add_record(record("steady", version, "py39-slim"))
    names = ("new", "steady", "broken", "popular")
    for name in names:
        store.queue.enqueue(cells(Release(package=name, version="3.0"), "py39-slim"), source="journal", now=1)
    assert [q.cell.release.package for q in take(store, now=2)] == ["popular", "broken", "new", "steady"]


def test_an_error_keeps_the_place_among_those_with_as_many_attempts(store: Store, record: Builder) -> None:
    for release in (SIX, IDNA):
        store.queue.enqueue(cells(release, "py39-slim"), source="named", now=1 if release is SIX else 2)
    for queued in reversed(take(store, now=3)):
        error = record(queued.cell.release.package, queued.cell.release.version, "py39-slim", result="ERROR")
        store.add_record(error, retry=queued, now=4)
    assert [q.cell.release for q in take(store, now=4 + RETRY_DELAYS_S[0])] == [SIX, IDNA]


def test_a_share_is_leased_and_counted_alone(store: Store) -> None:
    for release in (SIX, IDNA):
        store.queue.enqueue(cells(release, *ENVIRONMENTS), source="feed", now=1)
    mine = QueueFilter(environments=ENVIRONMENTS, share=lambda package, *_: package == "idna")
    assert store.queue.due_counts(mine, now=2) == dict.fromkeys(ENVIRONMENTS, 1)
    leased = store.queue.lease(mine, run="run", limit=100, until=9, now=2)
    assert {queued.cell.release for queued in leased} == {IDNA}
    assert len(leased) == len(ENVIRONMENTS)
