"""The phase `import`: import the release's modules, each in a fresh interpreter without a network.

An import counts as passed only if the sandbox's keeper has proof that the very process that started it also returned
from it.
"""

from collections.abc import Sequence

from ppp.check.causes import classify_failure
from ppp.check.cell_facts import CellContext, CellFacts, infrastructure_error
from ppp.check.phases import PhaseReport
from ppp.check.runtime import Sandbox, SandboxLostError
from ppp.model.record import Outcome, Phase


class ImportPhase:
    """Notes what came of each module in `facts`."""

    def __init__(self, context: CellContext, facts: CellFacts) -> None:
        """Check one cell."""
        self._context = context
        self._facts = facts

    def run(self) -> PhaseReport:
        """Import each module in a process of its own."""
        modules, sandbox = self._facts.modules, self._facts.sandbox
        assert modules is not None  # noqa: S101 - the gate: full passed
        assert sandbox is not None  # noqa: S101 - likewise
        if not modules.names:
            return PhaseReport(outcome=Outcome.SKIP, detail=modules.reason)
        try:
            sandbox.isolate()
            return self._prove_imports(sandbox, modules.names)
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))

    def _prove_imports(self, sandbox: Sandbox, modules: Sequence[str]) -> PhaseReport:
        spent_ms = 0
        for module in modules:
            remaining_s = self._context.matrix.timeouts_s[Phase.IMPORT] - spent_ms / 1000
            done = sandbox.prove_import(module, timeout_s=max(remaining_s, 1))
            spent_ms += done.duration_ms
            if not (done.ok and done.import_proved):
                report = classify_failure(
                    Phase.IMPORT, done, package=self._context.release.package, modules=self._facts.top_levels
                )
                return _for_module(report, module, spent_ms)
        return PhaseReport(outcome=Outcome.PASS, duration_ms=spent_ms)


def _for_module(report: PhaseReport, module: str, duration_ms: int) -> PhaseReport:
    return PhaseReport(
        outcome=report.outcome,
        duration_ms=duration_ms,
        log=report.log,
        cause=report.cause,
        blame=report.blame,
        detail=f"import {module}: {report.detail}",
    )
