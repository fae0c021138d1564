"""The gate: for any outcomes of the phases, nothing runs after the first that ends the cell."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ppp.check.phases import GateResult, PhaseReport, run_phases
from ppp.model.record import NON_FAILURES, PHASES, Outcome, Phase, Result

reports = st.builds(
    PhaseReport,
    outcome=st.sampled_from(Outcome),
    duration_ms=st.integers(min_value=0, max_value=10**6),
    not_claimed=st.booleans(),
)
plans = st.tuples(reports, reports, reports, reports).map(lambda four: dict(zip(PHASES, four, strict=True)))


def gated(plan: dict[Phase, PhaseReport]) -> tuple[GateResult, list[Phase]]:
    ran: list[Phase] = []

    def step(phase: Phase) -> Callable[[], PhaseReport]:
        def run() -> PhaseReport:
            ran.append(phase)
            return plan[phase]

        return run

    return run_phases({phase: step(phase) for phase in reversed(PHASES)}), ran


def ends(report: PhaseReport) -> bool:
    return report.not_claimed or report.outcome not in NON_FAILURES


@given(plan=plans)
def test_phases_run_in_order_up_to_the_first_that_ends_the_cell(plan: dict[Phase, PhaseReport]) -> None:
    seen, ran = gated(plan)
    first = next((place for place, phase in enumerate(PHASES) if ends(plan[phase])), len(PHASES) - 1)
    assert ran == list(PHASES[: first + 1])
    assert list(seen.reports) == ran
    assert seen.last is plan[ran[-1]]


@given(plan=plans)
def test_phases_after_the_end_are_skipped(plan: dict[Phase, PhaseReport]) -> None:
    seen, ran = gated(plan)
    outcomes = dict(zip(PHASES, seen.outcomes, strict=True))
    assert all(outcomes[phase] is plan[phase].outcome for phase in ran)
    assert all(outcomes[phase] is Outcome.SKIP for phase in PHASES if phase not in ran)


@given(plan=plans)
def test_the_result_follows_from_the_phase_that_ended_it(plan: dict[Phase, PhaseReport]) -> None:
    seen, ran = gated(plan)
    last = plan[ran[-1]]
    if last.not_claimed:
        assert seen.result is Result.NA
    elif last.outcome in NON_FAILURES:
        assert seen.result is Result.PASS
        assert ran == list(PHASES)
    else:
        assert str(seen.result) == str(last.outcome)


@given(plan=plans)
def test_only_a_cell_whose_phases_all_succeeded_passes(plan: dict[Phase, PhaseReport]) -> None:
    seen, _ = gated(plan)
    assert (seen.result is Result.PASS) == (not any(ends(report) for report in plan.values()))
