"""A run that is to fail on results also fails where what it was asked for has no verdict."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.cli.reports.fail_on import run_failure
from ppp.cli.results import AskedCell
from ppp.model.matrix import Cell
from ppp.model.record import Result
from ppp.model.release import Release

SIX: Final = Release.parse("six", "1.17.0")
ENVIRONMENTS: Final = ("py311-slim", "py312-slim", "py312-alpine")


def asked(result: Result | None, environment: str = "py312-slim") -> AskedCell:
    return AskedCell(cell=Cell(release=SIX, environment=environment), result=result)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ((), None),
        ((Result.PASS, Result.NA, Result.FAIL, Result.TIMEOUT), None),
        ((Result.PASS, None), "1 of 2 cells have no verdict: six==1.17.0 in py312-slim is still queued"),
        ((Result.ERROR, None), "2 of 2 cells have no verdict: six==1.17.0 in py312-slim ended without a verdict"),
    ],
)
def test_what_has_no_verdict_is_no_success(results: tuple[Result | None, ...], message: str | None) -> None:
    error = run_failure([asked(result) for result in results], {}, required=())
    assert (error and (error.message, error.exit_code)) == (message and (message, 58))


def test_an_environment_that_was_named_must_be_there() -> None:
    cells, missing = [asked(None, "py312-alpine"), asked(Result.PASS)], {"py312-alpine": "no image"}
    error = run_failure(cells, missing, required=("py312-slim", "py312-alpine"))
    assert error
    assert (error.message, error.exit_code) == ("py312-alpine is not available: no image", 23)
    assert run_failure(cells, missing, required=()) is None, "of a whole matrix, it is left out"


@given(
    results=st.lists(st.tuples(st.sampled_from([*Result, None]), st.sampled_from(ENVIRONMENTS))),
    unavailable=st.sets(st.sampled_from(ENVIRONMENTS)),
    required=st.sets(st.sampled_from(ENVIRONMENTS)),
)
def test_no_error_means_that_every_cell_of_an_available_environment_has_a_verdict(
    results: list[tuple[Result | None, str]], unavailable: set[str], required: set[str]
) -> None:
    cells = [asked(result, environment) for result, environment in results]
    error = run_failure(cells, dict.fromkeys(unavailable, "why"), required=required)
    missing = unavailable & required
    undecided = [r for r, e in results if e not in unavailable and r in {None, Result.ERROR}]
    assert (error and error.exit_code) == (23 if missing else 58 if undecided else None)
