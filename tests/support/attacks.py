"""Which tests attack which promise of docs/threat-model.md, how many were tried, and how many the program withstood.

A test marked `attack(promise)` is one attack for each of its parameters. It is tried unless it is skipped for a missing
tool; it is withstood if it passes; an expected failure is a known weakness, which the threat model has to name.
"""

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import pytest

THREAT_MODEL: Final = Path(__file__).parents[2] / "docs" / "threat-model.md"
PROMISES: Final = (
    "valid-records",
    "own-verdict",
    "deadlines",
    "bounded-input",
    "only-gateway",
    "credentials",
    "separate-cells",
    "same-bytes",
    "history",
    "open-to-readers",
    "crash-safe",
    "inert-text",
)
FIGURES_START: Final = "<!-- Written by `nox -s redteam -- --write-figures`. -->"
FIGURES_END: Final = "<!-- End of the figures. -->"
#: The property of a test's report that names the promise; pytest-xdist sends properties to the main process.
PROPERTY: Final = "attack"
#: The section of a promise, up to the next one.
SECTION: Final = re.compile(r"^### `(?P<promise>[a-z-]+)`\n(?P<text>.*?)(?=^##)", re.DOTALL | re.MULTILINE)
LINE_LENGTH: Final = 150
_FILES_LABEL: Final = "*Attacked by:*"
_FILES: Final = re.compile(rf"^{re.escape(_FILES_LABEL)}.*?\n(?=\n)", re.DOTALL | re.MULTILINE)
_HEADER: Final = ("promise", "tried", "withstood", "known weakness")
_ROW: Final = re.compile(r"\| `?([a-z-]+)`? \| (\d+) \| (\d+) \| (\d+) \|")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackFigures:
    """How many attacks on a promise were tried, withstood, or succeed as is known; `skipped` ones were not tried.

    `files` are those of the tests, relative to the repository.
    """

    tried: int = 0
    withstood: int = 0
    weaknesses: int = 0
    skipped: int = 0
    files: frozenset[str] = frozenset()

    def __add__(self, other: Self) -> "AttackFigures":
        return AttackFigures(
            files=self.files | other.files,
            tried=self.tried + other.tried,
            withstood=self.withstood + other.withstood,
            weaknesses=self.weaknesses + other.weaknesses,
            skipped=self.skipped + other.skipped,
        )


def attacked_promise(item: pytest.Item) -> str | None:
    """Return the promise that a test attacks, if any; raise `pytest.UsageError` if there is no such promise."""
    mark = item.get_closest_marker("attack")
    if mark is None:
        return None
    match mark.args:
        case (str(promise),) if promise in PROMISES:
            return promise
    raise pytest.UsageError(f"{item.nodeid}: attack{mark.args} names none of {', '.join(PROMISES)}")


def note_promises(items: Iterable[pytest.Item]) -> None:
    """Add to each marked test the property that its reports need."""
    for item in items:
        if promise := attacked_promise(item):
            item.user_properties.append((PROPERTY, promise))


def count_attacks(reports: Iterable[pytest.TestReport]) -> dict[str, AttackFigures]:
    """Return the figures of every promise, from all reports of all tests."""
    by_test: defaultdict[str, list[pytest.TestReport]] = defaultdict(list)
    for report in reports:
        by_test[report.nodeid].append(report)
    figures = dict.fromkeys(PROMISES, AttackFigures())
    for found in by_test.values():
        if promise := dict(found[0].user_properties).get(PROPERTY):
            figures[str(promise)] += _figures_of(found)
    return figures


def _figures_of(reports: list[pytest.TestReport]) -> AttackFigures:
    # A test has up to three reports (setup, call, teardown); each of them can fail.
    files = frozenset({reports[0].nodeid.partition("::")[0]})
    if any(report.failed for report in reports):
        return AttackFigures(files=files, tried=1)
    if any(hasattr(report, "wasxfail") for report in reports):
        return AttackFigures(files=files, tried=1, weaknesses=1)
    if any(report.skipped for report in reports):
        return AttackFigures(files=files, skipped=1)
    return AttackFigures(files=files, tried=1, withstood=1)


def summary_lines(figures: Mapping[str, AttackFigures]) -> Iterator[str]:
    """Yield a table for the terminal: a line for each promise that was attacked, and one for all."""
    yield f"{'promise':<18}{'tried':>7}{'withstood':>11}{'known weakness':>16}{'not tried':>11}"
    attacked = [(name, one) for name, one in figures.items() if one.files]
    for name, one in [*attacked, ("all", sum(figures.values(), AttackFigures()))]:
        yield f"{name:<18}{one.tried:>7}{one.withstood:>11}{one.weaknesses:>16}{one.skipped:>11}"


def figures_table(figures: Mapping[str, AttackFigures]) -> str:
    """Return the figures as the Markdown table of docs/threat-model.md."""
    rows = [(f"`{name}`", one) for name, one in figures.items()]
    rows.append(("all", sum(figures.values(), AttackFigures())))
    lines = [f"| {' | '.join(_HEADER)} |", "|-|-:|-:|-:|"]
    lines += [f"| {name} | {one.tried} | {one.withstood} | {one.weaknesses} |" for name, one in rows]
    return "\n".join(lines)


def read_figures(text: str) -> dict[str, AttackFigures]:
    """Return the figures in the text of docs/threat-model.md; the sum of all is among them, under `all`."""
    rows = _ROW.finditer(_figures_in(text))
    return {
        name: AttackFigures(tried=int(tried), withstood=int(withstood), weaknesses=int(weaknesses))
        for name, tried, withstood, weaknesses in (row.groups() for row in rows)
    }


def with_figures(text: str, figures: Mapping[str, AttackFigures]) -> str:
    """Return the text of docs/threat-model.md with these figures, and these lists of files, in place of its own."""
    text = text.replace(_figures_in(text), f"\n\n{figures_table(figures)}\n\n")

    def with_files(section: re.Match[str]) -> str:
        return _FILES.sub(lambda _: files_paragraph(figures[section["promise"]].files), section[0])

    return SECTION.sub(with_files, text)


def files_paragraph(files: Iterable[str]) -> str:
    """Return the end of a promise's section: the files that attack it."""
    words = f"{_FILES_LABEL} {', '.join(f'`{file}`' for file in sorted(files))}"
    return textwrap.fill(words, LINE_LENGTH, break_on_hyphens=False, break_long_words=False) + "\n"


def _figures_in(text: str) -> str:
    _, start, rest = text.partition(FIGURES_START)
    figures, end, _ = rest.partition(FIGURES_END)
    if not (start and end):
        raise ValueError(f"there is nothing between {FIGURES_START!r} and {FIGURES_END!r}")
    return figures
