"""Why a phase failed, and whose fault it is: typed signals, then the rules of `causes.toml`, else `unclassified`.

FAIL is the package's, ERROR is ours: an outcome is only FAIL where nothing points to our timer, our limits, our disk or
our network. What a log cannot show is decided later, from the sibling cells (`ppp.model.blame`).
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ppp.check.phases import PhaseReport
from ppp.check.runtime import CommandResult
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A `[[rule]]` of `causes.toml`, which explains the fields."""

    cause: str
    blame: Blame
    pattern: re.Pattern[str]
    excerpt: str
    outcome: Outcome = Outcome.FAIL
    phases: frozenset[Phase] = frozenset(Phase)
    target_is_na: bool = False
    subject: re.Pattern[str] | None = None
    takes_first: bool = False
    then: re.Pattern[str] | None = None
    earlier: str | None = None
    details: tuple[re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseHelp:
    """What a cause means, how the maintainer fixes it, how a user works around it; text in backticks is code."""

    title: str
    meaning: str
    maintainer: str
    user: str


#: If pip fails while it collects, the project that it started to collect last is the one that failed.
_COLLECTING: Final = re.compile(r"^Collecting ([A-Za-z0-9._-]+)", re.MULTILINE)
_COLLECTED: Final = re.compile(
    r"^(?:Installing collected packages|Building wheels for collected packages)", re.MULTILINE
)
_TRACEBACK: Final = "Traceback (most recent call last)"
#: A traceback's line: the file below site-packages, and the function (none where the file cannot be parsed).
_FRAME: Final = re.compile(r'^ +File "(?>.*/(?:site|dist)-packages/)([^"\n]+)", line \d+(?:, in (.+))?$', re.MULTILINE)
#: Causes for which the code that imports the module is to blame, even if it does so in a function.
_IMPORTER_TO_BLAME: Final = frozenset({"module-missing", "pkg-resources", "distutils-removed"})


@cache
def _load_toml() -> Mapping[str, Any]:
    return tomllib.loads(files("ppp.check").joinpath("causes.toml").read_text("utf-8"))


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules in order of precedence."""
    return tuple(
        Rule(
            cause=row["cause"],
            blame=Blame(row["blame"]),
            pattern=re.compile(row["pattern"], re.MULTILINE),
            excerpt=row["excerpt"],
            outcome=Outcome(row.get("outcome", "FAIL")),
            phases=frozenset(map(Phase, row.get("phases", list(Phase)))),
            target_is_na=row.get("target") == "NA",
            subject=re.compile(row["subject"], re.MULTILINE) if "subject" in row else None,
            takes_first=row.get("take") == "first",
            then=re.compile(row["then"], re.MULTILINE) if "then" in row else None,
            earlier=row.get("earlier"),
            details=tuple(re.compile(detail, re.MULTILINE) for detail in row.get("details", ())),
        )
        for row in _load_toml()["rule"]
    )


@cache
def cause_help() -> Mapping[str, CauseHelp]:
    """Return the help for each cause that this PPP can find, in the order of the page of causes."""
    return {name: CauseHelp(**row) for name, row in _load_toml()["cause"].items()}


def classify_failure(
    phase: Phase, completed: CommandResult, *, package: str, modules: Sequence[str] = ()
) -> PhaseReport:
    """Return why a command that did not succeed failed: outcome, cause, blame and one line of detail, not yet cut.

    `modules` are the names at the target's top level, private ones too (see `top_levels`): an import that fails in
    another project's module is the dependency's failure. Without them the two are not told apart.
    """
    # A line of a few megabytes says nothing that its beginning does not.
    lines = (line[:MAX_LINE] for line in completed.output.split("\n"))
    report = _classify(phase, replace(completed, output="\n".join(lines)), package, _top_level_names(modules))
    return replace(report, log=completed.output)


def top_levels(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the top-level names that RECORD's paths (relative to site-packages) install, sorted, private ones too."""
    firsts = {path.partition("/")[0] for path in paths}
    return tuple(
        sorted({first.partition(".")[0] for first in firsts if not first.endswith((".dist-info", ".."))} - {""})
    )


def _top_level_names(modules: Iterable[str]) -> frozenset[str]:
    return frozenset(module.partition(".")[0] for module in modules)


def _classify(phase: Phase, completed: CommandResult, package: str, own: frozenset[str]) -> PhaseReport:
    if completed.timed_out:
        return _report(completed, Outcome.TIMEOUT, "timeout", Blame.UNKNOWN, f"{phase} did not end in time")
    if completed.oom:
        return _report(completed, Outcome.ERROR, "oom", Blame.INFRASTRUCTURE, "ended by the kernel for want of memory")
    if phase is Phase.IMPORT and completed.exit_code is not None and completed.exit_code < 0:
        return _report(completed, Outcome.FAIL, "crash", Blame.PACKAGE, f"ended by signal {-completed.exit_code}")
    for rule in rules():
        if phase in rule.phases and (match := _find(rule, completed.output)):
            return _by_rule(rule, match, phase, completed, package, own)
    return _without_rule(phase, completed, own)


def _without_rule(phase: Phase, completed: CommandResult, own: frozenset[str]) -> PhaseReport:
    if phase is not Phase.IMPORT:
        return _report(completed, Outcome.FAIL, "unclassified", Blame.UNKNOWN, _last_line(completed.output))
    if _TRACEBACK not in completed.output:
        detail = f"the import ended the process with status {completed.exit_code}"
        return _report(completed, Outcome.FAIL, "exits", Blame.PACKAGE, detail)
    # A traceback whose last line no rule knows: not every exception is named like one.
    other = _other_module("import-error", completed.output, own)
    line = _last_line(completed.output)
    if other is not None:
        return _report(completed, Outcome.FAIL, "import-error", Blame.DEPENDENCY, f"{other}: {line}")
    return _report(completed, Outcome.FAIL, "import-error", Blame.PACKAGE, line)


def _find(rule: Rule, output: str) -> re.Match[str] | None:
    matches = rule.pattern.finditer(output)
    # Usually the last match counts: a log ends with what ended the command.
    first = next(matches, None)
    if first is None or (rule.then and not rule.then.search(output, first.end())):
        return None
    match = first if rule.takes_first else max(matches, key=lambda match: match.start(), default=first)
    if rule.earlier:
        named = rule.earlier.replace("{1}", re.escape(canonicalize_name(match[1])))
        return match if re.search(named, output[: match.start()], re.MULTILINE) else None
    return match


def _by_rule(  # noqa: PLR0917 - what the two functions above know
    rule: Rule, match: re.Match[str], phase: Phase, completed: CommandResult, package: str, own: frozenset[str]
) -> PhaseReport:
    output = completed.output
    subject = _other_module(rule.cause, output, own) if phase is Phase.IMPORT else _subject(rule, output)
    line = _detail(rule, output) or _line_at(output, match)
    about_target = subject == package or (subject is None and phase is Phase.NODEPS)
    if rule.target_is_na and about_target:
        return replace(_report(completed, Outcome.SKIP, rule.cause, Blame.PACKAGE, line), not_claimed=True)
    blame = rule.blame
    if blame is not Blame.INFRASTRUCTURE and subject is not None:
        if not about_target:
            blame, line = Blame.DEPENDENCY, f"{subject}: {line.strip()}"
        elif blame is Blame.DEPENDENCY and rule.cause != "build-dependency":
            blame = Blame.PACKAGE
    return _report(completed, rule.outcome, rule.cause, blame, line)


def _subject(rule: Rule, output: str) -> str | None:
    collecting = None if _COLLECTED.search(output) else _COLLECTING
    for pattern in (rule.subject, _FAILED_PROJECT, collecting):
        found: Sequence[re.Match[str]] = list(pattern.finditer(output)) if pattern else []
        names = [group for match in found for group in match.groups() if group]
        if names:
            return canonicalize_name(names[-1])
    return None


def _other_module(cause: str, output: str, own: frozenset[str]) -> str | None:
    """Return the top-level module of another project in which an import failed; None where it is the target's own."""
    frames = _FRAME.findall(output, output.rfind(_TRACEBACK) + 1)
    # A dependency's function may have been called wrongly; that its module cannot be executed is its own failure.
    places = [path for path, within in frames if cause in _IMPORTER_TO_BLAME or within in {"", "<module>"}]
    if not places or not own:
        return None
    top = str(places[-1]).partition("/")[0].partition(".")[0]
    return None if top in own else top


def _detail(rule: Rule, output: str) -> str | None:
    found = (list(detail.finditer(output)) for detail in rule.details)
    return next((matches[-1][1] for matches in found if matches), None)


def _report(completed: CommandResult, outcome: Outcome, cause: str, blame: Blame, detail: str) -> PhaseReport:
    return PhaseReport(
        outcome=outcome,
        duration_ms=completed.duration_ms,
        log=completed.output,
        cause=cause,
        blame=blame,
        detail=printable_line(detail),
    )


def _line_at(output: str, match: re.Match[str]) -> str:
    start = output.rfind("\n", 0, match.start()) + 1
    end = output.find("\n", match.start())
    return output[start : end if end >= 0 else None]


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "it ended without a word")


def missing_requirement(report: PhaseReport) -> Requirement | None:
    """Return the requirement that pip found no distribution for, if that is what a report is about."""
    if report.cause not in {"requires-python", "no-distribution"} or report.blame is not Blame.DEPENDENCY:
        return None
    found = _NO_MATCHING_DISTRIBUTION.findall(report.log)
    try:
        return Requirement(found[-1]) if found else None
    except InvalidRequirement:
        return None


def one_line(text: str) -> str:
    """Return text as one line of printable characters, of at most `MAX_DETAIL`: output of a package is untrusted."""
    plain = printable_line(text)
    return plain if len(plain) <= MAX_DETAIL else f"{plain[: MAX_DETAIL - 1]}…"


def printable_line(text: str) -> str:
    """Return text as one line of printable characters, however long: what is still to be replaced in it is whole."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
