"""One cell, from its file to its record: download outside, install and import in a sandbox, verdict decided here.

What the sandbox says of the package is parsed as untrusted data; the import is believed when its keeper has proof that
the very process that began it came back from it.
"""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ppp.check.causes import explain, one_line, top_levels
from ppp.check.index.choose import IndexFile, NotClaimed, choose, files_of, lacking
from ppp.check.index.client import DownloadError, DownloadTimeoutError, Index
from ppp.check.modules import Installation, Modules, modules_of
from ppp.check.phases import Gated, Report, run_gated
from ppp.check.runtime import Prepared, Runtime, Sandbox, SandboxLostError
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Phase, Record, Result, sha256_hex

#: The end of a failed phase's log that is kept, in characters.
LOG_TAIL: Final = 12_000
CUT: Final = "[the beginning of this log was cut]\n"
SETUP_TIMEOUT_S: Final = 60
#: On what ground `full` is not paid a second time: the metadata names no dependency that applies here, and pip, asked
#: to check, finds nothing missing after `nodeps`.
NOTHING_TO_ADD: Final = "no-applicable-dependency"
#: More distributions than a record may hold.
MAX_INSTALLED: Final = 2000
#: Where things lie in a cell tells nobody anything, and differs from cell to cell.
_INSIDE: Final = re.compile(
    r"(file://)?/ppp/(file|work/\w+/lib/python[\d.]+/site-packages)/"
    r"|/tmp/pip-[a-z-]+-\w{8}/(overlay/lib/python[\d.]+/site-packages/|[\w.-]+_[0-9a-f]{32}/)?"
)
#: A folder or an address in memory that another run would call otherwise.
_CHANCE: Final = re.compile(r"(?<=/tmp/tmp)\w{8}\b|(?<=\b0x)[0-9a-f]{6,}\b")
_NOT_FOUND: Final = re.compile(r"^ERROR: No matching distribution found for (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A record, and the tail of the log that it names by its hash."""

    record: Record
    log: str | None


@dataclass(slots=True, kw_only=True)
class _Findings:
    """What the phases learn on their way, for the record and for the phases after."""

    file: DistributionFile | None = None
    path: Path | None = None
    installed: tuple[Installed, ...] = ()
    needs_more: bool = True
    modules: Modules | None = None
    top_levels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    bytes: dict[Phase, int] = field(default_factory=dict)
    grounds: dict[Phase, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks cells, from several threads at once. `clock` gives epoch seconds."""

    index: Index
    runtime: Runtime
    matrix: Matrix
    node: str
    hosts: Callable[[], frozenset[str]] = frozenset
    clock: Callable[[], float] = time.time

    def check(self, cell: Cell, prepared: Prepared) -> Observation:
        """Run one cell and give what was observed; what goes wrong on our side is an `ERROR`, never an exception."""
        findings = _Findings()
        with ExitStack() as stack:
            gated = run_gated(_Steps(self, cell, prepared, findings, stack).by_phase())
        return self._observation(cell, prepared, gated, findings)

    def _observation(self, cell: Cell, prepared: Prepared, gated: Gated, findings: _Findings) -> Observation:
        last = gated.last
        explained = gated.result is not Result.PASS
        log = _tail(self._scrub(last.log, findings)) if explained and last.log.strip() else None
        record = Record(
            release=cell.release,
            environment=cell.environment,
            result=gated.result,
            outcomes=gated.outcomes,
            observed_at=int(self.clock()),
            node=self.node,
            arch=prepared.arch,
            python=prepared.python,
            image_digest=prepared.image_digest,
            standin=prepared.standin,
            network=prepared.network,
            pip_version=prepared.pip_version,
            file=findings.file,
            imports=findings.modules.names if findings.modules else (),
            installed=findings.installed,
            duration_ms={phase: report.duration_ms for phase, report in gated.reports.items() if report.duration_ms},
            cause=last.cause if explained else None,
            blame=last.blame if explained else None,
            detail=_alike(self._scrub(last.detail, findings)) if last.detail else None,
            bytes={phase: count for phase, count in findings.bytes.items() if count},
            grounds=findings.grounds,
            log_sha256=sha256_hex(log.encode()) if log is not None else None,
        )
        return Observation(record=record, log=log)

    def _scrub(self, text: str, findings: _Findings) -> str:
        """Take out of a text what is of this run or machine alone: the index's addresses, the sandbox's own folders."""
        for host in sorted(self.hosts(), key=len, reverse=True):
            text = text.replace(host, "index.example")
        for folder, alias in findings.aliases.items():
            text = text.replace(folder, alias)
        return text.replace("\x00", "")


class _Steps:
    """The four phases of one cell as the gate wants them."""

    def __init__(self, checker: Checker, cell: Cell, prepared: Prepared, findings: _Findings, stack: ExitStack) -> None:
        self._checker = checker
        self._cell = cell
        self._prepared = prepared
        self._findings = findings
        self._stack = stack
        self._box: Sandbox | None = None

    def by_phase(self) -> Mapping[Phase, Callable[[], Report]]:
        """Give each phase its step."""
        return {
            Phase.DOWNLOAD: self._download,
            Phase.NODEPS: self._nodeps,
            Phase.FULL: self._full,
            Phase.IMPORT: self._import,
        }

    def _download(self) -> Report:
        started = time.monotonic()
        package = self._cell.release.package
        try:
            files = files_of(self._cell.release, self._checker.index.files(package))
            if not files:
                return _ours("missing-file", f"the index lists no file of {self._cell.release}")
            chosen = choose(files, self._prepared)
            if isinstance(chosen, NotClaimed):
                return Report(
                    outcome=Outcome.SKIP,
                    cause=chosen.cause,
                    blame=Blame.PACKAGE,
                    detail=one_line(chosen.detail),
                    not_claimed=True,
                )
            self._fetch(chosen)
        except DownloadTimeoutError as error:
            return Report(outcome=Outcome.TIMEOUT, cause="timeout", blame=Blame.UNKNOWN, detail=one_line(str(error)))
        except DownloadError as error:
            return _ours(error.cause, str(error))
        except (IndexUnreachableError, UnknownPackageError) as error:
            return _ours("network", error.what)
        return Report(outcome=Outcome.PASS, duration_ms=_since(started))

    def _fetch(self, chosen: IndexFile) -> None:
        path = self._checker.index.fetch(
            chosen,
            timeout_s=self._checker.matrix.timeouts_s[Phase.DOWNLOAD],
            max_bytes=self._checker.matrix.limits.file_mb * 1024 * 1024,
        )
        self._findings.path = path
        self._findings.bytes[Phase.DOWNLOAD] = path.stat().st_size
        self._findings.file = DistributionFile(
            filename=chosen.filename, sha256=chosen.sha256 or "", size=path.stat().st_size
        )

    def _nodeps(self) -> Report:
        assert self._findings.path is not None  # noqa: S101 - the gate: download passed
        try:
            self._box = box = self._stack.enter_context(
                self._checker.runtime.sandbox(self._prepared, self._findings.path)
            )
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        self._findings.aliases = box.aliases
        report = self._install(box, Phase.NODEPS, "--no-deps")
        return self._learn(box, report)

    def _full(self) -> Report:
        box = self._box
        assert box is not None  # noqa: S101 - the gate: nodeps passed
        try:
            # Where nothing is missing, an installation with dependencies would be the same once more.
            if not self._findings.needs_more:
                check = box.pip(["check"], timeout_s=SETUP_TIMEOUT_S)
                if check.ok:
                    self._findings.grounds[Phase.FULL] = NOTHING_TO_ADD
                    return Report(outcome=Outcome.PASS, duration_ms=check.duration_ms, log=check.output)
            box.renew()
            self._findings.installed = ()
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        return self._learn(box, self._install(box, Phase.FULL))

    def _learn(self, box: Sandbox, report: Report) -> Report:
        """Learn what an installation that passed has installed; give its report, or ours where that cannot be."""
        if report.outcome is not Outcome.PASS:
            return report
        try:
            done = box.look(self._cell.release.package, timeout_s=SETUP_TIMEOUT_S)
            installed, target, needs_more = _parse(done.output)
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return _ours(
                "sandbox", f"what was installed could not be read: {type(error).__name__}: {done.output[-200:]}"
            )
        self._findings.installed = installed
        self._findings.needs_more = needs_more
        self._findings.top_levels = top_levels(target.paths)
        self._findings.modules = modules_of(self._cell.release.package, target, self._prepared.suffixes)
        return report

    def _install(self, box: Sandbox, phase: Phase, *options: str) -> Report:
        arguments = ["--no-cache-dir", "--no-compile", "--progress-bar", "off", "--report", f"{box.work}/report.json"]
        try:
            done = box.pip(
                ["install", *arguments, *options, box.file],
                timeout_s=self._checker.matrix.timeouts_s[phase],
            )
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        self._findings.bytes[phase] = done.received_bytes
        if not done.ok:
            return self._asked(explain(phase, done, package=self._cell.release.package))
        return Report(outcome=Outcome.PASS, duration_ms=done.duration_ms, log=done.output)

    def _asked(self, report: Report) -> Report:
        """Have the index say what a dependency lacks: pip tells of every project at once which versions it passed over.

        Where pip saw no version and the index cannot be read, nothing is known of the dependency.
        """
        wanted = _wanted(report)
        if wanted is None:
            return report
        try:
            files = self._checker.index.files(canonicalize_name(wanted.name))
        except UnknownPackageError:
            return replace(report, cause="no-distribution")
        except IndexUnreachableError as error:
            unseen = "(from versions: none)" in report.log
            return replace(_ours("network", error.what), log=report.log) if unseen else report
        return replace(report, cause=lacking(wanted, files, self._prepared))

    def _import(self) -> Report:
        modules, box = self._findings.modules, self._box
        assert modules is not None  # noqa: S101 - the gate: full passed
        assert box is not None  # noqa: S101 - likewise
        if not modules.names:
            return Report(outcome=Outcome.SKIP, detail=modules.reason)
        try:
            box.isolate()
            return self._prove_all(box, modules.names)
        except SandboxLostError as error:
            return _ours("sandbox", str(error))

    def _prove_all(self, box: Sandbox, modules: Sequence[str]) -> Report:
        spent_ms = 0
        for module in modules:
            remaining_s = self._checker.matrix.timeouts_s[Phase.IMPORT] - spent_ms / 1000
            done = box.prove(module, timeout_s=max(remaining_s, 1))
            spent_ms += done.duration_ms
            if not (done.ok and done.proved):
                report = explain(
                    Phase.IMPORT, done, package=self._cell.release.package, modules=self._findings.top_levels
                )
                return _named(report, module, spent_ms)
        return Report(outcome=Outcome.PASS, duration_ms=spent_ms)


def _alike(detail: str) -> str:
    """Take out of a detail what would differ if the cell were checked once more."""
    return _CHANCE.sub("…", _INSIDE.sub("", detail))


def _wanted(report: Report) -> Requirement | None:
    """Give the requirement of a dependency that pip found nothing for, if that is what a report is about."""
    if report.cause not in {"requires-python", "no-distribution"} or report.blame is not Blame.DEPENDENCY:
        return None
    found = _NOT_FOUND.findall(report.log)
    try:
        return Requirement(found[-1]) if found else None
    except InvalidRequirement:
        return None


def _tail(log: str) -> str:
    return log if len(log) <= LOG_TAIL else CUT + log[len(CUT) - LOG_TAIL :]


def _parse(output: str) -> tuple[tuple[Installed, ...], Installation, bool]:
    """Parse what `inside/installed.py` tells as the untrusted data it is; raise what parsing raises.

    Gives what was installed, what the target says of itself, and whether it needs anything more here.
    """
    data: dict[str, Any] = json.loads(output)
    if len(data["installed"]) > MAX_INSTALLED:
        raise ValueError(f"{len(data['installed'])} distributions")
    installed = tuple(
        sorted(
            (
                Installed(name=canonicalize_name(one_line(n)[:214]), version=one_line(v)[:128], sha256=_hex(h))
                for n, v, h in data["installed"]
            ),
            key=lambda i: (i.name, i.version),
        )
    )
    target = data["target"]
    names = target["import_names"]
    said = Installation(
        paths=tuple(map(str, target["paths"])),
        import_names=None if names is None else tuple(map(str, names)),
        top_level=tuple(map(str, target["top_level"])),
    )
    return installed, said, needs_more(data["needs"]["requires"], data["needs"]["markers"])


def needs_more(requires: Sequence[str], markers: Mapping[str, str]) -> bool:
    """Say whether any of some Requires-Dist applies where the marker variables have these values, without extras."""
    try:
        wanted = [Requirement(line).marker for line in requires]
        return any(marker is None or marker.evaluate({**markers, "extra": ""}) for marker in wanted)
    except (InvalidRequirement, UndefinedComparison, UndefinedEnvironmentName):
        # What pip makes of it is for pip to say.
        return True


def _hex(text: object) -> str | None:
    return text if isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef") else None  # noqa: PLR2004 - sha256


def _named(report: Report, module: str, duration_ms: int) -> Report:
    return Report(
        outcome=report.outcome,
        duration_ms=duration_ms,
        log=report.log,
        cause=report.cause,
        blame=report.blame,
        detail=one_line(f"import {module}: {report.detail}"),
    )


def _ours(cause: str, detail: str) -> Report:
    return Report(outcome=Outcome.ERROR, cause=cause, blame=Blame.INFRASTRUCTURE, detail=one_line(detail))


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
