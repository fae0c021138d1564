"""The front page, the list of packages and the about page; each function says which path it writes.

Numbers come in, HTML goes out: nothing here reads a clock or the ledger. A package's own page stands in `package.py`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final

import jinja2
import markdown

from ppp.config import resource
from ppp.ledger.episodes import StoredEpisode
from ppp.ledger.published import CauseCount, Counts, Finding, FindingKind, Verdict
from ppp.model.matrix import Environment, Platform
from ppp.model.record import Result
from ppp.publish import text

#: A result is told by word, glyph and pattern (the pattern is the style's); a cell without one was not checked.
GLYPHS: Final = {Result.PASS: "✓", Result.FAIL: "✗", Result.TIMEOUT: "◷", Result.ERROR: "▲", Result.NA: "–"}  # noqa: RUF001 - a dash that is wide on purpose
MEANINGS: Final = {
    Result.PASS: "installed and imported",
    Result.FAIL: "did not install or did not import",
    Result.TIMEOUT: "did not end in time",
    Result.ERROR: "our trouble, not the release's; tried again",
    Result.NA: "the release does not claim this environment",
}
PLATFORMS: Final = {Platform.SLIM: "Debian slim", Platform.ALPINE: "Alpine", Platform.HOST: "host"}
FINDINGS: Final = {
    FindingKind.ALPINE_ONLY: ("Fails on Alpine only", "passes on Debian slim with the same Python"),
    FindingKind.PYTHON_REGRESSIONS: ("Broken by a newer Python", "passes with an older one on the same platform"),
    FindingKind.PHANTOM_SUCCESSES: ("Phantom successes", "installs without complaint, does not import"),
    FindingKind.NEVER_ON_ALPINE: ("Never on Alpine", "no version that was checked installs there"),
}

#: Bytes of HTML that a page spends on rows of one kind, so that it stays under 50 kB whatever names come.
MATRIX_BUDGET: Final = 22_000
FINDING_BUDGET: Final = 1_500
SPOKEN_BUDGET: Final = 4_000
LIST_BUDGET: Final = 36_000
STRIP: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A package's newest release in every environment that is shown; None where it was not checked."""

    package: str
    version: str
    cells: tuple[Verdict | None, ...]
    causes: tuple[str, ...]

    @property
    def severity(self) -> tuple[int, int, int, str]:
        """Sort failures first: most failures, then timeouts, then errors, then by name."""
        words = Counter(cell.result for cell in self.cells if cell)
        return -words[Result.FAIL], -words[Result.TIMEOUT], -words[Result.ERROR], self.package

    @property
    def cost(self) -> int:
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
class Front:
    """All that the front page shows."""

    counts: Counts
    root: str
    environments: Sequence[Environment]
    rows: Sequence[Row]
    newest: Sequence[Verdict]
    causes: Sequence[CauseCount]
    findings: Mapping[FindingKind, Sequence[Finding]]
    episode: StoredEpisode | None


@cache
def templates() -> jinja2.Environment:
    """Give the templates: everything is escaped, and a name that is not there is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resource("site/templates")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"GLYPHS": GLYPHS, "MEANINGS": MEANINGS, "PLATFORMS": PLATFORMS, "Result": Result}
    environment.filters |= {
        "moment": text.moment, "iso": text.iso, "duration": text.duration, "size": text.size, "line": text.line,
    }  # fmt: skip
    return environment


def render(template: str, *, path: str, **values: object) -> bytes:
    """Render a page for `path`, from which its relative links start."""
    root = "../" * path.count("/")
    return templates().get_template(template).render(root=root, **values).encode()


def matrix_rows(verdicts: Iterable[Verdict], environments: Sequence[Environment]) -> list[Row]:
    """Make a row of each package's verdicts, which come package by package; failures first."""
    places = [environment.id for environment in environments]
    rows = []
    for release, cells in groupby(verdicts, key=lambda verdict: verdict.release):
        held = {verdict.environment: verdict for verdict in cells}
        causes = Counter(v.cause for v in held.values() if v.cause and v.result is not Result.PASS)
        rows.append(
            Row(
                package=release.package,
                version=release.version,
                cells=tuple(held.get(place) for place in places),
                causes=tuple(sorted(causes, key=lambda cause: (-causes[cause], cause))),
            )
        )
    return sorted(rows, key=lambda row: row.severity)


def front_page(front: Front) -> tuple[str, bytes]:
    """`/index.html`: as of when, each environment, failures first, causes, findings, the newest narration."""
    shown = text.fitting(front.rows, MATRIX_BUDGET, lambda row: row.cost)
    cells = {environment.id: _shares(front.counts.by_environment[environment.id]) for environment in front.environments}
    findings = [
        (kind, *FINDINGS[kind], found, text.fitting(found, FINDING_BUDGET, _finding_cost))
        for kind, found in front.findings.items()
    ]
    failing = front.counts.by_result[Result.FAIL] + front.counts.by_result[Result.TIMEOUT]
    path = "index.html"
    page = render(
        "index.html",
        path=path,
        front=front,
        groups=platform_groups(front.environments),
        rows=shown,
        standins=wholly_standin(shown, front.environments),
        shares=cells,
        strip=strip(front.newest),
        findings=findings,
        failing=failing,
        spoken=text.fitting(
            front.episode.lines if front.episode else (), SPOKEN_BUDGET, lambda said: 60 + len(said[1])
        ),
        unclassified=sum(c.cells for c in front.causes if c.cause == "unclassified"),
    )
    return path, page


def wholly_standin(rows: Sequence[Row], environments: Sequence[Environment]) -> set[str]:
    """Give the environments whose every cell ran on a stand-in: said once, at the head of the column."""
    columns = {e.id: [row.cells[n] for row in rows if row.cells[n]] for n, e in enumerate(environments)}
    return {id_ for id_, cells in columns.items() if cells and all(cell.standin for cell in cells if cell)}


def _finding_cost(finding: Finding) -> int:
    return 60 + 2 * len(finding.package) + sum(map(len, (*finding.environments, *finding.causes)))


def platform_groups(environments: Sequence[Environment]) -> list[tuple[str, list[Environment]]]:
    """Give the environments under their platform's name, as the heads of a table stand."""
    grouped = groupby(environments, key=lambda environment: environment.platform)
    return [(PLATFORMS[platform], list(members)) for platform, members in grouped]


def _shares(words: Mapping[Result, int]) -> list[tuple[Result, float, float]]:
    # Where each word's part of a bar of width 100 starts, and how wide it is.
    total = sum(words.values())
    start, shares = 0.0, []
    for result, count in words.items():
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


def strip(newest: Sequence[Verdict]) -> dict[Result, str]:
    """Draw the newest results, oldest at the left, as one SVG path for each word; 4 units a result."""
    paths = dict.fromkeys(Result, "")
    for place, verdict in enumerate(reversed(newest)):
        paths[verdict.result] += f"M{4 * place} 24{_STROKES[verdict.result]}"
    return {result: path for result, path in paths.items() if path}


def package_lists(rows: Sequence[Row], as_of: int | None) -> Iterator[tuple[str, bytes]]:
    """`/packages/index.html`, `/packages/2/index.html`, …: every package by name, with its newest release's results."""
    chunks = _chunks(sorted(rows, key=lambda row: row.package)) or [[]]
    paths = [f"packages/{f'{number}/' if number > 1 else ''}index.html" for number in range(1, len(chunks) + 1)]
    for place, (path, chunk) in enumerate(zip(paths, chunks, strict=True)):
        yield (
            path,
            render(
                "packages.html",
                path=path,
                as_of=as_of,
                total=len(rows),
                rows=chunk,
                number=place + 1,
                pages=len(chunks),
                before=paths[place - 1] if place else None,
                after=paths[place + 1] if place + 1 < len(paths) else None,
            ),
        )


def _chunks(rows: Sequence[Row]) -> list[list[Row]]:
    chunks: list[list[Row]] = []
    room = 0
    for row in rows:
        cost = 130 + 2 * len(row.package) + len(row.version) + 50 * len(row.tally)
        if cost > room:
            chunks.append([])
            room = LIST_BUDGET
        chunks[-1].append(row)
        room -= cost
    return chunks


def about_page() -> tuple[str, bytes]:
    """`/about/index.html`: the method and its limits, from our own prose."""
    prose = markdown.markdown(resource("site/pages/about.md").read_text("utf-8"), extensions=["tables"])
    path = "about/index.html"
    return path, render("about.html", path=path, prose=prose)
