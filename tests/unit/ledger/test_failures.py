"""The views of what is broken: which failures are new, on what nodes disagree, and that a day's coverage adds up."""

from collections.abc import Callable
from typing import Any

from ppp.ledger.store import Store
from ppp.model.record import Outcome, Record

DAY = 1_714_003_200
OTHER = "cd" * 32
Make = Callable[..., Record]


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.db.execute(sql).fetchall()]


def add(store: Store, *records: Record) -> None:
    for each in records:
        store.add_record(each)


def test_what_failed_is_there_and_nothing_else(store: Store, record: Make) -> None:
    for result in ("PASS", "FAIL", "TIMEOUT", "ERROR", "NA"):
        add(store, record(result.lower(), "1", result=result))
    assert rows(store, "SELECT package, result FROM failures ORDER BY package") == [
        ("fail", "FAIL"),
        ("timeout", "TIMEOUT"),
    ]


def test_broken_is_new_where_the_version_before_passed(store: Store, record: Make) -> None:
    add(store, record("new", "1.9"), record("new", "1.10", result="FAIL"))
    add(store, record("still", "1.0", result="FAIL"), record("still", "1.1", result="FAIL"))
    add(store, record("mended", "1.0"), record("mended", "1.1", result="FAIL"), record("mended", "1.2"))
    add(store, record("elsewhere", "1.0", "py39-slim"), record("elsewhere", "1.1", "py312-slim", result="FAIL"))
    add(store, record("first", "1.0", result="FAIL"))
    add(store, record("slow", "1"), record("slow", "2", result="TIMEOUT"))
    found = rows(store, "SELECT package, version_before, version, result FROM newly_broken ORDER BY package")
    assert found == [("new", "1.9", "1.10", "FAIL"), ("slow", "1", "2", "TIMEOUT")]


def test_an_error_of_ours_is_neither_before_nor_after(store: Store, record: Make) -> None:
    add(store, record("between", "1"), record("between", "2", result="ERROR"), record("between", "3", result="FAIL"))
    add(store, record("after", "1"), record("after", "2", result="FAIL"), record("after", "3", result="ERROR"))
    add(store, record("claims", "1"), record("claims", "2", result="NA"), record("claims", "3", result="FAIL"))
    found = rows(store, "SELECT package, version_before, version FROM newly_broken ORDER BY package")
    assert found == [("after", "1", "2"), ("between", "1", "3")]


def test_never_on_alpine_takes_every_version_and_a_pass_elsewhere(store: Store, record: Make) -> None:
    failed = (Outcome.PASS, Outcome.FAIL, Outcome.SKIP, Outcome.SKIP)
    for package in ("never", "once", "nowhere"):
        for version in ("1", "2"):
            broken = package != "once" or version == "2"
            said = {"result": "FAIL", "outcomes": failed} if broken else {}
            add(store, record(package, version, "py312-alpine", observed_at=DAY + int(version), **said))
            add(store, record(package, version, "py312-slim", result="FAIL" if package == "nowhere" else "PASS"))
    add(store, record("unseen", "1", "py312-slim"))
    found = rows(store, "SELECT package, versions, last_observed_at FROM never_on_alpine")
    assert found == [("never", 2, DAY + 2)]


def test_nodes_disagree_where_two_say_something_else(store: Store, record: Make) -> None:
    add(store, record("split", "1"), record("split", "1", node=OTHER, result="FAIL"))
    add(store, record("agreed", "1", result="FAIL"), record("agreed", "1", node=OTHER, result="FAIL"))
    add(store, record("ours", "1"), record("ours", "1", node=OTHER, result="ERROR"))
    add(store, record("turned", "1"), record("turned", "1", result="FAIL", observed_at=DAY + 1))
    assert rows(store, "SELECT package, version, nodes FROM disagreements") == [("split", "1", 2)]


def test_a_days_coverage_adds_up(store: Store, record: Make) -> None:
    for result in ("PASS", "FAIL", "TIMEOUT", "ERROR", "NA"):
        add(store, record("one", "1", f"py39-{'slim' if result != 'NA' else 'alpine'}", result=result))
        add(store, record("two", "1", result=result, observed_at=DAY - 1))
    store.db.execute("INSERT INTO skips VALUES ('three', '1', '', 'yanked', ?)", (DAY + 7,))
    store.db.execute("INSERT INTO skips VALUES ('three', '1', 'py39-slim', 'yanked', ?)", (DAY + 90_000,))
    sums = "passed + failed + timed_out + errors + not_claimed"
    found = rows(store, f"SELECT day, records, {sums}, releases, packages, skipped FROM coverage ORDER BY day")  # noqa: S608
    assert found == [
        ("2024-04-24", 5, 5, 1, 1, 0),
        ("2024-04-25", 5, 5, 1, 1, 1),
        ("2024-04-26", 0, 0, 0, 0, 1),
    ]
