"""docs/threat-model.md against the tests: each promise names the files that attack it, and they exist and do."""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from attacks import (
    PROMISES,
    SECTION,
    THREAT_MODEL,
    AttackFigures,
    count_attacks,
    figures_table,
    read_figures,
    summary_lines,
    with_figures,
)

ROOT: Final = Path(__file__).parents[3]


def sections() -> Mapping[str, str]:
    return dict(SECTION.findall(THREAT_MODEL.read_text("utf-8")))


@cache
def attacking_files() -> Mapping[str, frozenset[str]]:
    """Return the files that attack each promise, by what their marks say."""
    found: dict[str, set[str]] = {promise: set() for promise in PROMISES}
    for path in (ROOT / "tests").rglob("test_*.py"):
        for promise in marked_promises(path):
            found.setdefault(promise, set()).add(str(path.relative_to(ROOT)))
    return {promise: frozenset(files) for promise, files in found.items()}


def marked_promises(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="attack"), args=[ast.Constant(value=str(promise))]):
                yield promise
            case ast.Call(func=ast.Attribute(attr="attack")):
                # The promise depends on the parameter: the file names all that there are.
                strings = (one.value for one in ast.walk(tree) if isinstance(one, ast.Constant))
                yield from (promise for promise in strings if promise in PROMISES)


def test_the_document_has_a_section_for_each_promise() -> None:
    assert tuple(sections()) == PROMISES


@pytest.mark.parametrize("promise", PROMISES)
def test_a_section_says_what_is_promised_and_what_is_not(promise: str) -> None:
    first, *_ = sections()[promise].splitlines()
    assert re.fullmatch(r"\*\*[A-Z].+\.\*\*", first)
    assert "*Not promised:*" in sections()[promise]


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_attacked_and_its_section_names_every_file_that_does(promise: str) -> None:
    named = set(re.findall(r"`(tests/[^`]+\.py)`", sections()[promise]))
    assert named
    assert named == attacking_files()[promise], "`scripts/nox -s redteam -- --write-figures` lists them anew"


def test_every_mark_names_a_promise() -> None:
    assert set(attacking_files()) == set(PROMISES)


def test_figures_are_in_the_form_in_which_they_are_written() -> None:
    text = THREAT_MODEL.read_text("utf-8")
    figures = read_figures(text)
    total = figures.pop("all")
    assert tuple(figures) == PROMISES
    files = attacking_files()
    assert with_figures(text, {name: replace(one, files=files[name]) for name, one in figures.items()}) == text
    for one in [*figures.values(), total]:
        assert one.withstood + one.weaknesses == one.tried > 0


def test_known_weaknesses_are_described() -> None:
    text = THREAT_MODEL.read_text("utf-8")
    described = text.partition("## Known weaknesses\n")[2]
    for promise, one in read_figures(text).items():
        assert promise == "all" or not one.weaknesses or f"`{promise}`" in described


# ---------------------------------------------------------------- counting


def report(
    name: str, outcome: str, *, when: str = "call", promise: str | None = "deadlines", wasxfail: bool = False
) -> pytest.TestReport:
    made = pytest.TestReport(
        nodeid=f"tests/test_a.py::{name}",
        location=("", None, ""),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when=when,  # type: ignore[arg-type]
        user_properties=[("attack", promise)] if promise else [],
    )
    if wasxfail:
        made.wasxfail = "reason"
    return made


def test_attacks_are_counted_by_promise_and_outcome() -> None:
    figures = count_attacks(
        [
            report("passes", "passed", when="setup"),
            report("passes", "passed"),
            report("passes", "passed", when="teardown"),
            report("fails", "failed"),
            report("fails later", "passed"),
            report("fails later", "failed", when="teardown"),
            report("skipped", "skipped", when="setup"),
            report("known", "skipped", wasxfail=True),
            report("other", "passed", promise="history"),
            report("no attack", "failed", promise=None),
        ]
    )
    assert replace(figures["deadlines"], files=frozenset()) == AttackFigures(
        tried=4, withstood=1, weaknesses=1, skipped=1
    )
    assert figures["history"] == AttackFigures(tried=1, withstood=1, files=frozenset({"tests/test_a.py"}))
    assert sum(figures.values(), AttackFigures()).tried == 5
    assert [line.split() for line in summary_lines(figures)][-1] == ["all", "5", "2", "1", "1"]


def test_figures_that_are_written_are_read_back() -> None:
    figures = {
        promise: AttackFigures(tried=n + 1, withstood=n, weaknesses=1, files=frozenset({f"tests/{promise}.py"}))
        for n, promise in enumerate(PROMISES)
    }
    text = with_figures(THREAT_MODEL.read_text("utf-8"), figures)
    assert figures_table(figures) in text
    assert with_figures(text, figures) == text
    read = read_figures(text)
    assert read.pop("all").tried == sum(one.tried for one in figures.values())
    assert read == {promise: replace(one, files=frozenset()) for promise, one in figures.items()}
    assert [name for promise in PROMISES if (name := f"`tests/{promise}.py`") not in text] == []
