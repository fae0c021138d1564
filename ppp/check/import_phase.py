"""The phase `import`: import the release's modules, each in a fresh interpreter without a network.

An import counts as passed only if the sandbox's keeper has proof that the very process that started it also returned
from it.

1. The modules that decide are imported first: the primary one, or all of them where none is. The first that fails
   gives the phase's outcome and cause, and nothing that comes later changes it.
2. Then the other top-level modules, for the record.
3. After a PASS, extension modules and first-level submodules, for the record: a release may import in part. Likewise
   what its scripts call (`script_checks`).

What decides nothing has little time, and what there was no time for is reported as not tried, never as failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from ppp.check.causes import classify_failure
from ppp.check.cell_facts import CellContext, CellFacts, infrastructure_error
from ppp.check.modules import ModulesToImport
from ppp.check.phases import PhaseReport
from ppp.check.reliance import note_reliance, watched_modules
from ppp.check.runtime import Sandbox, SandboxLostError
from ppp.check.script_checks import ScriptChecks, check_without_modules
from ppp.check.submodules import SubmodulesToImport, submodules_to_import
from ppp.model.record import ModuleFailure, Outcome, Phase, Submodules

#: How long all imports that decide nothing may take, in seconds, and how long each of them.
TOLD_TOTAL_S: Final = 30
TOLD_EACH_S: Final = 10
#: How long a module that decides is given at least, in seconds, whatever the ones before it took.
DECIDING_AT_LEAST_S: Final = 1
#: What loading a shared library says that is not made to be imported.
_MADE_TO_BE_LOADED: Final = "dynamic module does not define module export function"
NOT_TRIED: Final = PhaseReport(outcome=Outcome.SKIP, detail="not tried: the time was up")


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
        try:
            if not modules.names:
                return check_without_modules(self._context, self._facts, sandbox)
            sandbox.isolate()
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))
        inside = self._inside(modules)
        watched = (*watched_modules(self._context, self._facts), *inside.watched)
        imports = ModuleImports(self._context, self._facts, sandbox, watched)
        report = self._import_modules(imports, modules, sandbox)
        if report.outcome is Outcome.PASS:
            self._import_submodules(imports, inside)
            ScriptChecks(self._context, self._facts, sandbox).tell()
        return report

    def _inside(self, modules: ModulesToImport) -> SubmodulesToImport:
        """Return what is worth importing inside the release."""
        assert self._facts.alone is not None  # noqa: S101 - the gate: full passed
        assert self._facts.alone.target is not None  # noqa: S101 - nothing contradicted
        return submodules_to_import(modules, self._facts.alone.target.metadata, self._context.prepared.suffixes)

    def _import_modules(self, imports: "ModuleImports", modules: ModulesToImport, sandbox: Sandbox) -> PhaseReport:
        """Import the top-level modules, note those that fail, and return the phase's report."""
        reports: dict[str, PhaseReport] = {}
        for name in modules.deciding:
            reports[name] = imports.decide(name)
            if reports[name].outcome is not Outcome.PASS:
                break
        failed = next((name for name, report in reports.items() if report.outcome is not Outcome.PASS), None)
        if failed is None:
            try:
                # Before anything else can end the sandbox: the verdict would stand, but this would not be known.
                note_reliance(self._context, self._facts, sandbox, modules.names[0], imports.loaded)
            except SandboxLostError as error:
                return infrastructure_error("sandbox", str(error))
        elif reports[failed].outcome is not Outcome.FAIL:
            imports.stop()
        reports |= {name: imports.tell(name) for name in modules.names if name not in reports}
        self._facts.import_failures = _failures({name: reports[name] for name in modules.names})
        if failed is None:
            return PhaseReport(outcome=Outcome.PASS, duration_ms=imports.spent_ms)
        report = reports[failed]
        return replace(report, duration_ms=imports.spent_ms, detail=f"import {failed}: {report.detail}")

    def _import_submodules(self, imports: "ModuleImports", inside: SubmodulesToImport) -> None:
        """Import what is inside the release, and note how much of it there is and what fails."""
        loaded = [name for name in inside.all if name in imports.loaded]
        reports = {name: imports.tell(name) for name in inside.to_try(loaded)}
        tried = {name: report for name, report in reports.items() if report is not NOT_TRIED}
        real = {name: report for name, report in tried.items() if _MADE_TO_BE_LOADED not in report.log}
        if inside.all:
            self._facts.submodules = Submodules(
                tried=len(loaded) + len(real),
                left_out=len(inside.all) - len(loaded) - len(tried),
                failed=_failures(real),
            )


class ModuleImports:
    """Imports modules, one after the other, each within the time that there is for it; `spent_ms` is the sum.

    `loaded` are those of the watched modules that those that decide have loaded, in the package's own word.
    """

    def __init__(self, context: CellContext, facts: CellFacts, sandbox: Sandbox, watched: Sequence[str]) -> None:
        """Import modules in a sandbox."""
        self._context = context
        self._facts = facts
        self._sandbox = sandbox
        self._watched = watched
        self._stopped = False
        self._told_ms = 0
        self.spent_ms = 0
        self.loaded: set[str] = set()

    def decide(self, module: str) -> PhaseReport:
        """Import a module on which the verdict depends."""
        left_s = self._context.matrix.timeouts_s[Phase.IMPORT] - self.spent_ms / 1000
        return self._import(module, max(left_s, DECIDING_AT_LEAST_S), self._watched)

    def tell(self, module: str) -> PhaseReport:
        """Import a module on which nothing depends; return `NOT_TRIED` where there is not the time to be fair to it."""
        most_s = self._context.matrix.timeouts_s[Phase.IMPORT]
        each_s = min(TOLD_EACH_S, most_s)
        timeout_s = min(each_s, min(TOLD_TOTAL_S, most_s) - self._told_ms / 1000)
        if self._stopped or timeout_s <= 0:
            return NOT_TRIED
        report = self._import(module, timeout_s)
        self._told_ms += report.duration_ms
        return NOT_TRIED if report.outcome is Outcome.TIMEOUT and timeout_s < each_s else report

    def stop(self) -> None:
        """Import nothing more."""
        self._stopped = True

    def _import(self, module: str, timeout_s: float, watched: Sequence[str] = ()) -> PhaseReport:
        try:
            done = self._sandbox.prove_import(module, timeout_s=timeout_s, watched=watched)
        except SandboxLostError as error:
            self.stop()
            return infrastructure_error("sandbox", str(error))
        self.spent_ms += done.duration_ms
        if done.ok and done.import_proved:
            self.loaded.update(done.loaded)
            return PhaseReport(outcome=Outcome.PASS, duration_ms=done.duration_ms)
        return classify_failure(
            Phase.IMPORT,
            done,
            package=self._context.release.package,
            modules=self._facts.top_levels,
            distributions=self._facts.distributions,
        )


def _failures(reports: Mapping[str, PhaseReport]) -> tuple[ModuleFailure, ...]:
    """Return the modules that were not imported, in order."""
    return tuple(
        ModuleFailure(module=name, outcome=report.outcome, cause=report.cause, detail=report.detail)
        for name, report in reports.items()
        if report.outcome is not Outcome.PASS
    )
