"""The views of the ledger: current results, findings, disagreements, coverage."""

import json
import re
from collections.abc import Callable
from typing import Any

from ppp.ledger.schema import MAX_ATTEMPTS
from ppp.ledger.store import Store
from ppp.model.blame import AMBIGUOUS_CAUSES
from ppp.model.canonical import sha256_hex
from ppp.model.matrix import Platform, environment_sort_key
from ppp.model.record import Outcome, Phase, Record, outcomes_in_order

DAY = 1_714_003_200
OTHER = "cd" * 32
Make = Callable[..., Record]


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.db.execute(sql).fetchall()]


def add(store: Store, *records: Record) -> None:
    for each in records:
        store.add_record(each)


INSTALLED = {Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.PASS, Phase.FULL: Outcome.PASS}


def test_the_matrix_has_the_newest_release_of_each_package(store: Store, record: Make) -> None:
    for version in ("1.9", "1.10", "1.10rc1"):
        add(store, record("six", version, "py39-slim", result="PASS" if version == "1.10" else "FAIL"))
    add(
        store, record("six", "1.10", "py312-alpine", result="NA"), record("idna", "3.7", "py311-host", result="TIMEOUT")
    )
    found = rows(store, "SELECT package, version, results FROM matrix ORDER BY package")
    assert [(package, version, json.loads(results)) for package, version, results in found] == [
        ("idna", "3.7", {"py311-host": "TIMEOUT"}),
        ("six", "1.10", {"py39-slim": "PASS", "py312-alpine": "NA"}),
    ]
    assert rows(store, "SELECT results ->> 'py39-slim' FROM matrix WHERE package = 'six'") == [("PASS",)]


def test_the_matrix_lists_whatever_environments_there_are_in_their_order(store: Store, record: Make) -> None:
    environments = [f"py{python}-{platform}" for platform in Platform for python in ("39", "310", "313", "314", "320")]
    for environment in sorted(environments, key=lambda name: sha256_hex(name.encode())):
        add(store, record("six", "1", environment))
    ((results,),) = rows(store, "SELECT results FROM matrix")
    assert [*json.loads(results)] == environments == sorted(environments, key=environment_sort_key)


def test_alpine_only_compares_the_same_python(store: Store, record: Make) -> None:
    store.add_record(record("a", "1", "py312-slim"))
    store.add_record(record("a", "1", "py312-alpine", result="FAIL", cause="no-compiler"))
    store.add_record(record("b", "1", "py39-slim"))
    store.add_record(record("b", "1", "py312-alpine", result="FAIL"))
    store.add_record(record("c", "1", "py312-slim"))
    store.add_record(record("c", "1", "py312-alpine", result="NA"))
    assert rows(store, "SELECT package, environment, python, cause FROM alpine_only") == [
        ("a", "py312-alpine", "3.12", "no-compiler")
    ]


def test_a_python_regression_passes_on_an_older_python_of_its_platform(store: Store, record: Make) -> None:
    for environment, result in {"py39-slim": "PASS", "py311-slim": "PASS", "py312-slim": "FAIL"}.items():
        store.add_record(record("a", "1", environment, result=result))
    for environment, result in {"py39-slim": "FAIL", "py312-slim": "PASS", "py312-alpine": "FAIL"}.items():
        store.add_record(record("b", "1", environment, result=result))
    assert rows(store, "SELECT package, fails_in, passes_in FROM python_regressions") == [
        ("a", "py312-slim", "py311-slim")
    ]


def test_a_phantom_success_installs_and_does_not_import(store: Store, record: Make) -> None:
    store.add_record(
        record("a", "1", result="FAIL", outcomes=outcomes_in_order({**INSTALLED, Phase.IMPORT: Outcome.FAIL}))
    )
    store.add_record(record("b", "1", result="FAIL", outcomes=outcomes_in_order({Phase.DOWNLOAD: Outcome.FAIL})))
    store.add_record(record("c", "1", outcomes=outcomes_in_order(INSTALLED)))
    assert rows(store, "SELECT package FROM phantom_successes") == [("a",)]


def test_never_on_alpine_considers_all_versions(store: Store, record: Make) -> None:
    nowhere = {
        "result": "FAIL",
        "outcomes": outcomes_in_order({Phase.DOWNLOAD: Outcome.PASS, Phase.NODEPS: Outcome.FAIL}),
    }
    for package in ("never", "once", "nowhere", "ours"):
        store.add_record(record(package, "2", "py312-slim", **({} if package != "nowhere" else nowhere)))
        ours = {"result": "ERROR", "outcomes": outcomes_in_order({Phase.DOWNLOAD: Outcome.ERROR})}
        store.add_record(record(package, "2", "py312-alpine", **(nowhere if package != "ours" else ours)))
    store.add_record(record("once", "1", "py39-alpine"))
    assert rows(store, "SELECT package, versions FROM never_on_alpine") == [("never", 1)]


def test_the_failures_view_has_failures_only(store: Store, record: Make) -> None:
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


def test_broken_ignores_errors(store: Store, record: Make) -> None:
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


def test_nodes_disagree_if_their_results_differ(store: Store, record: Make) -> None:
    add(store, record("split", "1"), record("split", "1", node=OTHER, result="FAIL"))
    add(store, record("agreed", "1", result="FAIL"), record("agreed", "1", node=OTHER, result="FAIL"))
    add(store, record("ours", "1"), record("ours", "1", node=OTHER, result="ERROR"))
    add(store, record("turned", "1"), record("turned", "1", result="FAIL", observed_at=DAY + 1))
    assert rows(store, "SELECT package, version, nodes FROM disagreements") == [("split", "1", 2)]


def test_a_days_coverage_adds_up(store: Store, record: Make) -> None:
    for result in ("PASS", "FAIL", "TIMEOUT", "ERROR", "NA"):
        add(store, record("one", "1", f"py39-{'slim' if result != 'NA' else 'alpine'}", result=result))
        add(store, record("two", "1", result=result, observed_at=DAY - 1))
    store.db.execute("INSERT INTO skips VALUES ('three', '1', '', 'expired', ?, 'x')", (DAY + 7,))
    store.db.execute("INSERT INTO skips VALUES ('three', '1', 'py39-slim', 'marker', ?, 'x')", (DAY + 90_000,))
    sums = "passed + failed + timed_out + errors + not_claimed"
    found = rows(store, f"SELECT day, records, {sums}, releases, packages, skipped FROM coverage ORDER BY day")  # noqa: S608
    assert found == [
        ("2024-04-24", 5, 5, 1, 1, 0),
        ("2024-04-25", 5, 5, 1, 1, 1),
        ("2024-04-26", 0, 0, 0, 0, 1),
    ]


def test_the_view_of_cells_that_were_given_up_counts_as_the_queue_does(store: Store) -> None:
    for attempts in range(MAX_ATTEMPTS + 2):
        store.db.execute(
            "INSERT INTO queue (package, version, environment, source, enqueued_at, attempts)"
            " VALUES ('six', ?, 'py39-slim', 'feed', 0, ?)",
            (str(attempts), attempts),
        )
    assert rows(store, "SELECT min(attempts), count(*) FROM given_up") == [(MAX_ATTEMPTS, 2)]


def test_the_views_name_the_causes_and_results_that_python_names(store: Store) -> None:
    ((judged,),) = rows(store, "SELECT sql FROM sqlite_schema WHERE name = 'judged'")
    lists = [set(re.findall(r"'([\w-]+)'", text)) for text in re.findall(r"'unclassified'\) IN \(([^)]*)\)", judged)]
    assert lists == [set(AMBIGUOUS_CAUSES)] * 2, "add a migration that creates `judged` again with the new causes"
