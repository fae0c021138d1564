"""Why a phase failed, and whose fault it is: typed signals, then the rules of `causes.toml`, else `unclassified`.

FAIL is the package's, ERROR is ours: an outcome is only FAIL where nothing points to our timer, our limits, our disk or
our network. What a log cannot show is decided later, from the sibling cells (`ppp.model.blame`); they all lack the same
things, so a log that shows that something is lacking is not left to them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ppp.check.binary_bounds import helping_bound, project_of_symbol
from ppp.check.cause_rules import OtherProject, Rule, rules
from ppp.check.distributions import Distributions
from ppp.check.phases import PhaseReport
from ppp.check.runtime import CommandResult
from ppp.check.syntax_errors import SyntaxFault, last_syntax_fault
from ppp.check.telling_lines import is_progress, telling_exception, telling_line
from ppp.check.tracebacks import TRACEBACK, Frame, last_frames
from ppp.model.record import Blame, Outcome, Phase

MAX_DETAIL: Final = 300
#: How much of a line is searched, in characters: more than any pattern needs.
MAX_LINE: Final = 2000
#: Lines in which pip names the project whose build or installation failed; the last one counts.
_FAILED_PROJECT: Final = re.compile(
    r"^[ \t]*ERROR: Failed building wheel for ([A-Za-z0-9._-]+)"
    r"|^ERROR: Failed to build '([A-Za-z0-9._-]+)' when"
    r"|^Failed to build ([A-Za-z0-9._-]+)$"
    r"|^╰─> ([A-Za-z0-9._-]+)$",
    re.MULTILINE,
)

#: A longer requirement is not pip's own: parsing it could take long.
_NO_MATCHING_DISTRIBUTION: Final = re.compile(r"^ERROR: No matching distribution found for (.{1,1000})$", re.MULTILINE)
#: If pip fails while it collects, the project that it started to collect last is the one that failed.
_COLLECTING: Final = re.compile(r"^Collecting ([A-Za-z0-9._-]+)", re.MULTILINE)
_COLLECTED: Final = re.compile(
    r"^(?:Installing collected packages|Building wheels for collected packages)", re.MULTILINE
)
#: Causes for which the code that imports the module is to blame, even if it does so in a function.
_IMPORTER_TO_BLAME: Final = frozenset(
    {
        "module-missing",
        "pkg-resources",
        "distutils-removed",
        "missing-stdlib-module",
        "written-for-older-python",
        "written-for-newer-python",
    }
)
#: Causes that say what happened and not why: where the log shows that something is lacking, that is why.
_OPEN_CAUSES: Final = frozenset({"unclassified", "import-error", "exits", "build-backend"})
#: What a program prints where the system lacks something, whatever its words for it: how to install it, say.
_LACKING: Final = re.compile(
    r"\b(?:apt|apt-get|yum|dnf|brew|zypper)(?: -y)? install (?!python3?-pip)|\bapk add |: command not found$"
    r"|not (?:found )?(?:in|on) (?:your |the )?(?:system'?s? )?\$?PATH\b"
    r"|(?:No such file or directory|Permission denied): '/(?:dev|proc|sys)/\w"
    r"|can only be run on a Raspberry Pi|\bNVIDIA (?:GPU|driver)|\blibcuda\b",
    re.MULTILINE,
)
#: How much of the end of an output tells that, in characters.
_LACKING_CHARS: Final = 3000
#: A program's path in the words of whoever could not run it: where it would be means nothing elsewhere.
_PROGRAM_PATH: Final = re.compile(r"(?<=['\"`])/(?:[\w.+-]+/){1,20}(?=[\w.+-]+['\"`])")
_PROGRAM_CAUSES: Final = frozenset({"no-compiler", "no-build-tool", "missing-program"})
_SYNTAX: Final = re.compile(r"(?:Syntax|Indentation|Tab)Error\b")
_SEVERITY: Final = re.compile(r"^((?:[A-Za-z0-9._-]{1,214}: )?)(?:ERROR: )+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _FailedCommand:
    """A command that did not succeed, and what is known of the cell in which it ran."""

    phase: Phase
    completed: CommandResult
    package: str
    #: The names at the target's top level; none if they are not known.
    own: frozenset[str]
    distributions: Distributions

    @property
    def output(self) -> str:
        return self.completed.output

    def project_of(self, path: str) -> str | None:
        """Return the project that an installed file belongs to, or its top-level module; None for the target's own."""
        top = path.partition("/")[0].partition(".")[0]
        owner = self.distributions.owner(path.rpartition(".")[0] or path)
        if owner is not None:
            return None if owner == self.package else owner
        return None if top in self.own else top


def classify_failure(
    phase: Phase,
    completed: CommandResult,
    *,
    package: str,
    modules: Sequence[str] = (),
    distributions: Distributions | None = None,
) -> PhaseReport:
    """Return why a command that did not succeed failed: outcome, cause, blame and one line of detail, not yet cut.

    `modules` are the names at the target's top level, private ones too (see `top_levels`): an import that fails in
    another project's module is the dependency's failure. Without them the two are not told apart. `distributions` are
    those that are installed, so that a failure between two of them can name both.
    """
    # A line of a few megabytes says nothing that its beginning does not.
    lines = (line[:MAX_LINE] for line in completed.output.split("\n"))
    failure = _FailedCommand(
        phase=phase,
        completed=replace(completed, output="\n".join(lines)),
        package=package,
        own=frozenset(module.partition(".")[0] for module in modules),
        distributions=distributions or Distributions(),
    )
    return replace(_classify(failure), log=completed.output)


def top_levels(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the top-level names that RECORD's paths (relative to site-packages) install, sorted, private ones too."""
    firsts = {path.partition("/")[0] for path in paths}
    return tuple(
        sorted({first.partition(".")[0] for first in firsts if not first.endswith((".dist-info", ".."))} - {""})
    )


def _classify(failure: _FailedCommand) -> PhaseReport:
    completed, phase = failure.completed, failure.phase
    if completed.timed_out:
        return _report(completed, Outcome.TIMEOUT, "timeout", Blame.UNKNOWN, f"{phase} did not end in time")
    if completed.oom:
        return _report(completed, Outcome.ERROR, "oom", Blame.INFRASTRUCTURE, "ended by the kernel for want of memory")
    if phase is Phase.IMPORT and completed.exit_code is not None and completed.exit_code < 0:
        return _report(completed, Outcome.FAIL, "crash", Blame.PACKAGE, f"ended by signal {-completed.exit_code}")
    for rule in rules():
        if phase in rule.phases and (match := _find(rule, failure)):
            return _lacking(_by_rule(rule, match, failure), failure)
    return _lacking(_without_rule(failure), failure)


def _without_rule(failure: _FailedCommand) -> PhaseReport:
    completed, output = failure.completed, failure.output
    if failure.phase is not Phase.IMPORT:
        return _report(completed, Outcome.FAIL, "unclassified", Blame.UNKNOWN, telling_line(output))
    if TRACEBACK not in output:
        detail = f"the import ended the process with status {completed.exit_code}"
        return _report(completed, Outcome.FAIL, "exits", Blame.PACKAGE, detail)
    # A traceback whose last line no rule knows: not every exception is named like one.
    return _blamed(failure, "import-error", Blame.PACKAGE, telling_line(output))


def _lacking(report: PhaseReport, failure: _FailedCommand) -> PhaseReport:
    """Blame the environment for what a log leaves open, if its end says that something is lacking.

    Otherwise the sibling cells would be asked, which lack it just as well.
    """
    open_to_siblings = report.cause in _OPEN_CAUSES and report.blame in {Blame.PACKAGE, Blame.UNKNOWN}
    if open_to_siblings and (found := _LACKING.search(failure.output[-_LACKING_CHARS:])):
        report = replace(report, blame=Blame.ENVIRONMENT)
        if report.cause == "exits":
            told = _line_at(failure.output[-_LACKING_CHARS:], found)
            report = replace(report, detail=printable_line(f"{report.detail}: {told}"))
    return report


def _blamed(failure: _FailedCommand, cause: str, blame: Blame, line: str) -> PhaseReport:
    """Return the report of a failed import, blamed on another project if it failed in one's module."""
    other = _other_project(cause, failure)
    if other is None:
        return _report(failure.completed, Outcome.FAIL, cause, blame, line)
    return _report(failure.completed, Outcome.FAIL, cause, Blame.DEPENDENCY, f"{other}: {line}")


def _find(rule: Rule, failure: _FailedCommand) -> re.Match[str] | None:
    output = failure.output
    matches = rule.pattern.finditer(output)
    # Usually the last match counts: a log ends with what ended the command.
    first = next(matches, None)
    if first is None or (rule.then and not rule.then.search(output, first.end())):
        return None
    if (rule.context and not rule.context.search(output)) or (rule.unless and rule.unless.search(output)):
        return None
    match = first if rule.takes_first else max(matches, key=lambda match: match.start(), default=first)
    if rule.earlier:
        named = rule.earlier.replace("{1}", re.escape(canonicalize_name(match[1])))
        return match if re.search(named, output[: match.start()], re.MULTILINE) else None
    if rule.last and TRACEBACK in output[match.end() :]:
        return None
    if rule.other and _drifted(rule, match, failure) is None:
        return None
    return match if rule.cause != "syntax-error" or _ends_it(failure) else None


def _ends_it(failure: _FailedCommand) -> bool:
    """Return whether a SyntaxError ended a command: a build may compile files that it does not need, and go on."""
    return failure.phase is Phase.IMPORT or bool(_SYNTAX.match(telling_line(failure.output)))


def _drifted(rule: Rule, match: re.Match[str], failure: _FailedCommand) -> str | None:
    """Return the installed distribution, other than the target, that a rule with `other` is about; None if it is none.

    Where a distribution fails by itself, it did not change under anybody: that is no drift.
    """
    frames = [frame for frame in last_frames(failure.output) if frame.installed]
    raising = failure.distributions.owner(_module_of(frames[-1])) if frames else None
    if rule.other is OtherProject.NAMED:
        owner = failure.distributions.owner(match[1])
        return owner if owner not in {failure.package, raising} else None
    if rule.other is OtherProject.SYMBOL:
        project = project_of_symbol(match[1])
        return project if project in failure.distributions.versions and project != failure.package else None
    return raising if raising != failure.package else None


def _module_of(frame: Frame) -> str:
    return frame.path.rpartition(".")[0] or frame.path


def _by_rule(rule: Rule, match: re.Match[str], failure: _FailedCommand) -> PhaseReport:
    completed, output = failure.completed, failure.output
    if rule.cause == "syntax-error" and (fault := last_syntax_fault(output)):
        return _syntax_report(fault, failure)
    if rule.other and (drifted := _drifted(rule, match, failure)):
        return _drift_report(drifted, _line_at(output, match), rule, failure)
    if rule.cause == "binary-incompatible" and (report := _binary_report(match, failure)):
        return report
    imports = failure.phase is Phase.IMPORT
    subject = _other_project(rule.cause, failure) if imports else _subject(rule, output)
    line = _told(rule, match, output)
    about_target = subject == failure.package or (subject is None and failure.phase is Phase.NODEPS)
    if rule.target_is_na and about_target:
        return replace(_report(completed, Outcome.SKIP, rule.cause, Blame.PACKAGE, line), not_claimed=True)
    blame = rule.blame
    if blame is not Blame.INFRASTRUCTURE and subject is not None:
        if not about_target:
            blame, line = Blame.DEPENDENCY, f"{subject}: {line.strip()}"
        elif blame is Blame.DEPENDENCY and rule.cause != "build-dependency":
            blame = Blame.PACKAGE
    return _report(completed, rule.outcome, rule.cause, blame, line)


def _told(rule: Rule, match: re.Match[str], output: str) -> str:
    """Return the line to show for a match: the rule's own choice, else the match's, else what tells the most."""
    line = _detail(rule, output) or telling_exception(_line_at(output, match), output, match.end())
    # A rule may match what pip says at last, or what a build prints on its way.
    return telling_line(output) if is_progress(line) else line


def _syntax_report(fault: SyntaxFault, failure: _FailedCommand) -> PhaseReport:
    if failure.phase is Phase.IMPORT:
        frames = last_frames(failure.output)
        return _blamed(failure, fault.cause, Blame.PACKAGE, fault.described(frames[-1].path if frames else fault.file))
    # A build runs setup.py from text, and its own files from a folder that is another one next time.
    file = "setup.py" if fault.file.startswith("<") else fault.file
    subject, line = _subject(None, failure.output), fault.described(file)
    if subject in {None, failure.package}:
        return _report(failure.completed, Outcome.FAIL, fault.cause, Blame.PACKAGE, line)
    return _report(failure.completed, Outcome.FAIL, fault.cause, Blame.DEPENDENCY, f"{subject}: {line}")


def _drift_report(drifted: str, line: str, rule: Rule, failure: _FailedCommand) -> PhaseReport:
    # Where it is installed means nothing to readers; which version it is does.
    plain = re.sub(r" \(/[^()\n]*\)$", "", line.strip())
    version = failure.distributions.versions.get(drifted)
    installed = f" ({drifted} {version})" if version else ""
    return _report(failure.completed, rule.outcome, rule.cause, Blame.DEPENDENCY, f"{drifted}: {plain}{installed}")


def _binary_report(match: re.Match[str], failure: _FailedCommand) -> PhaseReport | None:
    """Return the report of a file that was compiled against another version of an installed distribution, or None."""
    line = _line_at(failure.output, match).strip()
    name = next((group for group in match.groups() if group), "")
    # NumPy's own words do not name it.
    module = "numpy" if name in {"_ARRAY_API", "module", "NumPy"} else name
    owner = failure.distributions.owner(module) or module.partition(".")[0]
    if not owner:
        return None
    if owner == failure.package:
        return _report(failure.completed, Outcome.FAIL, "binary-incompatible", Blame.PACKAGE, line)
    version = failure.distributions.versions.get(owner)
    bound = helping_bound(owner, version, failure.output)
    told = "; ".join(filter(None, (version and f"{owner} {version} is installed", bound and f"{bound} helps")))
    detail = f"{owner}: {line}{f' ({told})' if told else ''}"
    return _report(failure.completed, Outcome.FAIL, "binary-incompatible", Blame.DEPENDENCY, detail)


def _subject(rule: Rule | None, output: str) -> str | None:
    collecting = None if _COLLECTED.search(output) else _COLLECTING
    for pattern in (rule and rule.subject, _FAILED_PROJECT, collecting):
        found: Sequence[re.Match[str]] = list(pattern.finditer(output)) if pattern else []
        names = [group for match in found for group in match.groups() if group]
        if names:
            return canonicalize_name(names[-1])
    return None


def _other_project(cause: str, failure: _FailedCommand) -> str | None:
    """Return the other project in whose module an import failed; None where it failed in the target's own."""
    # A dependency's function may have been called wrongly; that its module cannot be executed is its own failure.
    places = [
        frame.path
        for frame in last_frames(failure.output)
        if frame.installed and (cause in _IMPORTER_TO_BLAME or frame.at_import)
    ]
    return failure.project_of(places[-1]) if places and failure.own else None


def _detail(rule: Rule, output: str) -> str | None:
    found = (list(detail.finditer(output)) for detail in rule.details)
    return next((matches[-1][1] for matches in found if matches), None)


def _report(completed: CommandResult, outcome: Outcome, cause: str, blame: Blame, detail: str) -> PhaseReport:
    line = printable_line(detail)
    if cause in _PROGRAM_CAUSES:
        line = _PROGRAM_PATH.sub("", line)
    return PhaseReport(
        outcome=outcome,
        duration_ms=completed.duration_ms,
        log=completed.output,
        cause=cause,
        blame=blame,
        # Beside FAIL, pip's own word for its severity says nothing.
        detail=_SEVERITY.sub(r"\1", line),
    )


def _line_at(output: str, match: re.Match[str]) -> str:
    start = output.rfind("\n", 0, match.start()) + 1
    end = output.find("\n", match.start())
    return output[start : end if end >= 0 else None]


def missing_requirement(report: PhaseReport) -> Requirement | None:
    """Return the requirement that pip found no distribution for, if that is what a report is about."""
    if report.cause not in {"requires-python", "no-distribution"} or report.blame is not Blame.DEPENDENCY:
        return None
    found = _NO_MATCHING_DISTRIBUTION.findall(report.log)
    try:
        # pip 26.3 also says who requires it.
        return Requirement(found[-1].partition(" (from ")[0]) if found else None
    except InvalidRequirement:
        return None


def one_line(text: str) -> str:
    """Return text as one line of printable characters, of at most `MAX_DETAIL`: output of a package is untrusted."""
    plain = printable_line(text)
    return plain if len(plain) <= MAX_DETAIL else f"{plain[: MAX_DETAIL - 1]}…"


def printable_line(text: str) -> str:
    """Return text as one line of printable characters, however long: what is still to be replaced in it is whole."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
