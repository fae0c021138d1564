"""One cell, from its file to its record: download outside, install and import in a sandbox, verdict decided here.

The sandbox is asked for facts only after they are parsed as untrusted data; the import is believed when a word that the
package could not know beforehand is printed after it.
"""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from packaging.utils import canonicalize_name

from ppp.check.causes import explain, one_line
from ppp.check.choose import IndexFile, NotClaimed, choose, files_of
from ppp.check.index import DownloadError, DownloadTimeoutError, Index
from ppp.check.inside import program
from ppp.check.modules import Installation, Modules, modules_of
from ppp.check.phases import Gated, Report, run_gated
from ppp.check.runtime import Completed, Prepared, Runtime, Sandbox, SandboxLostError
from ppp.model.errors import IndexUnreachableError, UnknownPackageError
from ppp.model.matrix import Cell, Matrix
from ppp.model.record import Blame, DistributionFile, Installed, Outcome, Phase, Record, Result, sha256_hex

#: The end of a failed phase's log that is kept, in characters.
LOG_TAIL: Final = 12_000
CUT: Final = "[the beginning of this log was cut]\n"
SETUP_TIMEOUT_S: Final = 60
#: More distributions than a record may hold.
MAX_INSTALLED: Final = 2000
#: Where things lie in a cell tells nobody anything, and differs from cell to cell.
_INSIDE: Final = re.compile(r"(file://)?/ppp/(file|work/\w+/lib/python[\d.]+/site-packages)/")


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
    modules: Modules | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks cells, from several threads at once. `clock` gives epoch seconds, `word` a fresh unguessable word."""

    index: Index
    runtime: Runtime
    matrix: Matrix
    node: str
    hosts: Callable[[], frozenset[str]] = frozenset
    clock: Callable[[], float] = time.time
    word: Callable[[], str] = secrets.token_hex

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
            detail=_INSIDE.sub("", self._scrub(last.detail, findings)) if last.detail else None,
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
        self._findings.file = DistributionFile(
            filename=chosen.filename, sha256=chosen.sha256 or "", size=path.stat().st_size
        )

    def _nodeps(self) -> Report:
        assert self._findings.path is not None  # noqa: S101 - the gate: download passed
        try:
            self._box = box = self._stack.enter_context(
                self._checker.runtime.sandbox(self._prepared, self._findings.path)
            )
            self._findings.aliases = {
                str(PurePosixPath(box.file).parent): "/ppp/file",
                str(PurePosixPath(box.pip).parent): "/ppp/pip",
                box.work: "/ppp/work",
            }
            setup = box.run([box.python, "-I", "-c", program("environments"), box.work], timeout_s=SETUP_TIMEOUT_S)
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        if not setup.ok:
            return _ours("sandbox", f"the virtual environments could not be made: {setup.output[-200:]}")
        return self._install(Phase.NODEPS, "--no-deps")

    def _full(self) -> Report:
        assert self._box is not None  # noqa: S101 - the gate: nodeps passed
        report = self._install(Phase.FULL, "--report", f"{self._box.work}/report.json")
        if report.outcome is not Outcome.PASS:
            return report
        done = self._run(
            [self._box.python, "-I", "-S", "-c", program("installed"), self._box.work, self._cell.release.package],
            SETUP_TIMEOUT_S,
        )
        if isinstance(done, Report):
            return done
        try:
            installed, target = _parse(done.output)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return _ours(
                "sandbox", f"what was installed could not be read: {type(error).__name__}: {done.output[-200:]}"
            )
        self._findings.installed = installed
        self._findings.modules = modules_of(self._cell.release.package, target, self._prepared.suffixes)
        return report

    def _install(self, phase: Phase, *options: str) -> Report:
        box = self._box
        assert box is not None  # noqa: S101 - made by nodeps
        python = f"{box.work}/{phase}/bin/python"
        argv = [
            python,
            box.pip,
            "install",
            "--no-cache-dir",
            "--no-compile",
            "--progress-bar",
            "off",
            *options,
            box.file,
        ]
        done = self._run(argv, self._checker.matrix.timeouts_s[phase])
        if isinstance(done, Report):
            return done
        if not done.ok:
            return explain(phase, done, package=self._cell.release.package)
        return Report(outcome=Outcome.PASS, duration_ms=done.duration_ms, log=done.output)

    def _import(self) -> Report:
        modules, box = self._findings.modules, self._box
        assert modules is not None  # noqa: S101 - the gate: full passed
        assert box is not None  # noqa: S101 - likewise
        if not modules.names:
            return Report(outcome=Outcome.SKIP, detail=modules.reason)
        try:
            box.isolate()
        except SandboxLostError as error:
            return _ours("sandbox", str(error))
        spent_ms = 0
        for module in modules.names:
            word = self._checker.word()
            argv = [f"{box.work}/full/bin/python", "-I", "-B", "-c", program("importing"), module, word]
            remaining_s = self._checker.matrix.timeouts_s[Phase.IMPORT] - spent_ms / 1000
            done = self._run(argv, max(remaining_s, 1), cwd=f"{box.work}/empty")
            if isinstance(done, Report):
                return done
            spent_ms += done.duration_ms
            if not (done.ok and word in done.output.splitlines()):
                report = explain(Phase.IMPORT, done, package=self._cell.release.package)
                return _named(report, module, spent_ms)
        return Report(outcome=Outcome.PASS, duration_ms=spent_ms)

    def _run(self, argv: list[str], timeout_s: float, cwd: str | None = None) -> Completed | Report:
        assert self._box is not None  # noqa: S101 - made by nodeps
        try:
            return self._box.run(argv, timeout_s=timeout_s, cwd=cwd)
        except SandboxLostError as error:
            return _ours("sandbox", str(error))


def _tail(log: str) -> str:
    return log if len(log) <= LOG_TAIL else CUT + log[len(CUT) - LOG_TAIL :]


def _parse(output: str) -> tuple[tuple[Installed, ...], Installation]:
    """Parse what `inside/installed.py` printed as the untrusted data it is; raise what parsing raises."""
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
    return installed, Installation(
        paths=tuple(map(str, target["paths"])),
        import_names=None if names is None else tuple(map(str, names)),
        top_level=tuple(map(str, target["top_level"])),
    )


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
