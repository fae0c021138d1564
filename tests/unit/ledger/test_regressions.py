"""Which failures are new regressions and need to be confirmed."""

from collections.abc import Callable
from typing import Any

import pytest

from ppp.ledger.regressions import FAILED_RESULTS, PriorResults, is_new_regression, prior_results
from ppp.ledger.store import Store
from ppp.model.matrix import Cell
from ppp.model.record import Record, Result

Builder = Callable[..., Record]


@pytest.mark.parametrize(
    ("here", "before", "fresh"),
    [
        (None, None, False),
        (Result.PASS, None, True),
        (Result.PASS, Result.FAIL, True),
        (None, Result.PASS, True),
        (Result.ERROR, Result.PASS, True),
        (Result.NA, Result.PASS, True),
        (Result.FAIL, Result.PASS, False),
        (Result.TIMEOUT, Result.PASS, False),
        (None, Result.FAIL, False),
        (None, Result.NA, False),
        (Result.ERROR, None, False),
    ],
)
def test_a_failure_is_a_new_regression_after_a_pass_only(
    here: Result | None, before: Result | None, *, fresh: bool
) -> None:
    known = PriorResults(current=here, previous_version=before)
    for result in Result:
        assert is_new_regression(result, known) == (fresh and result in FAILED_RESULTS)


def test_prior_results_of_a_cell(store: Store, record: Builder) -> None:
    cell = Cell.of(record("six", "1.10"))
    assert prior_results(store.db, cell) == PriorResults()
    for version, result, environment in (
        ("1.9", "PASS", "py312-slim"),
        ("1.10rc1", "ERROR", "py312-slim"),
        ("1.8", "TIMEOUT", "py312-slim"),
        ("1.11", "FAIL", "py312-slim"),
        ("1.9.1", "FAIL", "py312-alpine"),
    ):
        store.add_record(record("six", version, environment, result=result))
    store.add_record(record("attrs", "1.9.1", result="FAIL"))
    assert prior_results(store.db, cell) == PriorResults(previous_version=Result.PASS)
    store.add_record(record("six", "1.10", result="NA"))
    assert prior_results(store.db, cell) == PriorResults(current=Result.NA, previous_version=Result.PASS)
    store.add_record(record("six", "1.9", result="FAIL", observed_at=record().observed_at + 1))
    assert prior_results(store.db, cell) == PriorResults(current=Result.NA, previous_version=Result.FAIL)
    assert prior_results(store.db, Cell.of(record("six", "1.8"))) == PriorResults(current=Result.TIMEOUT)


def test_a_peers_failure_does_not_spare_this_node_a_confirmation(store: Store, record: Builder) -> None:
    own, later = "ab" * 32, record().observed_at + 1
    store.add_record(record("six", "1.9", node=own))
    store.add_record(record("six", "1.9", node="cd" * 32, result="FAIL", observed_at=later))
    store.add_record(record("six", "1.10", node=own))
    store.add_record(record("six", "1.10", node="cd" * 32, result="FAIL", observed_at=later))
    cell = Cell.of(record("six", "1.10"))
    prior = prior_results(store.db, cell, own=own)
    assert prior == PriorResults(current=Result.PASS, previous_version=Result.PASS)
    assert is_new_regression(Result.FAIL, prior)
    assert prior_results(store.db, cell) == PriorResults(current=Result.FAIL, previous_version=Result.FAIL)


def test_prior_results_read_the_cells_of_one_package_only(store: Store, record: Builder) -> None:
    asked: list[tuple[str, Any]] = []
    with store.db.tracer(lambda sql, values: asked.append((sql, values))):
        prior_results(store.db, Cell.of(record()))
    assert len(asked) == 2
    for sql, values in asked:
        plan = [detail for *_, detail in store.db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall()]
        assert plan
        assert not [step for step in plan if step.startswith("SCAN")], plan
