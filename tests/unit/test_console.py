"""The console: progress and tables; text from packages and peers is shown without control characters or markup."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from printed_tables import printed, screen

from ppp.console import cell_report, explanations, result_line, results_tables
from ppp.model.installed_files import RecordMismatch, SharedFile, SharedFiles
from ppp.model.printable import printable
from ppp.model.record import (
    BrokenEntryPoint,
    EntryPoints,
    Installed,
    ModuleFailure,
    Outcome,
    Phase,
    Preinstalled,
    Record,
    Result,
    Submodules,
    outcomes_in_order,
)
from ppp.model.shown import GLYPHS
from ppp.model.trigger import Trigger, TriggerKind
from ppp.progress import LineReporter, LiveReporter

Builder = Callable[..., Record]
HOSTILE = "\x1b]0;owned\x07\x1b[2J[bold]\u202e\r"
FAILED = {"result": "FAIL", "cause": "import-error", "detail": "import example_lib: ValueError: no"}
SLIM, ALPINE = "py312-slim", "py312-alpine"


# ---------------------------------------------------------------- harmless text


@pytest.mark.attack("inert-text")
@given(text=st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert printable(shown) == shown


@given(text=st.text(st.characters(exclude_categories=["C", "Zl", "Zp", "Zs"])))
def test_printable_text_is_unchanged(text: str) -> None:
    assert printable(f"{text} \n") == f"{text} \n"


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("character", ["\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028", "\x00", "\x7f", "\x08"])
def test_control_characters_are_replaced(character: str) -> None:
    assert printable(f"a{character}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_windows_line_ends_become_line_breaks() -> None:
    assert printable("a\r\nb") == "a\nb"


@pytest.mark.attack("inert-text")
def test_a_hostile_record_is_shown_as_harmless_text_everywhere(record: Builder) -> None:
    hostile = record(**(FAILED | {"detail": HOSTILE}), imports=(HOSTILE,))
    rows = [(hostile.release, {SLIM: hostile})]
    out = io.StringIO()
    LineReporter(out).checked(hostile)
    live = io.StringIO()
    lively = LiveReporter(screen(live))
    lively.begin(1)
    lively.checked(hostile)
    lively.warn(HOSTILE)
    lively.note(HOSTILE)
    lively.end()
    shown = [
        result_line(hostile),
        cell_report(hostile, f"log {HOSTILE}"),
        out.getvalue(),
        live.getvalue(),
        *explanations(rows, [SLIM]),
        printed(*results_tables(rows, [SLIM], {}, width=100)),
    ]
    assert not [text for text in shown if set(text) & set("\x1b\x07\u202e\r")]
    assert "[bold]" in shown[0]
    assert "[bold]" in live.getvalue(), "a package's markup has no effect"


# ---------------------------------------------------------------- results


def test_a_table_has_a_glyph_and_a_word_for_each_result(record: Builder) -> None:
    not_claimed = {"result": "NA", "cause": "requires-python", "detail": "requires Python >=3.13"}
    first, second = record(package="one"), record(package="two", **FAILED)
    rows = [
        (first.release, {SLIM: first, ALPINE: record(package="one", environment=ALPINE, **not_claimed)}),
        (second.release, {SLIM: second}),
    ]
    shown = printed(*results_tables(rows, [SLIM, ALPINE, "py39-slim"], {ALPINE: "no image"}, width=100)).splitlines()
    assert [line.split() for line in shown[2:]] == [
        ["one==2.1.0", "✓", "PASS", GLYPHS[Result.NA], "NA", "·"],
        ["two==2.1.0", "✗", "FAIL", "unavailable", "·"],
    ]


def test_a_narrow_terminal_folds_only_the_release(record: Builder) -> None:
    one = record(package="a-name-that-is-longer-than-any-narrow-terminal-would-like-to-show")
    shown = printed(*results_tables([(one.release, {SLIM: one})], [SLIM], {}, width=40), width=40)
    assert max(map(len, shown.splitlines())) <= 40
    assert "✓ PASS" in shown
    assert "…" not in shown


def test_explanations_group_what_is_alike_and_put_the_worst_first(record: Builder) -> None:
    na = {"result": "NA", "cause": "requires-python", "detail": "requires Python >=3.13"}
    one = {SLIM: record(package="one", **na), ALPINE: record(package="one", environment=ALPINE, **na)}
    two = {SLIM: record(package="two", **FAILED), ALPINE: record(package="two", environment=ALPINE, standin=True)}
    rows = [(records[SLIM].release, records) for records in (one, two)]
    assert explanations(rows, [SLIM, ALPINE]) == [
        "✗ FAIL    two==2.1.0 import-error: import example_lib: ValueError: no [py312-slim] blame: environment",
        f"{GLYPHS[Result.NA]} NA      one==2.1.0 requires-python: requires Python >=3.13 [py312-slim, py312-alpine]",
        "stand-ins, not the real images: py312-alpine",
    ]
    assert explanations(rows, ["py39-slim"]) == []


def test_the_report_of_a_failed_cell(record: Builder) -> None:
    failed = record(**FAILED)
    lines = cell_report(failed, "first\nValueError: no\n").splitlines()
    assert lines[0] == result_line(failed)
    assert [re.split("  +", line.strip()) for line in lines[2:6]] == [
        ["download", "PASS", "0.01 s"],
        ["install alone", "PASS", "0.01 s"],
        ["install with dependencies PASS", "0.01 s"],
        ["import", "FAIL", "0.01 s"],
    ]
    assert f"  record    {failed.id}" in lines
    assert lines[-4:] == ["  the log of `import` ends with:", "", "  | first", "  | ValueError: no"]


def test_the_report_of_a_cell_with_nothing_to_import(record: Builder) -> None:
    outcomes = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS) | {Phase.IMPORT: Outcome.SKIP})
    bare = record(outcomes=outcomes, imports=(), detail="it holds only type stubs")
    passed = replace(bare, installed=(Installed(name="example-lib", version="2.1.0", sha256=None),), standin=True)
    report = cell_report(passed, None)
    assert passed.result is Result.PASS
    assert "  imports   nothing: it holds only type stubs" in report
    assert "  installed example-lib 2.1.0" in report
    assert "(a stand-in, not the real image)" in report
    assert "the log" not in report


def test_a_pass_without_an_import_is_shown_as_installed(record: Builder) -> None:
    outcomes = outcomes_in_order(dict.fromkeys(Phase, Outcome.PASS) | {Phase.IMPORT: Outcome.SKIP})
    bare = record(outcomes=outcomes, imports=(), grounds={Phase.IMPORT: "stubs"})
    rows = [(bare.release, {SLIM: bare})]
    shown = printed(*results_tables(rows, [SLIM], {}, width=100)).splitlines()
    assert shown[-1].split() == ["example-lib==2.1.0", "◇", "installed"]

    line = "◇ installed example-lib==2.1.0 in py312-slim nothing to import: type stubs only"
    assert result_line(bare) == line
    assert explanations(rows, [SLIM]) == ["◇ Nothing to import: example-lib==2.1.0 type stubs only [py312-slim]"]
    out = io.StringIO()
    reporter = LineReporter(out)
    reporter.begin(1)
    reporter.checked(bare)
    assert out.getvalue().splitlines()[-1] == f"[1/1] {line}"


def test_the_report_of_a_cell_says_what_its_result_leaves_unsaid(record: Builder) -> None:
    why = ModuleFailure(
        module="extra", outcome=Outcome.FAIL, cause="module-missing", detail="No module\x1b[2J named 'x'"
    )
    later = ModuleFailure(module="example_lib.c", outcome=Outcome.SKIP, cause=None, detail=None)
    point = BrokenEntryPoint(group="console_scripts", name="run", value="example_lib:main", detail="it has no main")
    shared = SharedFile(path="conf.py", owners=("left", "right"), equal=False, kept="right")
    told = record(
        imports=("example_lib", "extra"),
        primary_module="example_lib",
        import_failures=(why,),
        submodules=Submodules(tried=21, left_out=2, failed=(later,)),
        entry_points=EntryPoints(tried=2, broken=(point,)),
        relies_on=("setuptools",),
        preinstalled=(Preinstalled(name="setuptools", version="65.5.1"),),
        record_mismatch=RecordMismatch(missing=1, unlisted=0, different=2, examples=("a.py",)),
        shared_files=SharedFiles(conflicts=1, equal=0, files=(shared,)),
        yanked="",
        project_status="archived",
        triggered_by=Trigger(kind=TriggerKind.DEPENDENCY, name="numpy", version="2.0.0"),
    )
    report = cell_report(told, None)
    assert "\x1b" not in report
    for line in (
        "imports   example_lib, extra (example_lib decides)",
        "          not tried example_lib.c",
        "deeper    21 of 21 submodules load, 2 more were not tried",
        "commands  1 of 2 have their module and function",
        "          run = example_lib:main: it has no main",
        "relies on setuptools: the environment brings it, and nothing declares it",
        "RECORD    differs from the wheel: 1 missing, 0 not listed, 2 different, such as a.py",
        "conflict  conf.py differs between left and right; right's content is there",
        "yanked    the index gives no reason",
        "project   archived, says the index",
        "again     because of dependency numpy 2.0.0",
        "brought   setuptools 65.5.1, by the environment",
    ):
        assert f"\n  {line}\n" in f"{report}\n", line
    assert [line.split(":")[0] for line in explanations([(told.release, {SLIM: told})], [SLIM])] == [
        "· Works only while the image brings it",
        "· Broken entry points",
        "· RECORD and content differ",
        "· Distributions that overwrite each other",
        "· Yanked",
        "· Archived or restricted projects",
    ]


@pytest.mark.parametrize("width", [20, 40, 79, 80, 200])
@pytest.mark.parametrize("count", [0, 1, 5, 18])
def test_columns_that_do_not_fit_go_into_more_tables(record: Callable[..., Record], width: int, count: int) -> None:
    one = record("a-package-with-a-rather-long-name")
    environments = [f"py3{n}-slim" for n in range(count)]
    tables = results_tables([(one.release, {})], environments, {}, width=width)
    shown = printed(*tables, width=width)
    assert re.findall(r"py3\d+", shown) == [e.removesuffix("-slim") for e in environments]
    assert max(map(len, shown.splitlines())) <= width
    assert len(tables) == 1 or width < 60 + 13 * count
