"""Why cells of a package's newest release failed: those that failed alike are told once, with what to do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ppp.check.cause_rules import CauseHelp, cause_help
from ppp.ledger.published import Verdict
from ppp.model.blame import AssignedBlame
from ppp.model.record import Blame, Record
from ppp.publish import text
from ppp.publish.packages.failures import group_failures
from ppp.publish.packages.fixes import cell_fixes
from ppp.publish.packages.history import CurrentRecord, PackageHistory, last_passing_versions
from ppp.publish.site.addresses import report_address
from ppp.publish.site.dependency_chains import dependency_of
from ppp.publish.site.logs import LogFile

#: The lines at the end of a log on the page: of one that has no file, of the first that has one, of the others.
LOG_LINES: Final = 40
FIRST_LOG_LINES: Final = 24
LATER_LOG_LINES: Final = 12
LOG_LIMIT: Final = 4_000
#: Bytes of HTML for all logs of a page.
LOG_BUDGET: Final = 12_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Cells of one release that failed alike.

    `last_passing` maps the last passing version, None if no version passes, to the environments for which it is that.
    `fixes` are the commands that install what the system lacks, each with the environments that it is for. `report` is
    where a reader reports that the verdict is wrong, `""` if nowhere.
    `log` is the end of a log, as far as the page has room, and `whole_log` the file of it, if that is published.
    `culprit` is the dependency to blame, if it has a result here.
    """

    cells: tuple[CurrentRecord, ...]
    last_passing: Mapping[str | None, Sequence[str]]
    help: CauseHelp | None
    fixes: Sequence[tuple[str, str]]
    log: str | None
    log_environment: str | None
    whole_log: LogFile | None
    culprit: str | None
    report: str

    @property
    def first(self) -> Record:
        """Return a record that represents all cells of the group."""
        return self.cells[0].record

    @property
    def environments(self) -> list[str]:
        """Return the ids of their environments."""
        return [current.record.environment for current in self.cells]

    @property
    def judgements(self) -> list[tuple[AssignedBlame, str]]:
        """Return who is blamed for the failure, each with the environments, `""` where that is the same in all."""
        found: dict[AssignedBlame, list[str]] = {}
        for current in self.cells:
            if current.judgement.blame:
                found.setdefault(current.judgement, []).append(current.record.environment)
        return [
            (judged, "" if len(found) == 1 and len(places) == len(self.cells) else ", ".join(places))
            for judged, places in found.items()
        ]


def failure_groups(
    newest: Sequence[CurrentRecord], history: PackageHistory, logs: Mapping[str, LogFile], repository_url: str
) -> list[FailureGroup]:
    """Return the failures of the newest release, each once; `logs` are published, reports go to `repository_url`."""
    remaining_bytes = LOG_BUDGET
    fixes = cell_fixes(newest, history.logs)
    groups: list[FailureGroup] = []
    for cells in group_failures(newest):
        whole_log = _whole_log(cells, logs)
        lines = (LATER_LOG_LINES if groups else FIRST_LOG_LINES) if whole_log else LOG_LINES
        log, place = _first_log(cells, history.logs, lines, remaining_bytes)
        remaining_bytes -= text.html_size(log) if log else 0
        groups.append(
            FailureGroup(
                cells=cells,
                last_passing=_last_passing_environments(cells, history.older),
                help=cause_help().get(cells[0].record.cause or ""),
                fixes=_group_fixes(cells, fixes),
                log=log,
                log_environment=place,
                culprit=_culprit(cells[0], history),
                whole_log=whole_log,
                report=report_of(repository_url, cells),
            )
        )
    return groups


def _culprit(cell: CurrentRecord, history: PackageHistory) -> str | None:
    name = dependency_of(cell.record.detail) if cell.judgement.blame is Blame.DEPENDENCY else None
    return name if name and history.dependencies.get(name) else None


def _whole_log(cells: Sequence[CurrentRecord], logs: Mapping[str, LogFile]) -> LogFile | None:
    # Of the cell whose log is shown: the first that has one.
    return next((file for cell in cells if (file := logs.get(cell.record.log_sha256 or ""))), None)


def _group_fixes(cells: Sequence[CurrentRecord], fixes: Mapping[str, str]) -> list[tuple[str, str]]:
    environments: dict[str, list[str]] = {}
    for current in cells:
        if command := fixes.get(current.record.environment):
            environments.setdefault(command, []).append(current.record.environment)
    return [(command, ", ".join(places)) for command, places in environments.items()]


def _last_passing_environments(cells: Sequence[CurrentRecord], older: Sequence[Verdict]) -> dict[str | None, list[str]]:
    newest = last_passing_versions(older)
    environments: dict[str | None, list[str]] = {}
    for current in cells:
        environments.setdefault(newest.get(current.record.environment), []).append(current.record.environment)
    return environments


def _first_log(
    cells: Sequence[CurrentRecord], logs: Mapping[str, str], lines: int, max_bytes: int
) -> tuple[str | None, str | None]:
    for current in cells:
        if current.record.log_sha256 and (log := logs.get(current.record.log_sha256)):
            shown = text.log_tail(log, lines=lines, limit=LOG_LIMIT)
            return (shown, current.record.environment) if text.html_size(shown) <= max_bytes else (None, None)
    return None, None


def report_of(repository_url: str, cells: Sequence[CurrentRecord]) -> str:
    """Return where a reader reports the verdict on cells of one release, `""` for none of them."""
    if not cells:
        return ""
    environments = ", ".join(current.record.environment for current in cells)
    # One record leads to all of the release.
    return report_address(repository_url, str(cells[0].record.release), environments, cells[0].id)
