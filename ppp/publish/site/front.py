"""The front page and the about page; each function says which path it writes.

Numbers come in, HTML goes out: nothing here reads a clock or the ledger. A package's own page stands in `package.py`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final

import jinja2
import markdown

from ppp.check.causes import cause_help
from ppp.config import shipped_environments
from ppp.ledger.digests import DayDigest
from ppp.ledger.episodes import StoredEpisode
from ppp.ledger.published import CauseCount, Counts, Finding, Verdict
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Result
from ppp.publish import text
from ppp.publish.datasette.definition import permalink
from ppp.publish.packages.finding_kinds import FINDING_TEXTS, FindingKind
from ppp.publish.packages.history import MAX_ENVIRONMENTS
from ppp.publish.site import markup
from ppp.publish.site.trends import draw_trend
from ppp.resources import resource

RESULT_MEANINGS: Final = {
    Result.PASS: "installed and imported",
    Result.FAIL: "did not install or did not import",
    Result.TIMEOUT: "did not end in time",
    Result.ERROR: "our trouble, not the release's; tried again",
    Result.NA: "the release does not claim this environment",
}
PLATFORM_NAMES: Final = {Platform.SLIM: "Debian slim", Platform.ALPINE: "Alpine", Platform.HOST: "host"}

#: Bytes of HTML that a page spends on rows of one kind, so that it stays under 50 kB whatever names come.
MATRIX_BUDGET: Final = 18_000
FINDING_BUDGET: Final = 900
TRANSCRIPT_BUDGET: Final = 4_000
STRIP_RESULTS: Final = 160
#: The saved query that gives the numbers of the trend.
TREND_QUERY: Final = "results_by_day"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixRow:
    """A package's newest release in every environment that is shown; None where it was not checked."""

    package: str
    version: str
    cells: tuple[Verdict | None, ...]
    causes: tuple[str, ...]

    @property
    def estimated_bytes(self) -> int:
        """Estimate its HTML in bytes, rather too high."""
        linked = sum(cell is not None and cell.result is not Result.PASS for cell in self.cells)
        names = len(self.package) * (2 + linked) + len(self.version)
        return 140 + 60 * len(self.cells) + 50 * linked + names + sum(len(cause) + 20 for cause in self.causes)

    @property
    def tally(self) -> list[tuple[Result, int]]:
        """Count its results by word."""
        words = Counter(cell.result for cell in self.cells if cell)
        return [(result, words[result]) for result in Result if words[result]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPage:
    """All that the front page shows."""

    counts: Counts
    root: str
    days: Sequence[DayDigest]
    environments: Sequence[Environment]
    rows: Sequence[MatrixRow]
    newest_results: Sequence[Verdict]
    causes: Sequence[CauseCount]
    unclassified: int
    findings: Mapping[FindingKind, tuple[int, Sequence[Finding]]]
    episode: StoredEpisode | None


class _RootedLoader(jinja2.FileSystemLoader):
    """Templates with the way to the site's root written in: one for all pages of a depth, thirty times on each."""

    def __init__(self, root: str) -> None:
        super().__init__(resource("site/templates"))
        self._root = root

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, filename, is_current = super().get_source(environment, template)
        return source.replace("{{ root }}", self._root), filename, is_current


@cache
def jinja_environment(root: str) -> jinja2.Environment:
    """Give the templates of pages from which `root` leads to the site's root (`../`).

    Everything is escaped, and a name that is not there is an error.
    """
    environment = jinja2.Environment(
        loader=_RootedLoader(root),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.globals |= {"m": markup, "MEANINGS": RESULT_MEANINGS, "PLATFORMS": PLATFORM_NAMES, "Result": Result}
    environment.globals |= {
        "CAUSES": cause_help(),
        "TOLD": FINDING_TEXTS,
        "root": root,
        "shown_environments": shown_environments,
    }
    environment.filters |= {
        "moment": text.moment, "iso": text.iso, "duration": text.duration, "size": text.size, "line": text.single_line,
        "coded": text.with_code_spans,
    }  # fmt: skip
    return environment


def render(template: str, *, path: str, **values: object) -> bytes:
    """Render a page for `path`, from which its relative links start."""
    return jinja_environment("../" * path.count("/")).get_template(template).render(values).encode()


def shown_environments(environments: Iterable[Environment]) -> list[Environment]:
    """Return at most `MAX_ENVIRONMENTS` environments, in their order; those of the shipped matrices are preferred."""
    ordered = [*environments]
    shipped = shipped_environments()
    ranked = sorted(ordered, key=lambda e: shipped.index(e.id) if e.id in shipped else len(shipped))
    chosen = {e.id for e in ranked[:MAX_ENVIRONMENTS]}
    return [e for e in ordered if e.id in chosen]


def matrix_row(verdicts: Sequence[Verdict], environments: Sequence[Environment]) -> MatrixRow:
    """Make a row of the verdicts on one release, in those environments that are shown."""
    by_environment = {verdict.environment: verdict for verdict in verdicts}
    causes = Counter(v.cause for v in by_environment.values() if v.cause and v.result is not Result.PASS)
    return MatrixRow(
        package=verdicts[0].release.package,
        version=verdicts[0].release.version,
        cells=tuple(by_environment.get(environment.id) for environment in shown_environments(environments)),
        causes=tuple(sorted(causes, key=lambda cause: (-causes[cause], cause))),
    )


def front_page(front: FrontPage) -> tuple[str, bytes]:
    """`/index.html`: as of when, each environment, failures first, causes, findings, the newest narration."""
    shown = text.fit_budget(front.rows, MATRIX_BUDGET, lambda row: row.estimated_bytes)
    environments = shown_environments(front.environments)
    cells = {
        environment.id: _result_shares(front.counts.by_environment[environment.id]) for environment in environments
    }
    findings = [
        (kind, *FINDING_TEXTS[kind], count, text.fit_budget(newest, FINDING_BUDGET, _finding_cost))
        for kind, (count, newest) in front.findings.items()
    ]
    failing = front.counts.by_result[Result.FAIL] + front.counts.by_result[Result.TIMEOUT]
    path = "index.html"
    page = render(
        "index.html",
        path=path,
        front=front,
        environments=environments,
        groups=platform_groups(environments),
        rows=shown,
        standins=standin_environments(shown, environments),
        shares=cells,
        strip=result_strip(front.newest_results),
        trend=draw_trend(front.days),
        trend_sql=permalink(TREND_QUERY),
        findings=findings,
        failing=failing,
        spoken=text.fit_budget(
            front.episode.lines if front.episode else (), TRANSCRIPT_BUDGET, lambda said: 60 + len(said[1])
        ),
    )
    return path, page


def standin_environments(rows: Sequence[MatrixRow], environments: Sequence[Environment]) -> set[str]:
    """Give the environments whose every cell ran on a stand-in: said once, at the head of the column."""
    columns = {e.id: [row.cells[n] for row in rows if row.cells[n]] for n, e in enumerate(environments)}
    return {id_ for id_, cells in columns.items() if cells and all(cell.standin for cell in cells if cell)}


def _finding_cost(finding: Finding) -> int:
    return 60 + 2 * len(finding.package) + sum(map(len, (*finding.environments, *finding.causes)))


def platform_groups(environments: Sequence[Environment]) -> list[tuple[str, list[Environment]]]:
    """Give the environments under their platform's name, as the heads of a table stand."""
    grouped = groupby(environments, key=lambda environment: environment.platform)
    return [(PLATFORM_NAMES[platform], list(members)) for platform, members in grouped]


def _result_shares(counts: Mapping[Result, int]) -> list[tuple[Result, float, float]]:
    # Where each word's part of a bar of width 100 starts, and how wide it is.
    total = sum(counts.values())
    start, shares = 0.0, []
    for result, count in counts.items():
        if count:
            width = round(100 * count / total, 2)
            shares.append((result, round(start, 2), width))
            start += width
    return shares


#: How each word is drawn in a strip of newest results, 24 high and 3 wide: a failure is a broken line.
_STROKES: Final = {
    Result.PASS: "v-7h3v7z",
    Result.FAIL: "v-9h3v9zm-1-12v-11h3v11z",
    Result.TIMEOUT: "v-3h3v3zm0-5v-3h3v3zm0-5v-3h3v3z",
    Result.ERROR: "v-4h3v4zm0-16v-4h3v4z",
    Result.NA: "v-2h3v2z",
}


def result_strip(newest: Sequence[Verdict]) -> dict[Result, str]:
    """Draw the newest results, oldest at the left, as one SVG path for each word; 4 units a result."""
    paths = dict.fromkeys(Result, "")
    for place, verdict in enumerate(reversed(newest)):
        paths[verdict.result] += f"M{4 * place} 24{_STROKES[verdict.result]}"
    return {result: path for result, path in paths.items() if path}


def about_page() -> tuple[str, bytes]:
    """`/about/index.html`: the method and its limits, from our own prose."""
    prose = markdown.markdown(resource("site/pages/about.md").read_text("utf-8"), extensions=["tables"])
    path = "about/index.html"
    return path, render("about.html", path=path, prose=prose)
