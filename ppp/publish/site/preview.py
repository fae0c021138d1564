"""`preview.png` of the site and of each package: what those who link to a page show of it, drawn from data.

A preview has no time on it: it changes when a result does. The words are those of pages, and no colour stands alone.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from ppp.bitmap import HEIGHT, Band, Colour, Run, gap, letters_on_line, line, line_height, png
from ppp.ledger.published import Counts
from ppp.model.matrix import EnvironmentId
from ppp.model.shown import Shown, count_shown
from ppp.model.verdict_words import PLATFORM_NAMES
from ppp.publish import text
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.summary import PackageSummary

SITE_NAME: Final = "The PyPI Place"
#: As many Pythons and platforms as a preview has room for; of more it counts results.
MAX_PYTHONS: Final = 3
MAX_PLATFORMS: Final = 3
_TABLE_LINES: Final = 4
_PYTHON_LETTERS: Final = 6
_PLATFORM_LETTERS: Final = 13
_COLOURS: Final = {Shown.PASS: Colour.GOOD, Shown.FAIL: Colour.BAD, Shown.TIMEOUT: Colour.BAD}


class Preview(NamedTuple):
    """The preview of a page: its path within the site, and what stands for it where no image is shown."""

    path: str
    words: str


SITE_PREVIEW: Final = Preview("preview.png", "The PyPI Place: results of installing and importing PyPI releases")


def package_preview(package: str) -> Preview:
    """Return what the page of a package says of its preview."""
    return Preview(f"p/{package}/preview.png", f"{package}: results by environment")


def package_preview_file(history: PackageHistory, summary: PackageSummary) -> tuple[str, bytes]:
    """Return `/p/<package>/preview.png`: name, version, and what its newest release does in each environment."""
    cells = {EnvironmentId.parse(v.environment): v.shown for v in history.newest_verdicts}
    standins = f"  on {summary.standins} stand-in image{'s' if summary.standins != 1 else ''}"
    image = _image(
        brand=((SITE_NAME, Colour.GOOD), (standins if summary.standins else "", Colour.TEXT)),
        name=history.package,
        below=history.version,
        sentence=_sentence(summary),
        table=_table(cells) or _counted(count_shown(cells.values())),
    )
    return package_preview(history.package).path, image


def site_preview_file(counts: Counts) -> tuple[str, bytes]:
    """Return `/preview.png`: what the site is, and how much it has; results mean nothing taken together."""
    image = _image(
        brand=(("", Colour.TEXT),),
        name=SITE_NAME,
        below="releases of PyPI, installed and imported",
        sentence=f"{text.grouped(counts.packages)} packages, {text.grouped(counts.cells)} cells",
        table=(),
    )
    return SITE_PREVIEW.path, image


def _sentence(summary: PackageSummary) -> str:
    if not summary.claimed:
        return "no verdict"
    verb = "installs" if summary.installed_only else "installs and imports"
    return f"{verb} in {summary.passing} of {summary.claimed} environments"


def _image(*, brand: tuple[Run, ...], name: str, below: str, sentence: str, table: Sequence[tuple[Run, ...]]) -> bytes:
    bands = [gap(50), line(brand, 1), gap(44), *_fitted(name, 3), gap(20), *_fitted(below, 2), gap(30)]
    bands += [line(((sentence, Colour.TEXT),), 1), gap(24)]
    for runs in table[:_TABLE_LINES]:
        bands += [line(runs, 1), gap(12)]
    return png([*bands, gap(HEIGHT - sum(band.rows for band in bands))])


def _fitted(words: str, scale: int) -> list[Band]:
    # As large as there is room for, in a place that is as high as the largest.
    fitting = next((one for one in range(scale, 1, -1) if len(words) <= letters_on_line(one)), 1)
    above = line_height(scale) - line_height(fitting)
    return [*([gap(above)] if above else []), line(((words, Colour.TEXT),), fitting)]


def _table(cells: Mapping[EnvironmentId, Shown]) -> list[tuple[Run, ...]]:
    # Rows are Pythons, columns platforms; nothing where there is no room for all of them.
    platforms = list(dict.fromkeys(place.platform for place in cells))
    ordered = sorted(cells, key=lambda place: place.python)
    rows = [
        (python, {p.platform: cells[p] for p in group})
        for python, group in groupby(ordered, lambda p: p.python_version)
    ]
    if len(rows) > MAX_PYTHONS or len(platforms) > MAX_PLATFORMS:
        return []
    head = " " * _PYTHON_LETTERS + "".join(PLATFORM_NAMES[one].ljust(_PLATFORM_LETTERS) for one in platforms)
    table: list[tuple[Run, ...]] = [((head.rstrip(), Colour.TEXT),)]
    for python, row in rows:
        results = (row.get(platform) for platform in platforms)
        table.append(((python.ljust(_PYTHON_LETTERS), Colour.TEXT), *map(_result_run, results)))
    return table


def _result_run(shown: Shown | None) -> Run:
    word = "-" if shown is None else str(shown)
    return word.ljust(_PLATFORM_LETTERS), Colour.TEXT if shown is None else _COLOURS.get(shown, Colour.TEXT)


def _counted(counts: Sequence[tuple[Shown, int]]) -> list[tuple[Run, ...]]:
    return [((f"{text.grouped(count)} {shown}", _COLOURS.get(shown, Colour.TEXT)),) for shown, count in counts]
