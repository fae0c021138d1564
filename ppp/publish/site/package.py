"""The page of one package: the results of its newest release in each environment, why, and how to reproduce them.

Text from packages is shortened and escaped, never interpreted.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Final

from ppp.check.pythons import frozen_pythons
from ppp.ledger.published import Verdict
from ppp.model.matrix import Environment, EnvironmentId, Platform
from ppp.model.record import PHASES, Result
from ppp.model.release_files import files_until
from ppp.model.shown import Shown
from ppp.model.site_address import SiteAddresses
from ppp.model.verdict_words import verdict_counts, verdict_sentence
from ppp.publish import text
from ppp.publish.api.badges import Badge
from ppp.publish.packages.breaks import ReleaseFlips
from ppp.publish.packages.earlier import earlier_words
from ppp.publish.packages.finding_kinds import REMARKS, FindingKind
from ppp.publish.packages.history import (
    MAX_ENVIRONMENTS,
    CurrentRecord,
    CurrentRecordRow,
    PackageHistory,
    Unchecked,
)
from ppp.publish.packages.locks import lock_path
from ppp.publish.packages.pages import PackagePages
from ppp.publish.packages.remarks import SharedRemark, share_remarks
from ppp.publish.packages.summary import FAILED, PackageSummary
from ppp.publish.site.addresses import datasette_query
from ppp.publish.site.breaks import breaks_links
from ppp.publish.site.logs import LogFile
from ppp.publish.site.markup import CellNotes
from ppp.publish.site.own_check import check_commands, pin_commands
from ppp.publish.site.package_evidence import checked_files, environment_list, image_digests, installed_sets
from ppp.publish.site.package_failures import failure_groups, report_of
from ppp.publish.site.package_modules import is_worth_a_section, module_reports
from ppp.publish.site.standins import find_standins
from ppp.publish.site.templates import platform_groups, render, shown_environments

#: Of the releases before the newest one, this many are shown with their causes.
DETAILED_RELEASES: Final = 10
#: Bytes of HTML for the others, in rows of releases that follow one another and have the same results.
RUNS_BUDGET: Final = 5_000
DETAIL_LIMIT: Final = 240
#: Bytes of HTML for the names of dependencies.
DEPENDENCIES_BUDGET: Final = 4_000
#: Bytes of HTML for what results leave unsaid.
REMARKS_BUDGET: Final = 3_500


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultMatrix:
    """The results of the newest release: Python versions as rows, platforms as columns."""

    platforms: tuple[str, ...]
    rows: tuple[tuple[str, CurrentRecordRow], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRun:
    """Releases that follow one another and have the same result in each environment, None where not checked."""

    newest: str
    oldest: str
    releases: int
    results: tuple[Shown | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseHistory:
    """Earlier releases by environment: `detailed` with causes, then `runs`, and the number of those not shown."""

    environments: tuple[str, ...]
    detailed: tuple[tuple[str, tuple[Verdict | None, ...]], ...]
    runs: tuple[ReleaseRun, ...]
    omitted: int

    @property
    def shown_versions(self) -> set[str]:
        """Return the versions that are shown, and therefore have an anchor on the page."""
        return {version for version, _ in self.detailed} | {run.newest for run in self.runs}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """What a page leads to: the site and what belongs to it, files of logs by their sha256, pages of other packages."""

    badge: Badge
    addresses: SiteAddresses
    logs: Mapping[str, LogFile]
    pages: PackagePages


def package_page(
    history: PackageHistory,
    summary: PackageSummary,
    environments: Sequence[Environment],
    releases: Sequence[ReleaseFlips],
    links: PageLinks,
) -> tuple[str, bytes]:
    """Return `/p/<package>/index.html`; `releases` are those that changed verdicts on other packages."""
    environments = _select_environments(history, environments)
    shown_ids = {environment.id for environment in environments}
    newest = [current for current in history.newest if current.record.environment in shown_ids]
    addresses = links.addresses
    older = [[*verdicts] for _, verdicts in groupby(history.older, lambda verdict: verdict.release.version)]
    path = f"p/{history.package}/index.html"
    page = render(
        "package.html",
        path=path,
        package=history.package,
        version=summary.version,
        **_framing(history, summary, older),
        newest=newest,
        total=len(history.newest),
        passing=summary.passing,
        **_unsaid(summary, newest),
        broken=bool(summary.failing),
        table=_result_matrix(newest, environments, history.queued),
        queued=history.queued[:MAX_ENVIRONMENTS],
        as_of=summary.as_of,
        check_commands=check_commands,
        pin_commands=pin_commands,
        verdict=_verdict(history, shown_ids),
        failures=failure_groups(newest, history, links.logs, addresses.repository_url),
        report=report_of(addresses.repository_url, [c for c in newest if c.record.result is Result.PASS]),
        datasette=datasette_query(addresses.datasette_url, "package_history", package=history.package),
        history=_release_history(older, environments),
        installed=installed_sets(newest),
        files=checked_files(newest),
        nodes=sorted({current.record.node for current in newest}),
        images=image_digests(newest),
        badge=links.badge,
        **_dependencies(history, links.pages),
        findings=[kind for kind in summary.findings if kind not in REMARKS],
        noted_pythons=_noted_pythons(newest),
        phases=tuple(phase.label for phase in PHASES),
        imports=_imported_modules(newest),
        breaks=breaks_links(history.package, releases),
        downloads=history.downloads,
        files_until=None if history.announced_at is None else files_until(history.announced_at),
    )
    return path, page


def _framing(history: PackageHistory, summary: PackageSummary, older: Sequence[Sequence[Verdict]]) -> dict[str, object]:
    # What the results are about.
    detailed = (history.newest_verdicts, *older[:DETAILED_RELEASES])
    standins = find_standins((v.environment, v.standin) for verdicts in detailed for v in verdicts)
    return {
        "checked": history.checked_versions,
        "locks": [(id_, lock_path(history.package, history.version, id_)) for id_ in history.locks.locks][
            :MAX_ENVIRONMENTS
        ],
        "is_exhibit": summary.is_exhibit,
        "standins": standins,
        "notes": CellNotes(remarks=summary.remarks, earlier=earlier_words(history), standins=standins),
    }


def _dependencies(history: PackageHistory, pages: PackagePages) -> dict[str, object]:
    # A name without a result is what an installer wrote: it may have any characters.
    linked = {
        text.single_line(name, DETAIL_LIMIT): pages.path(name) if known else ""
        for name, known in history.dependencies.items()
    }
    shown = text.fit_budget(
        linked.items(), DEPENDENCIES_BUDGET, lambda pair: 40 + text.html_size(pair[0]) + len(pair[1])
    )
    return {"dependencies": shown, "omitted_dependencies": len(linked) - len(shown), "pages": pages}


def _verdict(history: PackageHistory, shown_ids: AbstractSet[str]) -> str:
    release, cells = f"{history.package} {history.version}", {v.environment: v.shown for v in history.newest_verdicts}
    # Where some are not shown, a sentence on the others could deny what they prove.
    return verdict_sentence(release, cells) if cells.keys() <= shown_ids else verdict_counts(release, cells.values())


def _unsaid(summary: PackageSummary, newest: Sequence[CurrentRecord]) -> dict[str, object]:
    # What the template shows of everything that results leave unsaid.
    shared = share_remarks(summary.remarks)
    shown = text.fit_budget(shared, REMARKS_BUDGET, _remark_bytes)
    reports = module_reports(current.record for current in newest)
    return {
        "imports_in_part": len(summary.findings.get(FindingKind.IMPORTS_IN_PART, ())),
        "remarks": summary.remarks,
        "shared_remarks": [(one.remark, environment_list(one.environments, newest)) for one in shown],
        "omitted_remarks": len(shared) - len(shown),
        "module_reports": [(one, environment_list(one.environments, newest)) for one in reports],
        "modules_section": is_worth_a_section(reports),
    }


def _remark_bytes(shared: SharedRemark) -> int:
    return 150 + text.html_size(shared.remark.words) + sum(len(environment) + 2 for environment in shared.environments)


def _noted_pythons(newest: Sequence[CurrentRecord]) -> list[str]:
    # A note on a Python is of use where something fails there that passes with another Python on the same platform.
    places = [(EnvironmentId.parse(current.record.environment), current.record.result) for current in newest]
    passing = {place.platform for place, result in places if result is Result.PASS}
    failed = (place for place, result in places if result in FAILED and place.platform in passing)
    return [python for python in dict.fromkeys(place.python_version for place in failed) if python in frozen_pythons()]


def _imported_modules(newest: Sequence[CurrentRecord]) -> str:
    modules = dict.fromkeys(module for current in newest for module in current.record.imports)
    return text.single_line(", ".join(modules), DETAIL_LIMIT)


def _select_environments(history: PackageHistory, environments: Sequence[Environment]) -> Sequence[Environment]:
    # If there are too many for a page, prefer those in which the newest release was checked.
    if len(environments) <= MAX_ENVIRONMENTS:
        return environments
    checked = {current.record.environment for current in history.newest}
    return shown_environments(e for e in environments if e.id in checked)


def _result_matrix(
    cells: Sequence[CurrentRecord], environments: Sequence[Environment], queued: Sequence[str]
) -> ResultMatrix:
    # A platform has a column if the release was checked on it with any Python, or is to be.
    by_environment = {current.record.environment: current for current in cells}
    known = by_environment.keys() | {*queued}
    names, rows = _matrix_layout(tuple(environments), frozenset(e.platform for e in environments if e.id in known))

    def cell(environment: str) -> CurrentRecord | Unchecked:
        return by_environment.get(environment) or Unchecked.of(environment, queued)

    return ResultMatrix(platforms=names, rows=tuple((python, tuple(map(cell, places))) for python, places in rows))


@lru_cache(64)
def _matrix_layout(
    environments: tuple[Environment, ...], platforms: frozenset[Platform]
) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[str, ...]], ...]]:
    # The column headings, and for each Python its environment in each column, "" if there is none.
    groups = platform_groups([e for e in environments if e.platform in platforms])
    by_place = {(e.python, name): e.id for name, members in groups for e in members}
    pythons = dict.fromkeys(e.python for e in sorted(environments, key=lambda e: EnvironmentId.parse(e.id).python))
    names = tuple(name for name, _ in groups)
    return names, tuple((python, tuple(by_place.get((python, name), "") for name in names)) for python in pythons)


def _release_history(older: Sequence[Sequence[Verdict]], environments: Sequence[Environment]) -> ReleaseHistory:
    by_version = [(verdicts[0].release.version, {v.environment: v for v in verdicts}) for verdicts in older]
    columns = tuple(e.id for e in environments if any(e.id in cells for _, cells in by_version))
    rest = by_version[DETAILED_RELEASES:]
    runs = text.fit_budget(_release_runs(rest, columns), RUNS_BUDGET, lambda run: 110 + 30 * len(run.results))
    return ReleaseHistory(
        environments=columns,
        detailed=tuple(
            (version, tuple(cells.get(column) for column in columns))
            for version, cells in by_version[:DETAILED_RELEASES]
        ),
        runs=tuple(runs),
        omitted=len(rest) - sum(run.releases for run in runs),
    )


def _release_runs(
    releases: Iterable[tuple[str, Mapping[str, Verdict]]], columns: Sequence[str]
) -> Iterator[ReleaseRun]:
    def results(release: tuple[str, Mapping[str, Verdict]]) -> tuple[Shown | None, ...]:
        found = map(release[1].get, columns)
        return tuple(verdict and verdict.shown for verdict in found)

    for same, group in groupby(releases, key=results):
        versions = [version for version, _ in group]
        yield ReleaseRun(newest=versions[0], oldest=versions[-1], releases=len(versions), results=same)
