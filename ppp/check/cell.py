"""One cell, from its file to its record: download outside, install and import in a sandbox, verdict decided here.

What comes out of the sandbox is parsed as untrusted data. A package speaks for itself only: which modules are imported
follows from the installation without dependencies, before any dependency's code could run. An import counts as passed
only if the sandbox's keeper has proof that the very process that started it also returned from it. Whatever happens,
the record is valid by the published schema.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from ppp.check.causes import printable_line
from ppp.check.cell_facts import NOTHING_EXPECTED, CellContext, CellFacts, Expectations
from ppp.check.download_phase import DownloadPhase
from ppp.check.import_phase import ImportPhase
from ppp.check.index.client import Index
from ppp.check.install_phases import InstallPhases
from ppp.check.phases import GateResult, PhaseReport, run_phases
from ppp.check.recorded_text import log_tail, recorded_detail, scrub
from ppp.check.runtime import PreparedEnvironment, Runtime
from ppp.model.canonical import sha256_hex
from ppp.model.errors import UnknownPackageError
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Blame, EntryPoints, ModuleFailure, Phase, Preinstalled, Record, Result
from ppp.record_rules import valid_or_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A record, and the tail of the log that it names by its hash."""

    record: Record
    log: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks cells, from several threads at once.

    `index_hosts` returns the host names to take out of logs, and `hide` takes secrets out of a text; `clock` returns
    epoch seconds. `gateway_lists` says whether a project's page lists a file with a sha256 (None where that page was
    not read), if all that cells get comes through a gateway.
    """

    index: Index
    runtime: Runtime
    matrix: Matrix
    node: str
    index_hosts: Callable[[], frozenset[str]] = frozenset
    hide: Callable[[str], str] = str
    gateway_lists: Callable[[str, str], bool | None] | None = None
    clock: Callable[[], float] = time.time

    def check(
        self, cell: Cell, prepared: PreparedEnvironment, *, expected: Expectations = NOTHING_EXPECTED
    ) -> Observation:
        """Run one cell and return what was observed; a fault on our side is an `ERROR` there, never an exception.

        `expected` says what is known of the release before the index is asked.
        """
        facts = CellFacts()
        context = CellContext(
            release=cell.release,
            prepared=prepared,
            index=self.index,
            runtime=self.runtime,
            matrix=self.matrix,
            is_listed=self.is_listed,
            expected=expected,
        )
        with ExitStack() as stack:
            installs = InstallPhases(context, facts, stack)
            gate = run_phases(
                {
                    Phase.DOWNLOAD: DownloadPhase(context, facts).run,
                    Phase.NODEPS: installs.install_alone,
                    Phase.FULL: installs.install_with_dependencies,
                    Phase.IMPORT: ImportPhase(context, facts).run,
                }
            )
        return self._observation(cell, prepared, gate, facts)

    def is_listed(self, project: str, sha256: str) -> bool:
        """Return whether cells can have got a file with this hash (hex) as one of a project; where unknown, they can.

        The gateway knows the pages that it has read in this run; an earlier run may have left it others.
        """
        if self.gateway_lists is None:
            return True
        listed = self.gateway_lists(project, sha256)
        if listed is not None:
            return listed
        try:
            return any((file.sha256 or sha256).lower() == sha256 for file in self.index.files(project))
        except UnknownPackageError:
            return False

    def _observation(
        self, cell: Cell, prepared: PreparedEnvironment, gate: GateResult, facts: CellFacts
    ) -> Observation:
        last = gate.last
        explained = gate.result is not Result.PASS
        log = log_tail(self._scrub(last.log, facts)) if explained and last.log.strip() else None
        record = Record(
            release=cell.release,
            environment=cell.environment,
            result=gate.result,
            outcomes=gate.outcomes,
            observed_at=int(self.clock()),
            node=self.node,
            arch=prepared.arch,
            python=prepared.python,
            image_digest=prepared.image_digest,
            standin=prepared.standin,
            network=prepared.network,
            pip_version=prepared.pip_version,
            file=facts.file,
            imports=facts.modules.names if facts.modules else (),
            installed=facts.installed,
            duration_ms={phase: report.duration_ms for phase, report in gate.reports.items() if report.duration_ms},
            cause=last.cause if explained else None,
            blame=_blame(last, facts) if explained else None,
            detail=self._detail(last, facts),
            bytes={phase: count for phase, count in facts.bytes.items() if count},
            grounds=facts.grounds,
            log_sha256=sha256_hex(log.encode()) if log is not None else None,
            preinstalled=tuple(Preinstalled(name=d.name, version=d.version) for d in prepared.preinstalled),
            relies_on=facts.relies_on,
            primary_module=facts.modules.primary if facts.modules else None,
            import_failures=self._failures(facts.import_failures, facts),
            submodules=facts.submodules
            and replace(facts.submodules, failed=self._failures(facts.submodules.failed, facts)),
            entry_points=self._entry_points(facts),
            record_mismatch=facts.record_mismatch,
            yanked=None if facts.yanked is None else self._scrub(facts.yanked, facts),
            project_status=facts.project_status,
            on_index=facts.on_index,
            shared_files=facts.shared_files,
        )
        valid = valid_or_error(record)
        return Observation(record=valid, log=log if valid is record else None)

    def _detail(self, report: PhaseReport, facts: CellFacts) -> str | None:
        detail = "; ".join(filter(None, (report.detail, facts.tampering, facts.index_metadata)))
        return recorded_detail(self._scrub(printable_line(detail), facts))

    def _entry_points(self, facts: CellFacts) -> EntryPoints | None:
        """Return the entry points with their details in the form in which they are recorded."""
        if facts.entry_points is None:
            return None
        details = [recorded_detail(self._scrub(one.detail, facts)) or "" for one in facts.entry_points.broken]
        pairs = zip(facts.entry_points.broken, details, strict=True)
        return replace(facts.entry_points, broken=tuple(replace(one, detail=detail) for one, detail in pairs))

    def _failures(self, failures: Iterable[ModuleFailure], facts: CellFacts) -> tuple[ModuleFailure, ...]:
        """Return failures with their details in the form in which they are recorded."""
        return tuple(
            replace(failure, detail=failure.detail and recorded_detail(self._scrub(failure.detail, facts)))
            for failure in failures
        )

    def _scrub(self, text: str, facts: CellFacts) -> str:
        """Remove from a text what belongs to this run or machine only: secrets, hosts of the index, folders."""
        return scrub(self.hide(text), self.index_hosts(), facts.aliases)


def _blame(report: PhaseReport, facts: CellFacts) -> Blame | None:
    # A dependency that changes its dependents' files answers for what they do afterwards.
    own = {Blame.PACKAGE, Blame.UNKNOWN}
    return Blame.DEPENDENCY if facts.tampering and report.blame in own else report.blame
