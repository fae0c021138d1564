"""One result of `ppp check` as every format shows it, and which results make the command fail."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import click

from ppp.check.cell import Observation
from ppp.model.errors import NotForEnvironmentError, PPPError, UndecidedError
from ppp.model.printable import printable_line
from ppp.model.record import Blame, Phase, Record, Result
from ppp.model.shown import GLYPHS, Shown, nothing_to_import, record_shown_as
from ppp.runner.check_files import FileResult

#: What `--fail-on` may name.
FAILURES: Final = (Result.FAIL, Result.TIMEOUT, Result.ERROR, Result.NA)
NONE: Final = "none"


class ReportFormat(StrEnum):
    """The formats of `ppp check`."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"
    JUNIT = "junit"


def parse_fail_on(_ctx: click.Context, _parameter: click.Parameter, text: str) -> frozenset[Result]:
    """Return the results that `FAIL,TIMEOUT` names, none for `none`; raise `BadParameter` for any other word."""
    words = [word.strip() for word in text.split(",")]
    if [word.lower() for word in words] == [NONE]:
        return frozenset()
    known = {str(result): result for result in FAILURES}
    wrong = [word for word in words if word.upper() not in known]
    if wrong:
        shown = ", ".join(repr(word[:40]) for word in wrong)
        raise click.BadParameter(f"{shown}: name some of {', '.join(known)}, with commas, or none")
    return frozenset(known[word.upper()] for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportItem:
    """A result: `subject` is what was checked, a path as it was typed or a release; `path` is empty for a release.

    `record` is None where nothing was run.
    """

    subject: str
    path: str
    environment: str
    result: Result
    phase: Phase | None
    cause: str | None
    blame: Blame | None
    detail: str | None
    log: str | None
    record: Record | None
    notes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why it did not pass, as a line: the cause and the detail; empty for a `PASS`."""
        words = ": ".join(word for word in (self.cause, self.detail) if word and self.cause)
        return printable_line(words)

    @property
    def line(self) -> str:
        """The result as a line."""
        shown = record_shown_as(self.record) if self.record else Shown(self.result)
        nothing = nothing_to_import(self.record) if self.record else None
        why = self.reason if nothing is None else f"nothing to import{nothing and f': {nothing}'}"
        text = f"{GLYPHS[shown]} {shown:7} {self.subject} in {self.environment}{why and f': {why}'}"
        return printable_line(text)

    @property
    def duration_ms(self) -> int:
        """How long its phases took."""
        return sum(self.record.duration_ms.values()) if self.record else 0


def of_file(checked: FileResult) -> ReportItem:
    """Return what is reported of a file."""
    return ReportItem(
        subject=checked.file.shown,
        path=checked.file.shown,
        environment=checked.environment,
        result=checked.result,
        phase=checked.phase,
        cause=checked.cause,
        blame=checked.blame,
        detail=checked.detail,
        log=checked.log,
        record=checked.record,
        notes=checked.notes,
    )


def of_release(observation: Observation) -> ReportItem:
    """Return what is reported of a release of the index."""
    record = observation.record
    return ReportItem(
        subject=str(record.release),
        path="",
        environment=record.environment,
        result=record.result,
        phase=record.failed_phase,
        cause=record.cause,
        blame=record.blame,
        detail=record.detail,
        log=observation.log,
        record=record,
    )


def failure(items: Sequence[ReportItem], fail_on: Collection[Result]) -> PPPError | None:
    """Return the error that says that something was not checked: an `ERROR`, or no file for an environment.

    None where each environment has a verdict, or where no result is to change anything. Of releases of the index, `NA`
    is an answer: other files of them may be for other environments.
    """
    if not fail_on:
        return None
    if undecided := [item for item in items if item.result is Result.ERROR]:
        return UndecidedError(
            f"{len(undecided)} of {len(items)} checks ended without a verdict: {undecided[0].line}",
            hint="try again; `ppp doctor` shows what is wrong with this machine",
        )
    results: dict[str, set[Result]] = {}
    for item in items:
        if item.path:
            results.setdefault(item.environment, set()).add(item.result)
    if left := [environment for environment, found in results.items() if found == {Result.NA}]:
        return NotForEnvironmentError(
            f"no file is for {', '.join(left)}: nothing was checked there",
            hint="correct the tags of the wheels or their Requires-Python, or leave the environment out",
        )
    return None
