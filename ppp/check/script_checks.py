"""Tries a release's entry points in its cell, each in a process of its own; see `entry_points` for what they show.

Where a release has no module to import, what its scripts call must be there, and it must hold or require something.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

from ppp.check.cell_facts import CellContext, CellFacts
from ppp.check.contents import InPlaceOfModules, in_place_of_modules
from ppp.check.entry_points import (
    EntryPoint,
    TriedEntryPoint,
    deciding_failure,
    entry_points_summary,
    entry_points_to_try,
    judge_entry_point,
    unnameable,
)
from ppp.check.phases import PhaseReport
from ppp.check.runtime import Sandbox, SandboxLostError
from ppp.model.record import Blame, Outcome, Phase

#: How long all entry points may take that decide nothing, in seconds, and how long each of them.
TOLD_TOTAL_S: Final = 30
TOLD_EACH_S: Final = 10
_TOLD: Final = frozenset({Outcome.PASS, Outcome.FAIL})


class ScriptChecks:
    """Notes the entry points that were tried in `facts`. The cell must have no network any more."""

    def __init__(self, context: CellContext, facts: CellFacts, sandbox: Sandbox) -> None:
        """Check one cell."""
        self._context = context
        self._facts = facts
        self._sandbox = sandbox
        alone = facts.alone
        rows = alone.target.entry_points if alone and alone.target else ()
        self.points = entry_points_to_try(rows, context.release.package)
        self.spent_ms = 0

    def decide(self) -> PhaseReport | None:
        """Try the entry points of a release that has no module; return why it fails for them, or None.

        Raises `SandboxLostError`.
        """
        limit_s = self._context.matrix.timeouts_s[Phase.IMPORT]
        tried = tuple(self._try_each(each_s=limit_s, total_s=limit_s))
        self._facts.entry_points = entry_points_summary(tried)
        return deciding_failure(tried)

    def tell(self) -> None:
        """Try the entry points of a release whose modules were imported. What takes too long is not told of."""
        tried: list[TriedEntryPoint] = []
        each_s = min(TOLD_EACH_S, self._context.matrix.timeouts_s[Phase.IMPORT])
        # Should the sandbox be lost, the verdict stands without the rest.
        with suppress(SandboxLostError):
            tried.extend(self._try_each(each_s=each_s, total_s=TOLD_TOTAL_S))
        self._facts.entry_points = entry_points_summary([one for one in tried if one.report.outcome in _TOLD])

    def _try_each(self, *, each_s: float, total_s: float) -> Iterator[TriedEntryPoint]:
        for point in self.points:
            left_s = total_s - self.spent_ms / 1000
            if left_s <= 0:
                return
            yield self._try(point, min(each_s, left_s))

    def _try(self, point: EntryPoint, timeout_s: float) -> TriedEntryPoint:
        if not point.has_importable_names:
            return unnameable(point)
        done = self._sandbox.prove_import(point.target, timeout_s=timeout_s)
        self.spent_ms += done.duration_ms
        package, own = self._context.release.package, self._facts.top_levels
        return judge_entry_point(point, done, package=package, own=own)


def check_without_modules(context: CellContext, facts: CellFacts, sandbox: Sandbox) -> PhaseReport:
    """Return how the phase `import` ends for a release that has no module to import; raise `SandboxLostError`.

    It is skipped, and `facts` notes on what ground, unless the release is empty or its scripts are broken.
    """
    checks = ScriptChecks(context, facts, sandbox)
    if checks.points:
        sandbox.isolate()
        if failure := checks.decide():
            return replace(failure, duration_ms=checks.spent_ms)
    instead = _in_place_of_modules(facts)
    if instead.ground is None:
        return PhaseReport(outcome=Outcome.FAIL, cause="empty", blame=Blame.PACKAGE, detail=_why_empty(instead, facts))
    facts.grounds[Phase.IMPORT] = instead.ground
    return PhaseReport(outcome=Outcome.SKIP, detail=instead.reason)


def _in_place_of_modules(facts: CellFacts) -> InPlaceOfModules:
    assert facts.alone is not None  # noqa: S101 - the gate: nodeps passed
    assert facts.alone.target is not None  # noqa: S101 - nothing contradicted
    assert facts.modules is not None  # noqa: S101 - likewise
    return in_place_of_modules(
        facts.alone.target.metadata.paths,
        facts.modules,
        entry_points=[(group, name) for group, name, _ in facts.alone.target.entry_points],
        requires=facts.alone.requires,
    )


def _why_empty(instead: InPlaceOfModules, facts: CellFacts) -> str:
    missing = facts.record_mismatch.missing if facts.record_mismatch else 0
    return instead.reason + (f"; {missing} of the files that its RECORD names are not in it" if missing else "")
