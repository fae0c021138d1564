"""The gate: four phases in order, each only if the one before passed. It knows neither Docker nor pip.

A phase is a callable that returns a `PhaseReport`. The gate calls them until one is not settled (neither passed nor
skipped), and derives the cell's result.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ppp.model.record import NON_FAILURES, PHASES, Blame, Outcome, Phase, Result, outcomes_in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseReport:
    """How one phase ended. If it failed, `cause`, `blame` and `detail` say why; `not_claimed` makes the cell `NA`."""

    outcome: Outcome
    duration_ms: int = 0
    log: str = ""
    cause: str | None = None
    blame: Blame | None = None
    detail: str | None = None
    not_claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The reports of the phases that ran, in order."""

    reports: Mapping[Phase, PhaseReport] = field(default_factory=dict)

    @property
    def outcomes(self) -> tuple[Outcome, Outcome, Outcome, Outcome]:
        """The outcomes of all four phases; those that did not run are `SKIP`."""
        return outcomes_in_order({phase: report.outcome for phase, report in self.reports.items()})

    @property
    def last(self) -> PhaseReport:
        """The report that ended the cell: the one that is not settled, else the last."""
        return list(self.reports.values())[-1]

    @property
    def result(self) -> Result:
        """The cell's result."""
        if self.last.not_claimed:
            return Result.NA
        return Result.PASS if self.last.outcome in NON_FAILURES else Result(self.last.outcome)


def run_phases(steps: Mapping[Phase, Callable[[], PhaseReport]]) -> GateResult:
    """Run the steps in the order of the phases, until one is not settled or says that the release is not claimed."""
    reports: dict[Phase, PhaseReport] = {}
    for phase in PHASES:
        report = reports[phase] = steps[phase]()
        if report.not_claimed or report.outcome not in NON_FAILURES:
            break
    return GateResult(reports=reports)
