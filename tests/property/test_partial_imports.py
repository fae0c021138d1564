"""Which modules load only elsewhere: the view `imports_in_part` agrees with its reference in Python."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.model.partial_imports import partial_imports
from ppp.model.record import ModuleFailure, Outcome, Phase, Record, Result, Submodules, outcomes_in_order

MODULES = ("x", "y", "x.a", "x.b")
ENVIRONMENTS = ("py39-slim", "py312-slim", "py312-alpine")
failures = st.lists(
    st.builds(
        ModuleFailure,
        module=st.sampled_from(MODULES),
        outcome=st.sampled_from([Outcome.FAIL, Outcome.FAIL, Outcome.TIMEOUT, Outcome.ERROR, Outcome.SKIP]),
        cause=st.sampled_from([None, "shared-library"]),
        detail=st.none(),
    ),
    max_size=3,
    unique_by=lambda failure: failure.module,
).map(tuple)
tried = st.builds(Submodules, tried=st.sampled_from([2, 3]), left_out=st.sampled_from([0, 0, 0, 1]), failed=failures)
outcomes = st.sampled_from([Outcome.PASS, Outcome.PASS, Outcome.PASS, Outcome.SKIP])


@st.composite
def cells(draw: st.DrawFn) -> list[Record]:
    """Draw the cells of one release, most of which pass."""
    return [
        replace(
            SAMPLE_RECORD,
            environment=environment,
            result=draw(st.sampled_from([Result.PASS, Result.PASS, Result.PASS, Result.FAIL])),
            outcomes=outcomes_in_order({Phase.IMPORT: draw(outcomes)}),
            imports=draw(st.sampled_from([("x", "y"), ("x",)])),
            import_failures=draw(failures),
            submodules=draw(st.none() | tried),
        )
        for environment in draw(st.lists(st.sampled_from(ENVIRONMENTS), min_size=1, unique=True))
    ]


@settings(max_examples=150)
@given(cells())
def test_the_view_agrees_with_the_reference(drawn: list[Record]) -> None:
    with store_in_memory() as store:
        for record in drawn:
            store.insert_record(record, None)
        rows = store.db.execute("SELECT environment, module, cause, loads_in FROM imports_in_part").fetchall()
    assert sorted(map(repr, rows)) == sorted(
        repr((record.environment, partial.failure.module, partial.failure.cause, partial.loads_in))
        for record in drawn
        for partial in partial_imports(record, drawn)
    )
