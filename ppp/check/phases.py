"""The gate: four phases in order, each only if the one before passed. It knows neither Docker nor pip.

A phase is a callable that gives a `Report`; the gate runs them, stops at the first that does not settle, and says what
the cell came to.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ppp.model.record import NON_FAILURES, PHASES, Blame, Outcome, Phase, Result, outcomes_in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """What one phase came to. A phase that failed says why; `not_claimed` turns the cell into `NA`."""

    outcome: Outcome
    duration_ms: int = 0
    log: str = ""
    cause: str | None = None
    blame: Blame | None = None
    detail: str | None = None
    not_claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """What the gate saw: a report per phase that ran, in order."""

    reports: Mapping[Phase, PhaseReport] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, Outcome, Outcome, Outcome]:
        """Give all four outcomes; what was gated is `SKIP`."""
        return outcomes_in_order({phase: report.outcome for phase, report in self.reports.items()})

    @property
    def last(self) -> PhaseReport:
        """Give the report that ended the cell: the one that did not settle, or the last."""
        return list(self.reports.values())[-1]

    @property
    def result(self) -> Result:
        """Give what the cell came to."""
        if self.last.not_claimed:
            return Result.NA
        return Result.PASS if self.last.outcome in NON_FAILURES else Result(self.last.outcome)


def run_phases(steps: Mapping[Phase, Callable[[], PhaseReport]]) -> GateResult:
    """Run the steps in the order of the phases until one does not settle, or says that there is nothing to claim."""
    reports: dict[Phase, PhaseReport] = {}
    for phase in PHASES:
        report = reports[phase] = steps[phase]()
        if report.not_claimed or report.outcome not in NON_FAILURES:
            break
    return GateResult(reports=reports)
