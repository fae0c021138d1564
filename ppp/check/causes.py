"""Why a phase failed, and whose fault it is: typed signals, then the rules of `causes.toml`, else `unclassified`.

Failed is theirs, error is ours: an outcome is only FAIL where nothing says that it was our timer, our limits, our disk
or our network.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Final

from packaging.utils import canonicalize_name

from ppp.check.phases import Report
from ppp.check.runtime import Completed
from ppp.model.record import Blame, Outcome, Phase

MAX_DETAIL: Final = 300
#: More of a line than any pattern needs, in characters.
MAX_LINE: Final = 2000
#: Lines in which pip names the project whose build or installation failed; the last one speaks.
_SUBJECTS: Final = re.compile(
    r"^\s*ERROR: Failed building wheel for ([A-Za-z0-9._-]+)"
    r"|^Failed to build ([A-Za-z0-9._-]+)$"
    r"|^╰─> ([A-Za-z0-9._-]+)$"
    r"|^error: failed-build-dependency-install.*\n(?:.*\n)*?╰─> ([A-Za-z0-9._-]+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row of `causes.toml`."""

    cause: str
    blame: Blame
    pattern: re.Pattern[str]
    help: str
    excerpt: str
    outcome: Outcome = Outcome.FAIL
    phases: frozenset[Phase] = frozenset(Phase)
    target_is_na: bool = False
    subject: re.Pattern[str] | None = None
    takes_first: bool = False
    details: tuple[re.Pattern[str], ...] = ()


#: Causes that come from typed signals rather than from a log, with a sentence of help for each.
SIGNALLED: Final = {
    "timeout": "It did not end in the time that a phase has.",
    "oom": "It needed more memory than a cell has: our limit, not its fault.",
    "crash": "The interpreter was ended by a signal while importing it.",
    "exits": "Importing it ends the process instead of returning.",
    "sandbox": "The cell's sandbox was lost or could not be made: ours, and tried again.",
    "file-size": "The file is larger than this node downloads.",
    "missing-file": "The index lists the release, but no file of it that pip could install.",
    "unclassified": "No rule knows this failure yet; the log's tail is there to read.",
}


@cache
def rules() -> tuple[Rule, ...]:
    """Give the rules in their order, which is the order of precedence."""
    data = tomllib.loads(files("ppp.check").joinpath("causes.toml").read_text("utf-8"))
    return tuple(
        Rule(
            cause=row["cause"],
            blame=Blame(row["blame"]),
            pattern=re.compile(row["pattern"], re.MULTILINE),
            help=row["help"],
            excerpt=row["excerpt"],
            outcome=Outcome(row.get("outcome", "FAIL")),
            phases=frozenset(map(Phase, row.get("phases", list(Phase)))),
            target_is_na=row.get("target") == "NA",
            subject=re.compile(row["subject"], re.MULTILINE) if "subject" in row else None,
            takes_first=row.get("take") == "first",
            details=tuple(re.compile(detail, re.MULTILINE) for detail in row.get("details", ())),
        )
        for row in data["rule"]
    )


def help_for(cause: str) -> str | None:
    """Give the sentence of help for a cause; None for one that this PPP does not know."""
    return SIGNALLED.get(cause) or next((rule.help for rule in rules() if rule.cause == cause), None)


def explain(phase: Phase, completed: Completed, *, package: str) -> Report:
    """Say why a command that did not succeed did not: outcome, cause, blame and one line of detail."""
    # Some patterns would be at a line without end for hours.
    lines = (line[:MAX_LINE] for line in completed.output.split("\n"))
    report = _explain(phase, replace(completed, output="\n".join(lines)), package)
    return replace(report, log=completed.output)


def _explain(phase: Phase, completed: Completed, package: str) -> Report:
    if completed.timed_out:
        return _report(completed, Outcome.TIMEOUT, "timeout", Blame.UNKNOWN, f"{phase} did not end in time")
    if completed.oom:
        return _report(completed, Outcome.ERROR, "oom", Blame.INFRASTRUCTURE, "ended by the kernel for want of memory")
    if phase is Phase.IMPORT and completed.exit_code is not None and completed.exit_code < 0:
        return _report(completed, Outcome.FAIL, "crash", Blame.PACKAGE, f"ended by signal {-completed.exit_code}")
    for rule in rules():
        if phase in rule.phases and (match := _find(rule, completed.output)):
            return _by_rule(rule, match, phase, completed, package)
    return _by_no_rule(phase, completed)


def _by_no_rule(phase: Phase, completed: Completed) -> Report:
    if phase is not Phase.IMPORT:
        return _report(completed, Outcome.FAIL, "unclassified", Blame.UNKNOWN, _last_line(completed.output))
    if "Traceback (most recent call last)" not in completed.output:
        detail = f"the import ended the process with status {completed.exit_code}"
        return _report(completed, Outcome.FAIL, "exits", Blame.PACKAGE, detail)
    # Not every exception is called one.
    return _report(completed, Outcome.FAIL, "import-error", Blame.PACKAGE, _last_line(completed.output))


def _find(rule: Rule, output: str) -> re.Match[str] | None:
    # The last match: what a log ends on is what ended it.
    matches = rule.pattern.finditer(output)
    if rule.takes_first:
        return next(matches, None)
    return max(matches, key=lambda match: match.start(), default=None)


def _by_rule(rule: Rule, match: re.Match[str], phase: Phase, completed: Completed, package: str) -> Report:
    subject = _subject(rule, completed.output) if phase is not Phase.IMPORT else None
    line = _detail(rule, completed.output) or _line_at(completed.output, match)
    about_target = subject == package or (subject is None and phase is Phase.NODEPS)
    if rule.target_is_na and about_target:
        return Report(
            outcome=Outcome.SKIP,
            duration_ms=completed.duration_ms,
            log=completed.output,
            cause=rule.cause,
            blame=Blame.PACKAGE,
            detail=one_line(line),
            not_claimed=True,
        )
    blame = rule.blame
    if blame is not Blame.INFRASTRUCTURE and subject is not None:
        if not about_target:
            blame, line = Blame.DEPENDENCY, f"{subject}: {line.strip()}"
        elif blame is Blame.DEPENDENCY and rule.cause != "build-dependency":
            blame = Blame.PACKAGE
    return _report(completed, rule.outcome, rule.cause, blame, line)


def _subject(rule: Rule, output: str) -> str | None:
    for pattern in (rule.subject, _SUBJECTS):
        found: Sequence[re.Match[str]] = list(pattern.finditer(output)) if pattern else []
        names = [group for match in found for group in match.groups() if group]
        if names:
            return canonicalize_name(names[-1])
    return None


def _detail(rule: Rule, output: str) -> str | None:
    found = (list(detail.finditer(output)) for detail in rule.details)
    return next((matches[-1][1] for matches in found if matches), None)


def _report(completed: Completed, outcome: Outcome, cause: str, blame: Blame, detail: str) -> Report:
    return Report(
        outcome=outcome,
        duration_ms=completed.duration_ms,
        log=completed.output,
        cause=cause,
        blame=blame,
        detail=one_line(detail),
    )


def _line_at(output: str, match: re.Match[str]) -> str:
    start = output.rfind("\n", 0, match.start()) + 1
    end = output.find("\n", match.start())
    return output[start : end if end >= 0 else None]


def _last_line(output: str) -> str:
    return next((line for line in reversed(output.splitlines()) if line.strip()), "it ended without a word")


def one_line(text: str) -> str:
    """Give text as one line of printable characters, shortened: what a package printed is never trusted as markup."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= MAX_DETAIL else f"{plain[: MAX_DETAIL - 1]}…"
