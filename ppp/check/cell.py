"""One cell, from its file to its record: download outside, install and import in a sandbox, verdict decided here.

What comes out of the sandbox is parsed as untrusted data. A package speaks for itself only: which modules are imported
follows from the installation without dependencies, before any dependency's code could run. An import counts as passed
only if the sandbox's keeper has proof that the very process that started it also returned from it. Whatever happens,
the record is valid by the published schema.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

from ppp.check.causes import classify_failure, missing_requirement, printable_line, top_levels
from ppp.check.index.choose import IndexFile, NotClaimed, choose_file, release_files, unmet_cause
from ppp.check.index.client import DownloadError, DownloadTimeoutError, Index
from ppp.check.installation import (
    Inspection,
    InvalidInspectionError,
    KnownInstallation,
    changes_by_dependencies,
    contradiction,
    parse_inspection,
)
from ppp.check.modules import ModulesToImport, modules_to_import
from ppp.check.phases import GateResult, PhaseReport, run_phases
from ppp.check.recorded_text import log_tail, recorded_detail, scrub
from ppp.check.runtime import PreparedEnvironment, Runtime, Sandbox, SandboxLostError
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Phase, Record, Result
from ppp.record_rules import valid_or_error

SETUP_TIMEOUT_S: Final = 60
#: The ground on which `full` passes without a second installation: the metadata names no dependency that applies here,
#: and `pip check` finds nothing missing after `nodeps`.
NOTHING_TO_ADD: Final = "no-applicable-dependency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A record, and the tail of the log that it names by its hash."""

    record: Record
    log: str | None


@dataclass(slots=True, kw_only=True)
class _CellFacts:
    """What the phases find out, for the record and for later phases."""

    file: DistributionFile | None = None
    path: Path | None = None
    installed: tuple[Installed, ...] = ()
    alone: Inspection | None = None
    tampering: str | None = None
    modules: ModulesToImport | None = None
    top_levels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    bytes: dict[Phase, int] = field(default_factory=dict)
    grounds: dict[Phase, str] = field(default_factory=dict)


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

    def check(self, cell: Cell, prepared: PreparedEnvironment) -> Observation:
        """Run one cell and return what was observed; a fault on our side is an `ERROR` there, never an exception."""
        facts = _CellFacts()
        with ExitStack() as stack:
            gate = run_phases(_PhaseSteps(self, cell, prepared, facts, stack).by_phase())
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
        self, cell: Cell, prepared: PreparedEnvironment, gate: GateResult, facts: _CellFacts
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
        )
        valid = valid_or_error(record)
        return Observation(record=valid, log=log if valid is record else None)

    def _detail(self, report: PhaseReport, facts: _CellFacts) -> str | None:
        detail = "; ".join(filter(None, (report.detail, facts.tampering)))
        return recorded_detail(self._scrub(printable_line(detail), facts))

    def _scrub(self, text: str, facts: _CellFacts) -> str:
        """Remove from a text what belongs to this run or machine only: secrets, hosts of the index, folders."""
        return scrub(self.hide(text), self.index_hosts(), facts.aliases)


class _PhaseSteps:
    """The four phases of one cell, as the gate calls them."""

    def __init__(
        self, checker: Checker, cell: Cell, prepared: PreparedEnvironment, facts: _CellFacts, stack: ExitStack
    ) -> None:
        self._checker = checker
        self._cell = cell
        self._prepared = prepared
        self._facts = facts
        self._stack = stack
        self._sandbox: Sandbox | None = None

    def by_phase(self) -> Mapping[Phase, Callable[[], PhaseReport]]:
        """Return the function that runs each phase."""
        return {
            Phase.DOWNLOAD: self._download,
            Phase.NODEPS: self._nodeps,
            Phase.FULL: self._full,
            Phase.IMPORT: self._import,
        }

    def _download(self) -> PhaseReport:
        started = time.monotonic()
        package = self._cell.release.package
        try:
            files = release_files(self._cell.release, self._checker.index.files(package))
            if not files:
                return _infrastructure_error("missing-file", f"the index lists no file of {self._cell.release}")
            chosen = choose_file(files, self._prepared)
            if isinstance(chosen, NotClaimed):
                return PhaseReport(
                    outcome=Outcome.SKIP,
                    cause=chosen.cause,
                    blame=Blame.PACKAGE,
                    detail=printable_line(chosen.detail),
                    not_claimed=True,
                )
            self._fetch(chosen)
        except DownloadTimeoutError as error:
            # No code of the package runs here: whoever is slow, it is not the package.
            return _infrastructure_error("network", str(error))
        except DownloadError as error:
            return _infrastructure_error(error.cause, str(error))
        except (IndexUnreachableError, UnknownPackageError) as error:
            return _infrastructure_error("network", error.message)
        return PhaseReport(outcome=Outcome.PASS, duration_ms=_elapsed_ms(started))

    def _fetch(self, chosen: IndexFile) -> None:
        path = self._checker.index.fetch(
            chosen,
            timeout_s=self._checker.matrix.timeouts_s[Phase.DOWNLOAD],
            max_bytes=self._checker.matrix.limits.file_mb * 1024 * 1024,
        )
        self._facts.path = path
        self._facts.bytes[Phase.DOWNLOAD] = path.stat().st_size
        self._facts.file = DistributionFile(
            filename=chosen.filename, sha256=chosen.sha256 or "", size=path.stat().st_size
        )

    def _nodeps(self) -> PhaseReport:
        assert self._facts.path is not None  # noqa: S101 - the gate: download passed
        try:
            self._sandbox = sandbox = self._stack.enter_context(
                self._checker.runtime.sandbox(self._prepared, self._facts.path)
            )
        except SandboxLostError as error:
            return _infrastructure_error("sandbox", str(error))
        self._facts.aliases = sandbox.aliases
        report = self._install(sandbox, Phase.NODEPS, "--no-deps")
        return report if report.outcome is not Outcome.PASS else self._inspect_alone(sandbox, report)

    def _inspect_alone(self, sandbox: Sandbox, report: PhaseReport) -> PhaseReport:
        """Note what the release itself installed; return `report`, or why the installation does not count."""
        inspection = self._inspect(sandbox, folder=None)
        if isinstance(inspection, PhaseReport):
            return inspection
        # Of a wheel, pip only unpacks files.
        built_by = Blame.INFRASTRUCTURE if self._is_wheel else Blame.PACKAGE
        if fault := self._contradiction(inspection, report, alone=True, built_by=built_by):
            return fault
        assert inspection.target is not None  # noqa: S101 - nothing contradicted
        metadata = inspection.target.metadata
        self._facts.alone, self._facts.installed = inspection, inspection.installed
        self._facts.top_levels = top_levels(metadata.paths)
        self._facts.modules = modules_to_import(self._cell.release.package, metadata, self._prepared.suffixes)
        return report

    def _full(self) -> PhaseReport:
        sandbox, alone = self._sandbox, self._facts.alone
        assert sandbox is not None  # noqa: S101 - the gate: nodeps passed
        assert alone is not None  # noqa: S101 - likewise
        try:
            # Without dependencies, installing with them would only repeat what `nodeps` did.
            if not alone.has_dependencies:
                check = sandbox.pip(["check"], timeout_s=SETUP_TIMEOUT_S)
                if check.ok:
                    self._facts.grounds[Phase.FULL] = NOTHING_TO_ADD
                    return PhaseReport(outcome=Outcome.PASS, duration_ms=check.duration_ms, log=check.output)
            sandbox.reset()
            self._facts.installed = ()
        except SandboxLostError as error:
            return _infrastructure_error("sandbox", str(error))
        report = self._install(sandbox, Phase.FULL)
        return report if report.outcome is not Outcome.PASS else self._inspect_full(sandbox, report, alone)

    def _inspect_full(self, sandbox: Sandbox, report: PhaseReport, alone: Inspection) -> PhaseReport:
        """Note what was installed with dependencies, and what these changed; return `report`, or what is wrong.

        The modules stay those of the installation without them.
        """
        assert alone.target is not None  # noqa: S101 - nothing contradicted
        inspection = self._inspect(sandbox, folder=alone.target.folder)
        if isinstance(inspection, PhaseReport):
            return inspection
        # Where the package itself is a wheel, only its dependencies build anything.
        built_by = Blame.DEPENDENCY if self._is_wheel else Blame.UNKNOWN
        if fault := self._contradiction(inspection, report, alone=False, built_by=built_by):
            return fault
        self._facts.installed = inspection.installed
        self._facts.tampering = changes_by_dependencies(alone, inspection, is_wheel=self._is_wheel)
        return report

    @property
    def _is_wheel(self) -> bool:
        return self._facts.file is not None and self._facts.file.filename.endswith(".whl")

    def _inspect(self, sandbox: Sandbox, *, folder: str | None) -> Inspection | PhaseReport:
        """Return the parsed description of the last installation, or the infrastructure error that prevents it."""
        try:
            done = sandbox.inspect_installation(self._cell.release.package, folder=folder, timeout_s=SETUP_TIMEOUT_S)
            return parse_inspection(done.output)
        except SandboxLostError as error:
            return _infrastructure_error("sandbox", str(error))
        except InvalidInspectionError as error:
            return _infrastructure_error("sandbox", f"what was installed could not be read: {error}")

    def _contradiction(
        self, inspection: Inspection, report: PhaseReport, *, alone: bool, built_by: Blame
    ) -> PhaseReport | None:
        assert self._facts.file is not None  # noqa: S101 - the gate: download passed
        known = KnownInstallation(release=self._cell.release, file=self._facts.file, alone=alone, built_by=built_by)
        try:
            fault = contradiction(inspection, known, self._checker.is_listed)
        except IndexUnreachableError as error:
            fault = _infrastructure_error("network", error.message)
        return fault and replace(fault, log=report.log, duration_ms=report.duration_ms)

    def _install(self, sandbox: Sandbox, phase: Phase, *options: str) -> PhaseReport:
        arguments = [
            "--no-cache-dir",
            "--no-compile",
            "--progress-bar",
            "off",
            "--report",
            f"{sandbox.scratch}/report.json",
        ]
        try:
            done = sandbox.pip(
                ["install", *arguments, *options, sandbox.file],
                timeout_s=self._checker.matrix.timeouts_s[phase],
            )
        except SandboxLostError as error:
            return _infrastructure_error("sandbox", str(error))
        self._facts.bytes[phase] = done.received_bytes
        if not done.ok:
            return self._refine_missing_dependency(classify_failure(phase, done, package=self._cell.release.package))
        return PhaseReport(outcome=Outcome.PASS, duration_ms=done.duration_ms, log=done.output)

    def _refine_missing_dependency(self, report: PhaseReport) -> PhaseReport:
        """Return a report with the cause that the index gives for a dependency of which pip found no version.

        pip's own message about versions for other Pythons covers all projects at once. Where pip saw no version at all
        and the index cannot be read, nothing is known of the dependency: that is an infrastructure error.
        """
        wanted = missing_requirement(report)
        if wanted is None:
            return report
        try:
            files = self._checker.index.files(canonicalize_name(wanted.name))
        except UnknownPackageError:
            return replace(report, cause="no-distribution")
        except IndexUnreachableError as error:
            saw_none = "(from versions: none)" in report.log
            return replace(_infrastructure_error("network", error.message), log=report.log) if saw_none else report
        return replace(report, cause=unmet_cause(wanted, files, self._prepared))

    def _import(self) -> PhaseReport:
        modules, sandbox = self._facts.modules, self._sandbox
        assert modules is not None  # noqa: S101 - the gate: full passed
        assert sandbox is not None  # noqa: S101 - likewise
        if not modules.names:
            return PhaseReport(outcome=Outcome.SKIP, detail=modules.reason)
        try:
            sandbox.isolate()
            return self._prove_imports(sandbox, modules.names)
        except SandboxLostError as error:
            return _infrastructure_error("sandbox", str(error))

    def _prove_imports(self, sandbox: Sandbox, modules: Sequence[str]) -> PhaseReport:
        spent_ms = 0
        for module in modules:
            remaining_s = self._checker.matrix.timeouts_s[Phase.IMPORT] - spent_ms / 1000
            done = sandbox.prove_import(module, timeout_s=max(remaining_s, 1))
            spent_ms += done.duration_ms
            if not (done.ok and done.import_proved):
                report = classify_failure(
                    Phase.IMPORT, done, package=self._cell.release.package, modules=self._facts.top_levels
                )
                return _for_module(report, module, spent_ms)
        return PhaseReport(outcome=Outcome.PASS, duration_ms=spent_ms)


def _blame(report: PhaseReport, facts: _CellFacts) -> Blame | None:
    # A dependency that changes its dependents' files answers for what they do afterwards.
    own = {Blame.PACKAGE, Blame.UNKNOWN}
    return Blame.DEPENDENCY if facts.tampering and report.blame in own else report.blame


def _for_module(report: PhaseReport, module: str, duration_ms: int) -> PhaseReport:
    return PhaseReport(
        outcome=report.outcome,
        duration_ms=duration_ms,
        log=report.log,
        cause=report.cause,
        blame=report.blame,
        detail=f"import {module}: {report.detail}",
    )


def _infrastructure_error(cause: str, detail: str) -> PhaseReport:
    return PhaseReport(outcome=Outcome.ERROR, cause=cause, blame=Blame.INFRASTRUCTURE, detail=printable_line(detail))


def _elapsed_ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
