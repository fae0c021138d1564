"""Sibling cells decide the same blame in SQL and in Python, and the look-ups use indexes."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import store_in_memory
from sample_record import SAMPLE_RECORD

from ppp.ledger.schema import open_ledger
from ppp.model.blame import AMBIGUOUS_CAUSES, assign_blame
from ppp.model.current import current_records
from ppp.model.drift import Culprit, Drift
from ppp.model.record import Blame, Record, Result
from ppp.model.release import Release

DRIFTED = Drift(as_of=1, result_then="PASS", runs=3)
BOUNDED = replace(DRIFTED, result_then="FAIL", culprits=(Culprit(name="a", works_with="1", fails_with="2"),))
NO_DRIFT = replace(DRIFTED, result_then="FAIL")


def observation(version: str, environment: str, outcome: tuple[Result, str | None, Blame | None], at: int) -> Record:
    result, cause, blame = outcome
    # By what is at hand: so each outcome occurs with each kind of drift, and without.
    drifts = (None, None, DRIFTED, BOUNDED, NO_DRIFT)
    return replace(
        SAMPLE_RECORD,
        release=Release(package="six", version=version),
        environment=environment,
        result=result,
        cause=cause,
        blame=blame,
        observed_at=at,
        drift=drifts[(at + len(environment) + len(cause or "")) % len(drifts)] if result is Result.FAIL else None,
    )


doubtful = st.tuples(
    st.just(Result.FAIL),
    st.sampled_from([*sorted(AMBIGUOUS_CAUSES), "import-error", None]),
    st.sampled_from([Blame.PACKAGE, Blame.UNKNOWN, Blame.DEPENDENCY, Blame.ENVIRONMENT, None]),
)
other = st.sampled_from(
    [
        (Result.PASS, None, None),
        (Result.NA, "requires-python", Blame.PACKAGE),
        (Result.ERROR, "oom", Blame.INFRASTRUCTURE),
        (Result.TIMEOUT, "timeout", Blame.UNKNOWN),
        (Result.FAIL, "no-compiler", Blame.ENVIRONMENT),
        (Result.FAIL, "import-error", Blame.PACKAGE),
    ]
)
ENVIRONMENTS = [f"py{p}-{s}" for p in ("39", "312") for s in ("slim", "alpine", "host")]


@st.composite
def releases(draw: st.DrawFn) -> list[Record]:
    """Draw observations of one or two releases; in about half of the draws all cells fail alike."""
    cause = draw(st.sampled_from(["import-error", "import-error", "unclassified", None]))
    theme = (Result.FAIL, cause, draw(st.sampled_from([Blame.UNKNOWN, None])))
    alike = st.sampled_from([theme, theme, (Result.NA, None, None), (Result.ERROR, "oom", Blame.INFRASTRUCTURE)])
    passing = st.sampled_from([theme, (Result.PASS, None, None)])
    outcome = draw(st.sampled_from([alike, passing, alike | doubtful | other]))
    cells = draw(st.lists(st.sampled_from(ENVIRONMENTS), min_size=1, max_size=5, unique=True))
    current = [observation("1.0", environment, draw(outcome), 101) for environment in cells]
    version, at = st.sampled_from(["1.0", "1.1"]), st.integers(100, 102)
    return current + draw(
        st.lists(st.builds(observation, version, st.sampled_from(ENVIRONMENTS), outcome, at), max_size=3)
    )


@settings(max_examples=100)
@given(releases())
def test_the_view_agrees_with_the_reference(drawn: list[Record]) -> None:
    with store_in_memory() as store:
        with store.db.atomic():
            for record in drawn:
                store.insert_record(record, None)
        current = current_records(drawn).values()
        judged = {
            release: assign_blame([r for r in current if r.release == release])
            for release in {r.release for r in current}
        }
        expected = {
            record.id: (judgement.blame, judgement.source)
            for record in current
            if (judgement := judged[record.release][record.environment])
        }
        rows = store.db.execute("SELECT record, blame, blamed_by FROM judged").fetchall()
        assert {record: (blame, by) for record, blame, by in rows} == expected
        assert len(rows) == len(expected)


def plan(query: str) -> list[str]:
    with TemporaryDirectory() as folder:
        db = open_ledger(Path(folder))
        steps = [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()]
        db.close()
    return steps


def test_the_view_has_the_columns_of_current_and_the_blame() -> None:
    with TemporaryDirectory() as folder:
        db = open_ledger(Path(folder))
        before, after = (
            [column[0] for column in db.execute(f"SELECT * FROM {view}").description]  # noqa: S608 - our words
            for view in ("current", "judged")
        )
        db.close()
    assert sorted(after) == sorted([*before, "blamed_by"])


def test_a_cell_and_its_siblings_are_found_by_an_index() -> None:
    for where in ("package = 'a' AND version = '1' AND environment = 'e'", "package = 'a'", "record = 'x'"):
        steps = plan(f"SELECT * FROM judged WHERE {where}")  # noqa: S608 - our words
        assert sum(step.startswith("SEARCH r ") for step in steps) > 4, steps
        assert not [step for step in steps if step.startswith("SCAN") or "TEMP" in step], steps


def test_only_the_list_of_cells_is_scanned() -> None:
    steps = plan("SELECT blame, blamed_by FROM judged")
    assert len([step for step in steps if step.startswith("SCAN")]) == 1, steps
    assert any("CORRELATED" in step for step in steps)
