"""The phases `nodeps` and `full`: install the release's file alone, then with its dependencies, and read what is there.

What comes out of the sandbox is parsed as untrusted data, and held against what is known outside.
"""

from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from packaging.utils import canonicalize_name

from ppp.check.causes import classify_failure, missing_requirement, top_levels
from ppp.check.cell_facts import CellContext, CellFacts, infrastructure_error
from ppp.check.distributions import Distributions
from ppp.check.index.choose import metadata_copy, unmet_because, unmet_cause
from ppp.check.index.client import DownloadError, DownloadTimeoutError
from ppp.check.installation import (
    Inspection,
    InvalidInspectionError,
    KnownInstallation,
    changes_by_dependencies,
    contradiction,
    is_version,
    parse_inspection,
)
from ppp.check.modules import modules_to_import
from ppp.check.phases import PhaseReport
from ppp.check.runtime import Sandbox, SandboxLostError
from ppp.check.shared_files import find_shared_files
from ppp.check.wheel_contents import MAX_TEXT_BYTES, differing_header, read_wheel
from ppp.model.canonical import sha256_hex
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.installed_files import SharedFiles
from ppp.model.record import Blame, Outcome, Phase

SETUP_TIMEOUT_S: Final = 60
#: The ground on which `full` passes without a second installation: the metadata names no dependency that applies here,
#: and `pip check` finds nothing missing after `nodeps`.
NOTHING_TO_ADD: Final = "no-applicable-dependency"


class InstallPhases:
    """Notes the sandbox, what was installed, and the modules to import in `facts`; `stack` ends the sandbox."""

    def __init__(self, context: CellContext, facts: CellFacts, stack: ExitStack) -> None:
        """Check one cell."""
        self._context = context
        self._facts = facts
        self._stack = stack

    def install_alone(self) -> PhaseReport:
        """Run the phase `nodeps`."""
        assert self._facts.path is not None  # noqa: S101 - the gate: download passed
        try:
            self._facts.sandbox = sandbox = self._stack.enter_context(
                self._context.runtime.sandbox(self._context.prepared, self._facts.path)
            )
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))
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
        metadata, package = inspection.target.metadata, self._context.release.package
        self._facts.alone, self._facts.last, self._facts.installed = inspection, inspection, inspection.installed
        self._facts.top_levels = top_levels(metadata.paths)
        self._facts.modules = modules_to_import(package, metadata, self._context.prepared.suffixes)
        self._facts.shared_files = self._shared_files(inspection)
        self._compare_with_archive()
        return report

    def _compare_with_archive(self) -> None:
        """Note how the wheel's RECORD differs from what it holds, and the index's copy of METADATA from its own."""
        if self._is_wheel and self._facts.path and (contents := read_wheel(self._facts.path)):
            self._facts.record_mismatch = contents.mismatch
            if contents.metadata is not None:
                self._facts.index_metadata = self._difference_of_copy(contents.metadata)

    def _difference_of_copy(self, metadata: bytes) -> str | None:
        """Return what is wrong with the index's copy of METADATA, a sentence; None if nothing is, or nobody can tell.

        The copy is fetched only if its hash shows that it is none.
        """
        copy = metadata_copy(self._facts.listed) if self._facts.listed else None
        if copy is None or copy.sha256 == sha256_hex(metadata):
            return None
        try:
            path = self._context.index.fetch(copy, timeout_s=SETUP_TIMEOUT_S, max_bytes=MAX_TEXT_BYTES)
            header = differing_header(metadata, path.read_bytes())
        except (DownloadError, DownloadTimeoutError, OSError):
            return None
        return (
            header and f"the index's copy of its metadata has another {header}: pip 26.2 and newer refuse to install it"
        )

    def install_with_dependencies(self) -> PhaseReport:
        """Run the phase `full`."""
        sandbox, alone = self._facts.sandbox, self._facts.alone
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
            self._facts.installed, self._facts.shared_files = (), None
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))
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
        self._facts.last, self._facts.installed = inspection, inspection.installed
        self._facts.distributions = Distributions.of(inspection.installed, inspection.owned)
        self._facts.shared_files = self._shared_files(inspection)
        self._facts.tampering = changes_by_dependencies(alone, inspection, is_wheel=self._is_wheel)
        return report

    def _shared_files(self, inspection: Inspection) -> SharedFiles | None:
        return find_shared_files(
            inspection.shared,
            installed={item.name for item in inspection.installed},
            preinstalled={item.name for item in self._context.prepared.preinstalled},
        )

    @property
    def _is_wheel(self) -> bool:
        return self._facts.file is not None and self._facts.file.filename.endswith(".whl")

    def _inspect(self, sandbox: Sandbox, *, folder: str | None) -> Inspection | PhaseReport:
        """Return the parsed description of the last installation, or the infrastructure error that prevents it."""
        try:
            done = sandbox.inspect_installation(self._context.release.package, folder=folder, timeout_s=SETUP_TIMEOUT_S)
            return parse_inspection(done.output)
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))
        except InvalidInspectionError as error:
            return infrastructure_error("sandbox", f"what was installed could not be read: {error}")

    def _contradiction(
        self, inspection: Inspection, report: PhaseReport, *, alone: bool, built_by: Blame
    ) -> PhaseReport | None:
        assert self._facts.file is not None  # noqa: S101 - the gate: download passed
        known = KnownInstallation(release=self._context.release, file=self._facts.file, alone=alone, built_by=built_by)
        try:
            fault = contradiction(inspection, known, self._context.is_listed)
        except IndexUnreachableError as error:
            fault = infrastructure_error("network", error.message)
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
            if fault := self._make_room(sandbox):
                return fault
            done = sandbox.pip(
                ["install", *arguments, *options, sandbox.file],
                timeout_s=self._context.matrix.timeouts_s[phase],
            )
        except SandboxLostError as error:
            return infrastructure_error("sandbox", str(error))
        self._facts.bytes[phase] = done.received_bytes
        if not done.ok:
            return self._refine_missing_dependency(classify_failure(phase, done, package=self._context.release.package))
        return PhaseReport(outcome=Outcome.PASS, duration_ms=done.duration_ms, log=done.output)

    def _make_room(self, sandbox: Sandbox) -> PhaseReport | None:
        """Uninstall the release itself where the environment has it preinstalled; return the error if that fails.

        pip would call it installed already, and the image's copy would be checked in place of the release's file. Of
        another version pip itself sees that it is replaced.
        """
        release = self._context.release
        if not any(
            d.name == release.package and is_version(d.version, release.version)
            for d in self._context.prepared.preinstalled
        ):
            return None
        done = sandbox.pip(["uninstall", "--yes", release.package], timeout_s=SETUP_TIMEOUT_S)
        detail = f"the preinstalled {release} could not be uninstalled: {done.output[-200:]}"
        return None if done.ok else infrastructure_error("sandbox", detail)

    def _refine_missing_dependency(self, report: PhaseReport) -> PhaseReport:
        """Return a report with the cause that the index gives for a dependency of which pip found no version.

        pip's own message about versions for other Pythons covers all projects at once. Where pip saw no version at all
        and the index cannot be read, nothing is known of the dependency: that is an infrastructure error.
        """
        wanted = missing_requirement(report)
        if wanted is None:
            return report
        try:
            project = canonicalize_name(wanted.name)
            files, status = self._context.index.files(project), self._context.index.status(project)
        except UnknownPackageError:
            return replace(report, cause="no-distribution", detail=f"{report.detail} (the index has no such project)")
        except IndexUnreachableError as error:
            saw_none = "(from versions: none)" in report.log
            return replace(infrastructure_error("network", error.message), log=report.log) if saw_none else report
        cause, because = unmet_cause(wanted, files, self._context.prepared), unmet_because(wanted, files, status)
        return replace(report, cause=cause, detail=f"{report.detail} ({because})" if because else report.detail)
