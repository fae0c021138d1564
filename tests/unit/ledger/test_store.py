"""Writing observations: records are added once and never changed."""

from collections.abc import Callable

import pytest

from ppp.ledger import queries
from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Cell
from ppp.model.record import Record
from ppp.model.release import Release

Builder = Callable[..., Record]
ENVIRONMENTS = ("py39-slim", "py312-slim", "py312-alpine")
SIX = Release(package="six", version="1.17.0")


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
