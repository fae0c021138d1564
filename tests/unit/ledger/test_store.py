"""Writing observations: added once, never changed, and a queue that loses nothing."""

from collections.abc import Callable

import pytest

from ppp.ledger import queries
from ppp.ledger.store import Queued, Store
from ppp.model.matrix import Cell
from ppp.model.record import Record, sha256_hex
from ppp.model.release import Release

Builder = Callable[..., Record]
ENVIRONMENTS = ("py39-slim", "py312-slim", "py312-alpine")
SIX = Release(package="six", version="1.17.0")
IDNA = Release(package="idna", version="3.7")


def cells(release: Release, *environments: str) -> list[Cell]:
    return [Cell(release=release, environment=e) for e in environments]


def count(store: Store, table: str) -> int:
    return store.db.table(table).count


def test_a_record_is_added_once(store: Store, record: Builder) -> None:
    assert store.add_record(record())
    assert not store.add_record(record())
    assert [count(store, t) for t in ("records", "results", "releases", "packages", "environments", "nodes")] == [1] * 6


def test_an_older_observation_is_kept_and_is_not_current(store: Store, record: Builder) -> None:
    newer, older = record(observed_at=200), record(observed_at=100, result="FAIL")
    for each in (newer, older):
        assert store.add_record(each)
    assert count(store, "records") == 2
    assert [*queries.current_of(store.db, record().release).values()] == [newer]


def test_an_error_of_ours_never_hides_a_verdict(store: Store, record: Builder) -> None:
    error, verdict, later = (
        record(observed_at=1, result="ERROR"),
        record(observed_at=2),
        record(observed_at=3, result="ERROR"),
    )
    seen = []
    for each in (error, verdict, later):
        store.add_record(each)
        seen += [*queries.current_of(store.db, record().release).values()]
    assert seen == [error, verdict, verdict]


def test_a_log_is_kept_once_under_its_hash(store: Store, record: Builder) -> None:
    log = "gcc: not found\n\x00\u202e é"
    digest = sha256_hex(log.encode())
    for environment in ENVIRONMENTS:
        store.add_record(record(environment=environment, log_sha256=digest), log)
    assert count(store, "logs") == 1
    assert queries.log(store.db, digest) == log
    assert queries.log(store.db, "0" * 64) is None


@pytest.mark.parametrize(("named", "given"), [(None, "log"), ("log", None), ("log", "another log")])
def test_a_log_that_is_not_the_record_s_stores_nothing(
    store: Store, record: Builder, named: str | None, given: str | None
) -> None:
    made = record(log_sha256=named and sha256_hex(named.encode()))
    cell = Cell(release=made.release, environment=made.environment)
    store.enqueue([cell], source="named", now=1)
    with pytest.raises(ValueError, match="the log is not the one"):
        store.add_record(made, given)
    assert [count(store, t) for t in ("records", "results", "packages", "logs")] == [0] * 4
    assert store.queue_length() == 1, "its cell is still queued"


def test_a_recorded_cell_leaves_the_queue(store: Store, record: Builder) -> None:
    store.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1)
    store.add_record(record("six", "1.17.0", "py312-slim"))
    assert [q.cell.environment for q in store.queued(ENVIRONMENTS)] == [e for e in ENVIRONMENTS if e != "py312-slim"]


def test_a_cell_to_be_tried_again_goes_behind_all_that_were_tried_less_often(store: Store, record: Builder) -> None:
    store.enqueue(cells(SIX, "py312-slim"), source="feed", now=1)
    (first,) = store.queued(ENVIRONMENTS)
    store.add_record(record("six", "1.17.0", "py312-slim", result="ERROR", observed_at=50), retry=first)
    store.enqueue(cells(IDNA, "py312-slim"), source="named", now=60)
    again = Queued(cell=first.cell, source="feed", attempts=1)
    assert store.queued(ENVIRONMENTS) == [
        Queued(cell=cells(IDNA, "py312-slim")[0], source="named", attempts=0),
        again,
    ]
    store.add_record(record("six", "1.17.0", "py312-slim", observed_at=70))
    assert again not in store.queued(ENVIRONMENTS)


def test_queueing_twice_changes_nothing(store: Store) -> None:
    assert store.enqueue(cells(SIX, *ENVIRONMENTS), source="feed", now=1) == 3
    assert store.enqueue([*cells(SIX, *ENVIRONMENTS), *cells(IDNA, "py39-slim")], source="named", now=2) == 1
    assert store.queue_length() == 4
    assert store.enqueue([], source="feed", now=3) == 0


def test_what_somebody_asks_for_is_no_longer_the_feed_s(store: Store, record: Builder) -> None:
    store.enqueue(cells(SIX, "py39-slim"), source="feed", now=1)
    (queued,) = store.queued(ENVIRONMENTS)
    store.add_record(record("six", "1.17.0", "py39-slim", result="ERROR"), retry=queued)
    assert store.enqueue(cells(SIX, "py39-slim"), source="feed", now=2) == 0
    assert [(q.source, q.attempts) for q in store.queued(ENVIRONMENTS)] == [("feed", 1)]
    assert store.enqueue(cells(SIX, "py39-slim"), source="named", now=3) == 0
    assert [(q.source, q.attempts) for q in store.queued(ENVIRONMENTS)] == [("named", 0)]
    assert store.enqueue(cells(SIX, "py39-slim"), source="feed", now=4) == 0
    assert [(q.source, q.attempts) for q in store.queued(ENVIRONMENTS)] == [("named", 0)]


def test_the_queue_gives_the_oldest_first_and_only_what_can_run(store: Store) -> None:
    store.enqueue(cells(SIX, "py39-slim", "py312-slim"), source="feed", now=2)
    store.enqueue(cells(IDNA, "py312-slim", "py312-alpine"), source="feed", now=1)
    assert [str(q.cell) for q in store.queued(["py39-slim", "py312-slim"])] == [
        "idna==3.7 in py312-slim",
        "six==1.17.0 in py39-slim",
        "six==1.17.0 in py312-slim",
    ]


def test_what_somebody_named_comes_before_the_feed(store: Store) -> None:
    store.enqueue(cells(SIX, "py39-slim"), source="feed", now=1)
    store.enqueue(cells(IDNA, "py39-slim"), source="named", now=2)
    assert [str(q.cell) for q in store.queued(["py39-slim"])] == ["idna==3.7 in py39-slim", "six==1.17.0 in py39-slim"]
    assert store.queued([]) == []


def test_the_last_reason_of_a_skip_stands(store: Store) -> None:
    store.skip(SIX, "", reason="unsandboxed", now=1)
    store.skip(SIX, "", reason="still unsandboxed", now=2)
    store.skip(SIX, "py39-host", reason="other", now=3)
    found = store.db.execute("SELECT environment, reason, skipped_at FROM skips ORDER BY environment").fetchall()
    assert found == [("", "still unsandboxed", 2), ("py39-host", "other", 3)]


def test_a_source_is_remembered_without_its_address(store: Store) -> None:
    address = "https://user:secret@feed.example/updates.xml"
    assert store.source(address) == (None, None)
    store.remember_source(address, etag='"a"', last_modified=None, releases=100, now=1)
    store.remember_source(address, etag='"b"', last_modified="Thu", releases=99, now=2)
    assert store.source(address) == ('"b"', "Thu")
    assert store.source("https://other.example") == (None, None)
    assert count(store, "sources") == 1
    assert "secret" not in str(list(store.db.query("SELECT * FROM sources")))


def test_environments_are_told_apart(store: Store, record: Builder) -> None:
    for environment in ("py39-slim", "py312-alpine", "py310-host"):
        store.add_record(record(environment=environment))
    found = store.db.execute("SELECT environment, python, platform, python_key FROM environments ORDER BY python_key")
    assert found.fetchall() == [
        ("py39-slim", "3.9", "slim", 309),
        ("py310-host", "3.10", "host", 310),
        ("py312-alpine", "3.12", "alpine", 312),
    ]
