"""The front page and the about page; each function says which path it returns.

Both are rendered from frozen values: nothing here reads a clock or the ledger.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import markdown

from ppp.ledger.digests import DayDigest
from ppp.ledger.downloads import PeriodSource
from ppp.ledger.published import CauseCount, Counts, Verdict
from ppp.ledger.published_journal import DayCoverage
from ppp.model.matrix import Environment, environment_sort_key
from ppp.model.record import Result
from ppp.model.release import Release
from ppp.model.shown import Shown
from ppp.publish import text
from ppp.publish.datasette.definition import permalink
from ppp.publish.episodes.content import EpisodeContent
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, REMARKS, FindingKind
from ppp.publish.packages.history import MAX_ENVIRONMENTS
from ppp.publish.packages.pages import ALL_PAGES, PackagePages
from ppp.publish.packages.summary import FAILED
from ppp.publish.site.changed import ChangedWeek
from ppp.publish.site.templates import platform_groups, render, shown_columns, shown_environments
from ppp.publish.site.trends import draw_trend
from ppp.resources import resource
from ppp.watch.exhibits import shipped_exhibits

#: Bytes of HTML for each kind of row, so that the page stays under 50 kB however long the names are.
MATRIX_BUDGET: Final = 18_000
CHANGED_BUDGET: Final = 5_000
TRANSCRIPT_BUDGET: Final = 4_000
#: How many sentences of the newest episode it shows.
TRANSCRIPT_LINES: Final = 5
#: The number of newest results that the strip at the top shows.
STRIP_RESULTS: Final = 160
#: Fewer days are no trend.
MIN_TREND_DAYS: Final = 7
#: The saved query that returns the numbers of the trend.
TREND_QUERY: Final = "results_by_day"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """The newest release of a package: its result in each shown environment, or None if not checked there.

    `queued` are the environments in which it has yet to be checked.
    """

    package: str
    version: str
    cells: tuple[Verdict | None, ...]
    causes: tuple[str, ...]
    downloads: int | None = None
    queued: Sequence[str] = ()

    @property
    def fails_everywhere(self) -> bool:
        """Return whether it fails in several environments and passes in none: such a row needs no cells."""
        claimed = [cell for cell in self.cells if cell is not None and cell.result is not Result.NA]
        return len(claimed) > 1 and all(cell.result in FAILED for cell in claimed)

    @property
    def checked(self) -> int:
        """Return in how many of the shown environments it was checked and claims to work."""
        return sum(cell is not None and cell.result is not Result.NA for cell in self.cells)

    @property
    def is_exhibit(self) -> bool:
        """Return whether the shipped watchlist pins this release for the failure that it shows."""
        return Release(package=self.package, version=self.version) in shipped_exhibits()

    @property
    def estimated_bytes(self) -> int:
        """Return an upper estimate of the size of its HTML in bytes."""
        if self.fails_everywhere:
            return 360 + 3 * len(self.package) + len(self.version) + sum(len(cause) + 20 for cause in self.causes)
        linked = sum(cell is not None and cell.result is not Result.PASS for cell in self.cells)
        names = len(self.package) * (2 + linked) + len(self.version)
        known = 20 if self.downloads is not None else 0
        return 170 + known + 60 * len(self.cells) + 50 * linked + names + sum(len(cause) + 20 for cause in self.causes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPage:
    """All data that the front page shows; `coverage` has the days of the journal, `downloads` whose numbers they are.

    Both are None where there are none, as is `opml`, the path of the list of feeds. `queued` are environments without
    any result yet, `findings` the number of packages by kind.
    """

    counts: Counts
    root: str
    days: Sequence[DayDigest]
    environments: Sequence[Environment]
    queued: Sequence[Environment]
    week: ChangedWeek
    rows: Sequence[MatrixRow]
    newest_results: Sequence[Verdict]
    causes: Sequence[CauseCount]
    unclassified: int
    findings: Mapping[FindingKind, int]
    episode: EpisodeContent | None
    coverage: Sequence[DayCoverage] | None = None
    downloads: PeriodSource | None = None
    pages: PackagePages = ALL_PAGES
    opml: str | None = None


def matrix_row(
    verdicts: Sequence[Verdict],
    environments: Sequence[Environment],
    *,
    downloads: int | None = None,
    queued: Sequence[str] = (),
) -> MatrixRow:
    """Return the row of one release, from its verdicts, with a cell for each shown environment."""
    by_environment = {verdict.environment: verdict for verdict in verdicts}
    causes = Counter(v.cause for v in by_environment.values() if v.cause and v.result is not Result.PASS)
    return MatrixRow(
        package=verdicts[0].release.package,
        version=verdicts[0].release.version,
        cells=tuple(by_environment.get(environment.id) for environment in shown_environments(environments)),
        causes=tuple(sorted(causes, key=lambda cause: (-causes[cause], cause))),
        downloads=downloads,
        queued=queued,
    )


def front_page(front: FrontPage) -> tuple[str, bytes]:
    """Return `/index.html`: a search, counts, what changed, newest releases, the day's summary, findings and causes."""
    rows = text.fit_budget(front.rows, MATRIX_BUDGET, lambda row: row.estimated_bytes)
    environments = shown_environments(front.environments)
    places = column_places(environments, front.queued)
    shares = {e.id: _result_shares(front.counts.shown_in(e.id)) for e in environments}
    counters = [
        (kind, *FINDING_TEXTS[kind], count) for kind, count in front.findings.items() if count or kind not in REMARKS
    ]
    lines = front.episode.lines if front.episode else ()
    path = "index.html"
    page = render(
        "index.html",
        path=path,
        front=front,
        environments=environments,
        places=places,
        groups=platform_groups([environment for environment, _ in places]),
        rows=rows,
        standins=standin_environments(rows, environments),
        shares=shares,
        strip=result_strip(front.newest_results),
        named=next((day for day in reversed(front.coverage or ()) if day.named or day.gaps), None),
        trend=draw_trend(front.days) if len(front.days) >= MIN_TREND_DAYS else None,
        trend_sql=permalink(TREND_QUERY),
        counters=counters,
        headline=headline(front.counts),
        week=front.week,
        changed=text.fit_budget(front.week.packages, CHANGED_BUDGET, lambda changed: changed.estimated_bytes),
        columns=shown_columns(front.counts),
        failing=front.counts.by_result[Result.FAIL] + front.counts.by_result[Result.TIMEOUT],
        transcript=text.fit_budget(lines[:TRANSCRIPT_LINES], TRANSCRIPT_BUDGET, lambda line: 60 + len(line.text)),
    )
    return path, page


def standin_environments(rows: Sequence[MatrixRow], environments: Sequence[Environment]) -> set[str]:
    """Return the ids of environments of which every cell ran on a stand-in, so that only the column heading says so."""
    columns = {e.id: [row.cells[n] for row in rows if row.cells[n]] for n, e in enumerate(environments)}
    return {id_ for id_, cells in columns.items() if cells and all(cell.standin for cell in cells if cell)}


def column_places(
    checked: Sequence[Environment], queued: Sequence[Environment]
) -> list[tuple[Environment, int | None]]:
    """Return the columns of the matrix in the order of environments: each with the place of its cells in a row.

    That is None where cells are queued and none has a result yet.
    """
    places: list[tuple[Environment, int | None]] = [(environment, place) for place, environment in enumerate(checked)]
    waiting = [(environment, None) for environment in queued[: max(0, MAX_ENVIRONMENTS - len(checked))]]
    return sorted([*places, *waiting], key=lambda column: environment_sort_key(column[0].id))


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """Current cells that passed or failed (timeouts count as failures), without those of exhibits; and these."""

    passing: int
    failing: int
    exhibits: int

    @property
    def decided(self) -> int:
        """Return how many cells have a verdict."""
        return self.passing + self.failing


def headline(counts: Counts) -> Headline:
    """Return what the front page says in one line: exhibits were chosen for what they show, and are counted apart."""
    own = {result: count - counts.exhibits.get(result, 0) for result, count in counts.by_result.items()}
    return Headline(
        passing=own[Result.PASS],
        failing=own[Result.FAIL] + own[Result.TIMEOUT],
        exhibits=sum(counts.exhibits.values()),
    )


def _result_shares(counts: Mapping[Shown, int]) -> list[tuple[Shown, float, float]]:
    # The start and width of each result's share in a bar of width 100.
    total = sum(counts.values())
    start, shares = 0.0, []
    for result, count in counts.items():
        if count:
            width = round(100 * count / total, 2)
            shares.append((result, round(start, 2), width))
            start += width
    return shares


#: The SVG path of each result in the strip, 24 high and 3 wide: a failure is a broken line, an installation without an
#: import is an outline.
_STROKES: Final = {
    Shown.PASS: "v-7h3v7z",
    Shown.INSTALLED: "v-7h3v7h-1v-6h-1v6z",
    Shown.FAIL: "v-9h3v9zm-1-12v-11h3v11z",
    Shown.TIMEOUT: "v-3h3v3zm0-5v-3h3v3zm0-5v-3h3v3z",
    Shown.ERROR: "v-4h3v4zm0-16v-4h3v4z",
    Shown.NA: "v-2h3v2z",
}


def result_strip(newest: Sequence[Verdict]) -> dict[Shown, str]:
    """Return one SVG path for each result, drawing the newest results from left (oldest) to right, 4 units apart."""
    paths = dict.fromkeys(Shown, "")
    for place, verdict in enumerate(reversed(newest)):
        paths[verdict.shown] += f"M{4 * place} 24{_STROKES[verdict.shown]}"
    return {result: path for result, path in paths.items() if path}


def about_page(repository_url: str) -> tuple[str, bytes]:
    """Return `/about/index.html`: the method and its limits, rendered from `site/pages/about.md`.

    `repository_url` is where the program's source is, `""` if unknown.
    """
    prose = markdown.markdown(resource("site/pages/about.md").read_text("utf-8"), extensions=["tables"])
    path = "about/index.html"
    return path, render("about.html", path=path, prose=prose, repository_url=repository_url)
