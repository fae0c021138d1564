"""The gate on the most important cells; for all others see tests/property/test_gate.py."""

import pytest

from ppp.check.phases import GateResult, PhaseReport, run_phases
from ppp.model.record import PHASES, Outcome, Phase, Result

PASS = PhaseReport(outcome=Outcome.PASS)


def cell(**reports: PhaseReport) -> GateResult:
    """Run the gate; a phase that is not named passes."""
    given = {Phase(name.rstrip("_")): report for name, report in reports.items()}
    return run_phases({phase: lambda phase=phase: given.get(phase, PASS) for phase in PHASES})  # type: ignore[misc]


def test_a_cell_that_passes() -> None:
    seen = cell()
    assert seen.result is Result.PASS
    assert seen.outcomes == (Outcome.PASS,) * 4


def test_nothing_to_import_is_a_pass() -> None:
    seen = cell(import_=PhaseReport(outcome=Outcome.SKIP, detail="stubs"))
    assert seen.result is Result.PASS
    assert seen.outcomes[-1] is Outcome.SKIP
    assert seen.last.detail == "stubs"


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.TIMEOUT, Outcome.ERROR])
@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_that_is_not_settled_gives_the_result(phase: Phase, outcome: Outcome) -> None:
    seen = run_phases({p: lambda p=p: PhaseReport(outcome=outcome) if p is phase else PASS for p in PHASES})  # type: ignore[misc]
    place = PHASES.index(phase)
    assert str(seen.result) == str(outcome)
    assert seen.outcomes == (*[Outcome.PASS] * place, outcome, *[Outcome.SKIP] * (3 - place))


def test_a_release_that_is_not_claimed_ends_the_cell_as_na() -> None:
    seen = cell(nodeps=PhaseReport(outcome=Outcome.SKIP, not_claimed=True), full=PhaseReport(outcome=Outcome.FAIL))
    assert seen.result is Result.NA
    assert Phase.FULL not in seen.reports
