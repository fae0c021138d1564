"""The joint cell: several releases installed together in one sandbox, and the modules of each imported.

pip resolves and installs in one step, with the index narrowed to what is proven in the environment (see
`ppp.check.index.view`): so it can choose nothing else. What comes out of the sandbox is parsed as untrusted data, and
held against what is known outside: each file must be proven. Which modules are imported follows from the record of each
release, which was observed before any other package's code could run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from ppp.check.causes import classify_failure
from ppp.check.cell_facts import infrastructure_error
from ppp.check.distributions import Distributions
from ppp.check.installation import Inspection, InvalidInspectionError, parse_inspection
from ppp.check.phases import PhaseReport
from ppp.check.recorded_text import recorded_detail, scrub
from ppp.check.runtime import PreparedEnvironment, Runtime, Sandbox, SandboxLostError
from ppp.model.matrix import Matrix
from ppp.model.record import Blame, Installed, Outcome, Phase

SETUP_TIMEOUT_S: Final = 60
#: The time for an installation counts once for each requirement, and so often at most.
MAX_TIMEOUTS: Final = 5
REQUIREMENTS_NAME: Final = "requirements.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class JointCell:
    """What is installed together: requirements as pip reads them, by normalized package name.

    `modules` returns which modules of a release decide whether it imports, by its name and the sha256 of its file;
    `is_proven` says whether a file is proven.
    """

    requirements: Mapping[str, str]
    modules: Callable[[str, str], Sequence[str]]
    is_proven: Callable[[str, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRun:
    """What became of a joint cell: what was installed, the modules that were imported, and the report of its end.

    `package` is whose module failed to import, None if the installation failed or all passed.
    """

    report: PhaseReport
    installed: tuple[Installed, ...] = ()
    imported: tuple[str, ...] = ()
    package: str | None = None

    @property
    def passed(self) -> bool:
        """Whether all were installed and imported."""
        return self.report.outcome is Outcome.PASS


class JointFailureError(Exception):
    """The joint cell ended early; `report` says why, `package` whose module failed, if it was one."""

    def __init__(self, report: PhaseReport, package: str | None = None) -> None:
        """Store the report."""
        super().__init__(report.detail)
        self.report = report
        self.package = package


@dataclass(frozen=True, slots=True, kw_only=True)
class JointChecker:
    """Runs joint cells in one environment; `hosts` and `hide` clean what is said, see `Checker`."""

    runtime: Runtime
    prepared: PreparedEnvironment
    matrix: Matrix
    hosts: Callable[[], frozenset[str]] = frozenset
    hide: Callable[[str], str] = str

    def check(self, cell: JointCell, folder: Path) -> JointRun:
        """Run a cell and return what was observed; `folder` takes the file that the sandbox shows to pip."""
        requirements = folder / REQUIREMENTS_NAME
        requirements.write_text("".join(f"{line}\n" for line in cell.requirements.values()), "utf-8")
        # The cell's user is another one.
        folder.chmod(0o755)
        requirements.chmod(0o644)
        aliases: Mapping[str, str] = {}
        try:
            with self.runtime.sandbox(self.prepared, requirements) as sandbox:
                aliases = sandbox.aliases
                installation = self._install(sandbox, cell)
                imported = self._import_all(sandbox, cell, installation)
                return JointRun(
                    report=PhaseReport(outcome=Outcome.PASS), installed=installation.installed, imported=imported
                )
        except SandboxLostError as error:
            return JointRun(report=infrastructure_error("sandbox", str(error)))
        except JointFailureError as error:
            detail = recorded_detail(scrub(self.hide(error.report.detail or ""), self.hosts(), aliases))
            return JointRun(report=replace(error.report, detail=detail), package=error.package)

    def _install(self, sandbox: Sandbox, cell: JointCell) -> "JointInstallation":
        names = {one.name for one in self.prepared.preinstalled} & cell.requirements.keys()
        if names:
            # pip would call them installed already, and the image's copies would be locked by nobody.
            self._pip(sandbox, ["uninstall", "--yes", *sorted(names)], SETUP_TIMEOUT_S)
        timeout_s = self.matrix.timeouts_s[Phase.FULL] * min(len(cell.requirements), MAX_TIMEOUTS)
        options = ["--no-cache-dir", "--no-compile", "--progress-bar", "off"]
        report = ["--report", f"{sandbox.scratch}/report.json"]
        self._pip(sandbox, ["install", *options, *report, "--requirement", sandbox.file], timeout_s)
        installation = self._read(sandbox, cell)
        self._pip(sandbox, ["check"], SETUP_TIMEOUT_S)
        return installation

    def _pip(self, sandbox: Sandbox, arguments: Sequence[str], timeout_s: float) -> None:
        done = sandbox.pip(arguments, timeout_s=timeout_s)
        if not done.ok:
            raise JointFailureError(classify_failure(Phase.FULL, done, package=""))

    def _read(self, sandbox: Sandbox, cell: JointCell) -> "JointInstallation":
        """Return what pip says it installed; raise `JointFailureError` if that cannot be."""
        first = min(cell.requirements)
        inspection = _inspect(sandbox, first, None)
        if inspection.folders:
            # Only so it says whose modules are whose.
            inspection = _inspect(sandbox, first, min(inspection.folders))
        installed = inspection.installed
        if len({one.name for one in installed}) < len(installed):
            raise _forged("pip's report names a distribution twice")
        if missing := sorted(cell.requirements.keys() - {one.name for one in installed}):
            raise _forged(f"pip's report does not name {missing[0]}")
        for one in installed:
            if one.sha256 is None or not cell.is_proven(one.name, one.sha256):
                raise _forged(f"pip's report names a file that is not proven: {one.name} {one.version}")
        return JointInstallation(installed=installed, distributions=Distributions.of(installed, inspection.owned))

    def _import_all(self, sandbox: Sandbox, cell: JointCell, installation: "JointInstallation") -> tuple[str, ...]:
        sandbox.isolate()
        imported: list[str] = []
        for one in installation.installed:
            if one.name not in cell.requirements or one.sha256 is None:
                continue
            for module in cell.modules(one.name, one.sha256):
                done = sandbox.prove_import(module, timeout_s=self.matrix.timeouts_s[Phase.IMPORT])
                if not (done.ok and done.import_proved):
                    report = classify_failure(
                        Phase.IMPORT,
                        done,
                        package=one.name,
                        modules=installation.modules_of(one.name, module),
                        distributions=installation.distributions,
                    )
                    detail = f"import {module}: {report.detail}"
                    raise JointFailureError(replace(report, detail=detail), one.name)
                imported.append(module)
        return tuple(imported)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointInstallation:
    """What was installed together, and which modules each distribution brought, in its own word."""

    installed: tuple[Installed, ...]
    distributions: Distributions

    def modules_of(self, package: str, module: str) -> tuple[str, ...]:
        """Return the top-level modules of a package, with one that it is known to have."""
        own = {name for name, owner in self.distributions.modules.items() if owner == package}
        return tuple(sorted({*(name.partition("/")[0] for name in own), module.partition(".")[0]}))


def _inspect(sandbox: Sandbox, package: str, folder: str | None) -> Inspection:
    try:
        done = sandbox.inspect_installation(package, folder=folder, timeout_s=SETUP_TIMEOUT_S)
        return parse_inspection(done.output)
    except InvalidInspectionError as error:
        report = infrastructure_error("sandbox", f"what was installed could not be read: {error}")
        raise JointFailureError(report) from error


def _forged(detail: str) -> JointFailureError:
    return JointFailureError(
        PhaseReport(outcome=Outcome.FAIL, cause="forged-report", blame=Blame.UNKNOWN, detail=detail)
    )
