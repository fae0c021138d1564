"""Which scripts of a release are tried, and what the end of a process shows about one."""

from typing import Any, Final

import pytest

from ppp.check.entry_points import (
    MAX_TRIED,
    EntryPoint,
    Found,
    TriedEntryPoint,
    deciding_failure,
    entry_points_summary,
    entry_points_to_try,
    judge_entry_point,
    unnameable,
)
from ppp.check.runtime import CommandResult
from ppp.model.record import Blame, BrokenEntryPoint

POINT: Final = EntryPoint(group="console_scripts", name="lib", value="lib.cli:main", module="lib.cli", attribute="main")
OTHER: Final = EntryPoint(
    group="console_scripts", name="lib", value="other.cli:main", module="other.cli", attribute="main"
)
TRACEBACK: Final = 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'


def to_try(value: str, name: str = "lib", group: str = "console_scripts") -> list[str]:
    """Return what is tried of one entry point."""
    return [point.target for point in entry_points_to_try([(group, name, value)], "lib")]


def ended(line: str = "", *, exit_code: int | None = 1, **more: Any) -> CommandResult:
    """Return how a process ended whose last line this was."""
    output = TRACEBACK + line + "\n" if line else ""
    return CommandResult(exit_code=exit_code, output=output, duration_ms=7, **more)


def judged(done: CommandResult, point: EntryPoint = POINT) -> TriedEntryPoint:
    return judge_entry_point(point, done, package="lib", own=["_lib", "lib"])


# ---------------------------------------------------------------- which are tried


@pytest.mark.parametrize(
    ("value", "tried"),
    [
        ("lib.cli:main", ["lib.cli:main"]),
        ("lib:App.run", ["lib:App.run"]),
        ("lib:main # the program", ["lib:main"]),
        ("lib:main []", ["lib:main"]),
        ("lib:main [fast]", []),
        ("lib:main[ fast , small ]", []),
        ("lib", []),
        ("", []),
        ("lib : main", []),
        ("lib-x:main", []),
        (".lib:main", []),
        ("lib:main" + "x" * 500, []),
        ("lib\x1b:main", []),
    ],
)
def test_what_pip_makes_of_a_value(value: str, tried: list[str]) -> None:
    assert to_try(value) == tried


def test_only_scripts_are_tried() -> None:
    assert to_try("lib:main", group="gui_scripts") == ["lib:main"]
    assert to_try("lib:main", group="pytest11") == []
    assert to_try("lib:main", name="x" * 256) == []


def test_of_equal_names_the_last_one_counts() -> None:
    rows = [("console_scripts", "a", "lib:one"), ("gui_scripts", "a", "lib:two"), ("console_scripts", "a", "lib:three")]
    assert [point.target for point in entry_points_to_try(rows, "lib")] == ["lib:three", "lib:two"]


@pytest.mark.attack("bounded-input")
def test_few_are_tried_and_the_packages_own_first() -> None:
    rows = [("console_scripts", f"n{n}", "lib:main") for n in range(10_000)] + [("console_scripts", "lib", "lib:own")]
    points = entry_points_to_try(rows, "lib")
    assert len(points) == MAX_TRIED
    assert [point.name for point in points[:3]] == ["lib", "n0", "n1"]


@pytest.mark.parametrize(
    ("value", "can"), [("lib:main", True), ("3d:main", False), ("lib.class:main", False), ("lib:a.def", False)]
)
def test_a_script_cannot_import_what_is_no_name(value: str, *, can: bool) -> None:
    (point,) = entry_points_to_try([("console_scripts", "lib", value)], "lib")
    assert point.has_importable_names is can
    assert unnameable(point).is_broken


# ---------------------------------------------------------------- what was found


def test_a_proof_shows_that_it_is_there() -> None:
    one = judged(ended(exit_code=0, import_proved=True))
    assert (one.found, one.is_broken, one.report.duration_ms) == (Found.THERE, False, 7)


@pytest.mark.parametrize(
    ("point", "line", "blame", "detail"),
    [
        (POINT, "ModuleNotFoundError: No module named 'lib.cli'", "package", "there is no module lib.cli"),
        (POINT, "ModuleNotFoundError: No module named 'lib'", "package", "there is no module lib"),
        (
            POINT,
            "ModuleNotFoundError: No module named 'lib.cli'; 'lib' is not a package",
            "package",
            "there is no module lib.cli",
        ),
        (POINT, "lib.cli has no attribute main", "package", "lib.cli has no attribute main"),
        (POINT, "lib.cli:main cannot be called", "package", "lib.cli:main cannot be called"),
        # Nobody installed it, or somebody did and it holds something else now.
        (OTHER, "ModuleNotFoundError: No module named 'other'", "package", "there is no module other"),
        (OTHER, "ModuleNotFoundError: No module named 'other.cli'", "dependency", "there is no module other.cli"),
        (OTHER, "other.cli has no attribute main", "dependency", "other.cli has no attribute main"),
    ],
)
def test_what_is_not_there(point: EntryPoint, line: str, blame: str, detail: str) -> None:
    one = judged(ended(line), point)
    assert (one.found, one.is_broken) == (Found.ABSENT, True)
    assert (one.report.cause, one.report.blame, one.report.detail) == ("broken-entry-point", blame, detail)


@pytest.mark.parametrize(
    ("done", "broken", "detail"),
    [
        (ended("ModuleNotFoundError: No module named 'rich'"), True, "No module named 'rich'"),
        (ended("ModuleNotFoundError: No module named 'lib.cli.part'"), True, "No module named 'lib.cli.part'"),
        (ended("ModuleNotFoundError: No module named 'li'"), True, "No module named 'li'"),
        (ended("ValueError: lib.cli has no attribute main"), True, "ValueError"),
        (ended(exit_code=0), False, "ended the process with status 0"),
        (ended(exit_code=-11), True, "signal 11"),
        # Of the environment, and of ours.
        (ended("ImportError: libGL.so.1: cannot open shared object file: No such file or directory"), False, "libGL"),
        (ended(exit_code=None), False, "did not end in time"),
        (ended("ModuleNotFoundError: No module named 'lib.cli'", exit_code=None), False, "did not end in time"),
        (ended("lib.cli has no attribute main", exit_code=-9, oom=True), False, "memory"),
    ],
)
def test_what_is_there_and_cannot_be_imported(done: CommandResult, *, broken: bool, detail: str) -> None:
    one = judged(done)
    assert (one.found, one.is_broken) == (Found.FAILS, broken)
    assert (one.report.detail or "").startswith("import lib.cli: ")
    assert detail in (one.report.detail or "")
    assert one.report.cause != "broken-entry-point"


# ---------------------------------------------------------------- what follows


FINE: Final = judged(ended(exit_code=0, import_proved=True))
ABSENT: Final = judged(ended("lib.cli has no attribute main"))
FAILING: Final = judged(ended("ModuleNotFoundError: No module named 'rich'"))
SLOW: Final = judged(ended(exit_code=None))


def test_a_record_names_the_broken_ones() -> None:
    assert entry_points_summary([]) is None
    summary = entry_points_summary([FINE, ABSENT, SLOW])
    assert summary is not None
    assert summary.tried == 3
    assert summary.broken == (
        BrokenEntryPoint(
            group="console_scripts", name="lib", value="lib.cli:main", detail="lib.cli has no attribute main"
        ),
    )


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        ([], None),
        ([FINE], None),
        ([FINE, ABSENT], ("FAIL", "broken-entry-point", Blame.PACKAGE)),
        ([FAILING, ABSENT], ("FAIL", "broken-entry-point", Blame.PACKAGE)),
        ([FINE, FAILING], None),
        ([FINE, SLOW], None),
        ([FAILING, FAILING], ("FAIL", "module-missing", Blame.PACKAGE)),
        ([SLOW, FAILING], ("TIMEOUT", "timeout", Blame.UNKNOWN)),
    ],
)
def test_what_decides_for_a_release_that_has_only_scripts(
    tried: list[TriedEntryPoint], expected: tuple[str, str, Blame] | None
) -> None:
    failure = deciding_failure(tried)
    assert (failure and (failure.outcome, failure.cause, failure.blame)) == expected
    assert failure is None or (failure.detail or "").startswith("script lib = lib.cli:main: ")


@pytest.mark.attack("inert-text")
def test_what_is_recorded_is_printable() -> None:
    (point,) = entry_points_to_try([("console_scripts", "a\x1b[31m", "lib:main\x00\u202e")], "lib")
    summary = entry_points_summary([unnameable(point)])
    failure = deciding_failure([unnameable(point)])
    assert summary is not None
    assert failure is not None
    (broken,) = summary.broken
    assert all(text.isprintable() for text in (broken.name, broken.value, broken.detail, failure.detail or ""))
