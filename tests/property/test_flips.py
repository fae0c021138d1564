"""Flips are the same in SQL and in Python, and the index of dependents the same in any order of records."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger.flips import find_flips
from ppp.model.record import Installed, Record, Result
from ppp.model.release import Release
from ppp.model.trigger import Trigger, TriggerKind

DIGESTS = [f"sha256:{digit * 64}" for digit in "12"]
TRIGGERS = [
    None,
    *(Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version=version) for version in ("2.0", "2.1")),
    Trigger(kind=TriggerKind.DEPENDENCY, name="attrs", version="2.0"),
    Trigger(kind=TriggerKind.WITHDRAWAL, name="numpy", version="2.0"),
    Trigger(kind=TriggerKind.IMAGE, name="python:3.12-slim", version=DIGESTS[0]),
    Trigger(kind=TriggerKind.PIP, name="pip", version="26.0.1"),
    Trigger(kind=TriggerKind.LATE_FILE, name="six.whl", version="1.0"),
    Trigger(kind=TriggerKind.AGE, name="5a" * 32, version="2026-06-01"),
]
INSTALLED = [(), *(((name, version),) for name in ("numpy", "attrs") for version in ("1.0", "2.0", "2.1"))]


@st.composite
def observations(draw: st.DrawFn) -> Record:
    rows = draw(st.sampled_from(INSTALLED))
    return replace(
        SAMPLE_RECORD,
        release=Release(package="six", version=draw(st.sampled_from(["1.0", "1.1"]))),
        node=draw(st.sampled_from(["ab" * 32, "cd" * 32])),
        # Two may be of one second: then the id decides.
        observed_at=draw(st.integers(0, 5)),
        result=draw(st.sampled_from(Result)),
        triggered_by=draw(st.sampled_from(TRIGGERS)),
        installed=tuple(Installed(name=name, version=version, sha256=None) for name, version in rows),
        image_digest=draw(st.sampled_from([None, *DIGESTS])),
        pip_version=draw(st.sampled_from(["25.0", "26.0.1"])),
    )


@settings(max_examples=60)
@given(st.lists(observations(), max_size=12, unique_by=lambda record: record.id))
def test_sql_and_python_find_the_same_in_any_order(records: list[Record]) -> None:
    expected = [
        (flip.kind, flip.trigger.name, flip.trigger.version, flip.record, flip.record_before, flip.confirmed)
        for flip in find_flips(records)
    ]
    indexes = []
    for order in (records, records[::-1]):
        with store_in_memory() as store:
            with store.db.atomic():
                for each in order:
                    store.insert_record(each, None)
            rows = store.db.execute(
                "SELECT flip, trigger_name, trigger_version, record, record_before, confirmed FROM flips"
                " ORDER BY observed_at, record"
            )
            assert rows.fetchall() == expected
            indexes.append(store.db.execute("SELECT * FROM dependents ORDER BY 1, 2, 3").fetchall())
    assert indexes[0] == indexes[1]
