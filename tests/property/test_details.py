"""A failure's line of detail: whatever the log, it says something, and nothing that means nothing to a reader."""

import re
from typing import Final

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppp.check.cause_rules import rules
from ppp.check.causes import MAX_DETAIL, classify_failure
from ppp.check.phases import PhaseReport
from ppp.check.recorded_text import recorded_detail, scrub
from ppp.check.runtime import CommandResult
from ppp.check.telling_lines import is_progress
from ppp.model.record import Outcome, Phase

#: Lines of real logs, of the kinds that a detail must not be.
EMPTY_WORDS: Final = (
    "      Checking for Rust toolchain....",
    "      running build_ext",
    "      copying src/lib/__init__.py -> build/lib.linux-x86_64-cpython-311/lib",
    "      building '_lib' extension",
    "  Preparing metadata (pyproject.toml): started",
    "  Preparing metadata (pyproject.toml): finished with status 'error'",
    "Collecting six (from lib==1.0)",
    "      https://docs.example/how-to-install",
    "      [end of output]",
    "  note: This error originates from a subprocess, and is likely not a problem with pip.",
    "      -- Detecting C compiler ABI info - done",
    "      [ 12%] Building C object CMakeFiles/lib.dir/lib.c.o",
    "      ********************************************************************************",
    "      warning: no previously-included files matching '*.pyc' found anywhere in distribution",
    "      /tmp/pip-build-env-a1b2c3d4/overlay/lib/python3.12/site-packages/setuptools/dist.py:1: Warning: `x` is old",
    "      ^~~~~~~~~",
    "",
    "  ╰─> See above for output.",
)
#: Lines that say why.
TELLING: Final = (
    "      error: command '/tmp/musl/mcc39' failed: No such file or directory",
    "      Rust not found, installing into a temporary directory",
    "      /tmp/pip-install-a1b2c3d4/lib_0123456789abcdef0123456789abcdef/lib.c:3:10: error: unknown type 'foo'",
    "      ValueError: no version",
    "ERROR: Could not install packages due to an OSError: [Errno 2] No such file or directory: '/nowhere'",
    "ERROR: No matching distribution found for other>=2",
    "      AttributeError: /usr/local/bin/python3: undefined symbol: Error_GetLastErrorNum",
    "      The 'sklearn' PyPI package is deprecated, use 'scikit-learn'",
    "ImportError: cannot import name 'x' from 'y' (/usr/local/lib/python3.12/site-packages/y/__init__.py)",
    (
        "ImportError: Error loading shared library libtk8.6.so: No such file"
        " (needed by /usr/local/lib/python3.9/lib-dynload/_tkinter.cpython-39.so)"
    ),
    "ERROR: Requested lib==1.0 from file:///ppp/file/lib-1.0.whl has invalid metadata: no",
    "error: metadata-generation-failed",
)
BUILDERS: Final = re.compile(r"/usr/local/(?:lib|bin)/python|/tmp/musl|/tmp/pip-|/site-packages/|/ppp/")


def detail_of(report: PhaseReport) -> str | None:
    return recorded_detail(scrub(report.detail or "", [], {}))


def check(phase: Phase, output: str) -> None:
    done = CommandResult(exit_code=1, output=output, duration_ms=1)
    report = classify_failure(phase, done, package="lib", modules=("lib",))
    detail = detail_of(report)
    assert detail
    assert len(detail) <= MAX_DETAIL
    assert detail.isprintable()
    assert not is_progress(detail)
    assert not BUILDERS.search(detail), detail
    if report.outcome is not Outcome.ERROR:
        assert "ERROR: " not in detail


@settings(max_examples=200)
@given(
    phase=st.sampled_from([Phase.NODEPS, Phase.FULL, Phase.IMPORT]),
    lines=st.lists(st.sampled_from([*EMPTY_WORDS, *TELLING]), max_size=9),
)
@example(phase=Phase.NODEPS, lines=list(EMPTY_WORDS))
@example(phase=Phase.IMPORT, lines=["Traceback (most recent call last):", *EMPTY_WORDS])
def test_a_detail_tells_something(phase: Phase, lines: list[str]) -> None:
    check(phase, "\n".join(lines) + "\n")


@settings(max_examples=60)
@given(
    rule=st.sampled_from(rules()),
    before=st.lists(st.sampled_from(EMPTY_WORDS), max_size=4),
    after=st.lists(st.sampled_from(EMPTY_WORDS), max_size=4),
)
def test_each_rules_excerpt_has_a_detail(rule: object, before: list[str], after: list[str]) -> None:
    assert hasattr(rule, "excerpt")
    assert hasattr(rule, "phases")
    for phase in rule.phases & {Phase.NODEPS, Phase.IMPORT}:
        check(phase, "\n".join([*before, rule.excerpt.strip("\n"), *after]) + "\n")


@given(
    phase=st.sampled_from([Phase.NODEPS, Phase.IMPORT]),
    told=st.sampled_from([line for line in TELLING if not line.startswith(("error: meta", "ERROR: Requested"))]),
    around=st.lists(st.sampled_from(EMPTY_WORDS), max_size=5),
    place=st.integers(0, 5),
)
def test_the_one_line_that_tells_is_found(phase: Phase, told: str, around: list[str], place: int) -> None:
    lines = [*around[:place], told, *around[place:]]
    block = "  ╰─> [9 lines of output]\n" if phase is Phase.NODEPS else "Traceback (most recent call last):\n"
    report = classify_failure(
        phase, CommandResult(exit_code=1, output=block + "\n".join(lines), duration_ms=1), package="lib"
    )
    words = re.findall(r"[a-z]{4,}", told)
    assert any(word in (detail_of(report) or "") for word in words), report.detail
