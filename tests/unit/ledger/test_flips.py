"""Which verdicts changed in a re-check, and because of what: the rule in Python and the view in SQL."""

from collections.abc import Callable, Sequence
from itertools import product

import pytest

from ppp.ledger.flips import FlipKind, find_flips, read_flips, triggers_of_packages
from ppp.ledger.store import Store
from ppp.model.record import Installed, Record, Result
from ppp.model.trigger import Trigger, TriggerKind

Make = Callable[..., Record]
NUMPY_2 = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0")
NUMPY_21 = Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.1")
DIGEST = "sha256:" + "12" * 32
IMAGE = Trigger(kind=TriggerKind.IMAGE, name="python:3.12-slim", version=DIGEST)
PIP = Trigger(kind=TriggerKind.PIP, name="pip", version="26.0.1")
LATE = Trigger(kind=TriggerKind.LATE_FILE, name="six-1.0-cp312.whl", version="1.0")
GONE = Trigger(kind=TriggerKind.WITHDRAWAL, name="numpy", version="2.0.0")
OTHER = "cd" * 32


def installed(version: str) -> tuple[Installed, ...]:
    return (Installed(name="numpy", version=version, sha256=None),)


def flips(store: Store, records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return each flip and its trigger's version, and see that both statements of the rule agree on all of it."""
    for each in records:
        store.add_record(each)
    found = find_flips(records)
    rows = store.db.execute(
        "SELECT flip, trigger_kind, trigger_name, trigger_version, package, version, environment, result,"
        " result_before, cause, detail, observed_at, node, record, record_before, confirmed FROM flips"
        " ORDER BY observed_at, record"
    ).fetchall()
    assert rows == [
        (
            *(f.kind, f.trigger.kind, f.trigger.name, f.trigger.version, f.release.package, f.release.version),
            *(f.environment, f.result, f.result_before, f.cause, f.detail, f.observed_at, f.node),
            *(f.record, f.record_before, int(f.confirmed)),
        )
        for f in found
    ]
    assert read_flips(store.db, ["numpy"]) == [flip for flip in found if flip.trigger.kind is TriggerKind.DEPENDENCY]
    return [(str(flip.kind), flip.trigger.version) for flip in found]


def test_a_new_release_breaks_and_the_next_one_fixes(store: Store, record: Make) -> None:
    story = [
        record("six", "1", observed_at=1, installed=installed("1.26")),
        # A regression is confirmed: two observations, one flip.
        record("six", "1", observed_at=2, result="FAIL", triggered_by=NUMPY_2, installed=installed("2.0.0")),
        record("six", "1", observed_at=3, result="FAIL", triggered_by=NUMPY_2, installed=installed("2.0.0")),
        record("six", "1", observed_at=4, result="ERROR", triggered_by=NUMPY_21),
        record("six", "1", observed_at=5, triggered_by=NUMPY_21, installed=installed("2.0.1")),
    ]
    assert flips(store, story) == [("broke", "2.0.0"), ("fixed", "2.0.1")]
    assert [flip.record_before for flip in find_flips(story)] == [story[0].id, story[2].id]
    assert triggers_of_packages(store.db, ["six", "unknown"]) == [], "without a result it has no page"
    store.add_record(record("numpy", "2.0.0"))
    assert triggers_of_packages(store.db, ["six", "unknown"]) == ["numpy"]


def test_what_a_second_observation_does_not_confirm_is_no_flip(store: Store, record: Make) -> None:
    story = [
        record("six", "1", observed_at=1),
        record("six", "1", observed_at=2, result="FAIL", triggered_by=NUMPY_2, installed=installed("2.0.0")),
        record("six", "1", observed_at=3, triggered_by=NUMPY_2, installed=installed("2.0.0")),
    ]
    assert flips(store, story) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"triggered_by": NUMPY_2, "installed": installed("2.0.0")}, [("broke", "2.0.0")]),
        # Its record shows that it ran with another version, or without the dependency.
        ({"triggered_by": NUMPY_2, "installed": installed("1.26")}, []),
        ({"triggered_by": NUMPY_2, "installed": (Installed(name="six", version="1", sha256=None),)}, []),
        # Nothing could be installed: nothing shows that it was not the trigger.
        ({"triggered_by": NUMPY_2, "installed": ()}, [("broke", "2.0.0")]),
        ({"triggered_by": IMAGE, "image_digest": DIGEST}, [("broke", DIGEST)]),
        ({"triggered_by": IMAGE, "image_digest": "sha256:" + "34" * 32}, []),
        ({"triggered_by": IMAGE, "image_digest": None}, []),
        ({"triggered_by": PIP, "pip_version": "26.0.1"}, [("broke", "26.0.1")]),
        ({"triggered_by": PIP, "pip_version": "26.0.2"}, []),
        ({"triggered_by": LATE}, [("broke", "1.0")]),
        # The release that was withdrawn is still what was installed, or is not.
        ({"triggered_by": GONE, "installed": installed("2.0.0")}, []),
        ({"triggered_by": GONE, "installed": installed("1.26")}, [("broke", "2.0.0")]),
        ({"triggered_by": GONE}, [("broke", "2.0.0")]),
        ({"triggered_by": None, "installed": installed("2.0.0")}, []),
        # Another node's verdict, another environment, another release: nothing to compare with.
        ({"triggered_by": NUMPY_2, "node": OTHER}, []),
        ({"triggered_by": NUMPY_2, "environment": "py39-slim"}, []),
        ({"triggered_by": NUMPY_2, "version": "2"}, []),
    ],
)
def test_a_flip_is_not_attributed_where_the_record_contradicts(
    store: Store, record: Make, fields: dict[str, object], expected: list[tuple[str, str]]
) -> None:
    place = {"package": "six", "version": "1", "environment": "py312-slim"}
    changed = {**place, **{name: fields.pop(name) for name in place if name in fields}}
    story = [record(**place, observed_at=1), record(**changed, observed_at=2, result="FAIL", **fields)]
    assert flips(store, story) == expected


def test_only_a_pass_and_a_failure_are_the_sides_of_a_flip(store: Store, record: Make) -> None:
    expected = {
        (Result.PASS, Result.FAIL): FlipKind.BROKE,
        (Result.PASS, Result.TIMEOUT): FlipKind.BROKE,
        (Result.FAIL, Result.PASS): FlipKind.FIXED,
        (Result.TIMEOUT, Result.PASS): FlipKind.FIXED,
    }
    story: list[Record] = []
    for number, (before, now) in enumerate(product(Result, Result)):
        story.append(record("six", str(number), observed_at=1, result=str(before)))
        story.append(record("six", str(number), observed_at=2, result=str(now), triggered_by=NUMPY_2))
    assert len(flips(store, story)) == len(expected)
    assert {(f.result_before, f.result): f.kind for f in find_flips(story)} == expected


def test_the_flips_of_a_release_are_found_by_an_index(store: Store) -> None:
    plan = store.db.execute(
        "EXPLAIN QUERY PLAN SELECT * FROM json_each('[\"numpy\"]') AS n CROSS JOIN flips AS f"
        " WHERE f.triggered_by >= n.value || '\"' AND f.triggered_by < n.value || '#'"
    ).fetchall()
    steps = [row[3] for row in plan]
    assert any("c USING INDEX records_with_trigger" in step and ">?" in step for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN") and "json_each" not in step and "VIRTUAL" not in step]
