"""Flakiness: re-checks are compared, counted, and published by day."""

from collections.abc import Callable
from dataclasses import replace

from ledger_reads import read_flakiness

from ppp.ledger.flakiness import Flakiness, compare_pairs, sample_records
from ppp.ledger.staging import Recheck, RecheckReason, add_pair
from ppp.ledger.store import Store
from ppp.model.record import Record

Builder = Callable[..., Record]


def pairs(record: Builder) -> list[tuple[Record, Record]]:
    """Two that agree, two that came to another result, one to another cause."""
    changes: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"result": "FAIL", "cause": "crash"}, {"result": "FAIL", "cause": "crash"}),
        ({"result": "FAIL"}, {}),
        ({"result": "FAIL"}, {}),
        ({"result": "FAIL", "cause": "crash"}, {"result": "FAIL", "cause": "exits"}),
    ]
    later = record().observed_at + 1
    return [
        (record(f"package-{n}", **first), record(f"package-{n}", observed_at=later, **second))
        for n, (first, second) in enumerate(changes)
    ]


def test_disagreements_are_counted_by_before_and_after(record: Builder) -> None:
    flakiness = compare_pairs(pairs(record))
    assert flakiness == Flakiness(pairs=5, results={"FAIL → PASS": 2}, causes={"crash → exits": 1})
    assert flakiness.disagreements == 3
    assert str(flakiness) == "5 cells checked twice, 3 disagree: 2 of FAIL → PASS, 1 of crash → exits"
    assert flakiness.to_json() == {
        "pairs": 5,
        "disagreements": 3,
        "results": {"FAIL → PASS": 2},
        "causes": {"crash → exits": 1},
    }
    assert str(compare_pairs([])) == "0 cells checked twice, 0 disagree"


def test_the_ledger_separates_the_reasons_of_rechecks(store: Store, record: Builder) -> None:
    held = pairs(record)
    for first, second in held:
        for each in (first, second):
            store.add_record(each)
        look = RecheckReason.AA if first.result == second.result else RecheckReason.CONFIRMATION
        for _ in range(2):
            add_pair(store, Recheck(first=first.id, reason=look), second.id)
    assert read_flakiness(store.db, RecheckReason.CONFIRMATION) == Flakiness(pairs=2, results={"FAIL → PASS": 2})
    assert read_flakiness(store.db, RecheckReason.AA) == Flakiness(pairs=3, causes={"crash → exits": 1})
    rows = store.db.execute(
        "SELECT day, reason, pairs, other_result, other_cause FROM flakiness ORDER BY reason"
    ).fetchall()
    assert rows == [("2024-04-25", "aa", 3, 0, 1), ("2024-04-25", "confirmation", 2, 2, 0)]


def test_the_same_seed_gives_the_same_sample(record: Builder) -> None:
    records = [replace(record(), environment=f"py3{n}-slim") for n in range(9, 39)]
    chosen = sample_records(records, 5, seed=1)
    assert len(chosen) == 5
    assert sample_records(reversed(records), 5, seed=1) == chosen
    assert sample_records(records, 5, seed=2) != chosen
    assert sorted(sample_records(records, 99, seed=1), key=lambda r: r.id) == sorted(records, key=lambda r: r.id)
