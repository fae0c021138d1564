"""Console and GUI scripts of a release: what they call, and whether it is there. Pure.

pip writes a script `from MODULE import ATTRIBUTE` for each of them, whatever MODULE is, so an installation never shows
that one is broken. Only those are tried whose value pip could make a script of, and that need no extra.

What is not there (the module, or the attribute in it) is told from what is there and raises: that may be for want of
something optional. How a process ended is the package's own word about itself, as with any import.
"""

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from ppp.check.causes import MAX_LINE, classify_failure, printable_line
from ppp.check.contents import SCRIPT_GROUPS
from ppp.check.phases import PhaseReport
from ppp.check.runtime import CommandResult
from ppp.model.record import Blame, BrokenEntryPoint, EntryPoints, Outcome, Phase

#: How many are tried.
MAX_TRIED: Final = 8
#: How long names and values may be, as in a record. What is longer is not tried.
MAX_NAME_CHARS: Final = 255
MAX_VALUE_CHARS: Final = 500
#: What pip reads of a value, which anything may follow: module, attribute, and whether it needs an extra.
_VALUE: Final = re.compile(r"\A(?P<module>\w+(?:\.\w+)*):(?P<attribute>\w+(?:\.\w+)*)\s*(?P<extras>\[\s*\w)?")
#: The last line of an output in which the module was not found, and in which the attribute was not (see `importer`).
_NO_MODULE: Final = re.compile(r"ModuleNotFoundError: No module named '([^']+)'.*")
_NO_ATTRIBUTE: Final = re.compile(r"\A\S+ (has no attribute \S+|cannot be called)")
#: The cause of an import that ends its process without an exception.
_EXITS: Final = "exits"
#: What the environment or this node lacks breaks no script.
_BREAKING: Final = frozenset({Blame.PACKAGE, Blame.DEPENDENCY, Blame.UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """A script as the release declares it, and what pip makes of its value."""

    group: str
    name: str
    value: str
    module: str
    attribute: str

    @property
    def target(self) -> str:
        """What has to be there, as `module:attribute`."""
        return f"{self.module}:{self.attribute}"

    @property
    def has_importable_names(self) -> bool:
        """Whether Python code can name the module and the attribute at all."""
        parts = [*self.module.split("."), *self.attribute.split(".")]
        return all(part.isidentifier() and not keyword.iskeyword(part) for part in parts)


class Found(StrEnum):
    """What was found of an entry point's module and attribute."""

    THERE = "there"
    ABSENT = "absent"
    #: The module is there, and cannot be imported.
    FAILS = "fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedEntryPoint:
    """What was found of an entry point; `report` says how looking for it ended."""

    point: EntryPoint
    found: Found
    report: PhaseReport

    @property
    def is_broken(self) -> bool:
        """Whether nobody can use it, for no fault of the environment, and not for want of time.

        A module that ends the process may be a script that does its work when it is imported.
        """
        failed = self.report.outcome is Outcome.FAIL and self.report.cause != _EXITS
        return failed and self.report.blame in _BREAKING


def entry_points_to_try(rows: Iterable[tuple[str, str, str]], package: str) -> tuple[EntryPoint, ...]:
    """Return the scripts to try, of rows (group, name, value): the package's own name first, then as they are listed.

    Of equal names in one group the last one counts, as it does for pip.
    """
    declared = {(group, name): value for group, name, value in rows if group in SCRIPT_GROUPS}
    points = [
        EntryPoint(group=group, name=name, value=value, module=match["module"], attribute=match["attribute"])
        for (group, name), value in declared.items()
        if len(name) <= MAX_NAME_CHARS
        and len(value) <= MAX_VALUE_CHARS
        and (match := _VALUE.match(value))
        and not match["extras"]
    ]
    return tuple(sorted(points, key=lambda point: point.name != package)[:MAX_TRIED])


def unnameable(point: EntryPoint) -> TriedEntryPoint:
    """Return what is found of an entry point whose names no Python code can import."""
    return _absent(point, Blame.PACKAGE, f"no Python code can import {point.target}", PhaseReport(outcome=Outcome.FAIL))


def judge_entry_point(point: EntryPoint, done: CommandResult, *, package: str, own: Sequence[str]) -> TriedEntryPoint:
    """Return what the end of a process shows that imported an entry point's module and looked for its attribute.

    `own` are the names at the release's top level: what lacks there is its own fault.
    """
    if done.ok and done.import_proved:
        passed = PhaseReport(outcome=Outcome.PASS, duration_ms=done.duration_ms)
        return TriedEntryPoint(point=point, found=Found.THERE, report=passed)
    report = classify_failure(Phase.IMPORT, done, package=package, modules=own)
    # Only an exception that nobody caught ends an output like that: neither our timer nor our limits do.
    last = next((line for line in reversed(done.output.splitlines()) if line.strip()), "")[:MAX_LINE]
    if report.outcome is Outcome.FAIL and (missing := _missing_module(point, last)):
        return _absent(point, _blame(point, own, missing=missing), f"there is no module {missing}", report)
    if report.outcome is Outcome.FAIL and _NO_ATTRIBUTE.fullmatch(last):
        return _absent(point, _blame(point, own), last, report)
    detail = f"import {point.module}: {report.detail}"
    return TriedEntryPoint(point=point, found=Found.FAILS, report=replace(report, detail=detail))


def _missing_module(point: EntryPoint, line: str) -> str | None:
    """Return the module that a line says is missing, if it is the entry point's own or a package that this is in."""
    found = _NO_MODULE.fullmatch(line)
    return found[1] if found and f"{point.module}.".startswith(f"{found[1]}.") else None


def _blame(point: EntryPoint, own: Sequence[str], *, missing: str | None = None) -> Blame:
    """Return who is to blame for what is absent: another project only if it is there, and holds something else now."""
    top = point.module.partition(".")[0]
    return Blame.PACKAGE if top in own or missing == top else Blame.DEPENDENCY


def _absent(point: EntryPoint, blame: Blame, detail: str, report: PhaseReport) -> TriedEntryPoint:
    absent = replace(report, cause="broken-entry-point", blame=blame, detail=printable_line(detail))
    return TriedEntryPoint(point=point, found=Found.ABSENT, report=absent)


def entry_points_summary(tried: Sequence[TriedEntryPoint]) -> EntryPoints | None:
    """Return what a record says about the entry points that were tried, details not yet cut; None if none was."""
    if not tried:
        return None
    broken = [
        BrokenEntryPoint(
            group=one.point.group,
            name=printable_line(one.point.name),
            value=printable_line(one.point.value),
            detail=one.report.detail or "",
        )
        for one in tried
        if one.is_broken
    ]
    return EntryPoints(tried=len(tried), broken=tuple(broken))


def deciding_failure(tried: Sequence[TriedEntryPoint]) -> PhaseReport | None:
    """Return why a release that has nothing but its scripts fails, or None.

    It fails if what one of them calls is not there. What is there and cannot be imported may lack something optional:
    that is a failure only if it is so with every script.
    """
    absent = [one for one in tried if one.found is Found.ABSENT]
    failing = [one for one in tried if one.found is Found.FAILS]
    first = next(iter(absent or (failing if len(failing) == len(tried) else [])), None)
    if first is None:
        return None
    detail = printable_line(f"script {first.point.name} = {first.point.target}: {first.report.detail}")
    return replace(first.report, detail=detail)
