"""Why a phase failed and whose fault it is: each rule on its own excerpt, and whole logs as pip writes them."""

import time
from dataclasses import replace
from typing import Final

import pytest

from ppp.check.causes import MAX_DETAIL, SIGNALLED, Rule, explain, help_for, one_line, rules
from ppp.check.phases import Report
from ppp.check.runtime import Completed
from ppp.model.record import Blame, Outcome, Phase

FAILED: Final = Completed(exit_code=1, output="", duration_ms=1234)

# As pip writes them, sign by sign.
INNER: Final = """\
Processing /in/lib-1.0.tar.gz
  Installing build dependencies: started
  Installing build dependencies: finished with status 'error'
  error: subprocess-exited-with-error

  \N{MULTIPLICATION SIGN} installing build dependencies did not run successfully.
  │ exit code: 1
  ╰─> [3 lines of output]
      Looking in indexes: https://index.example/simple/
      ERROR: Could not find a version that satisfies the requirement maturin (from versions: none)
      ERROR: No matching distribution found for maturin
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
ERROR: Failed to build 'file:///in/lib-1.0.tar.gz' when installing build dependencies
"""
COMPILER: Final = """\
Processing /in/{target}-1.0-py3-none-any.whl
  Building wheel for {built} (pyproject.toml): finished with status 'error'
  error: subprocess-exited-with-error

  \N{MULTIPLICATION SIGN} Building wheel for {built} (pyproject.toml) did not run successfully.
  │ exit code: 1
  ╰─> [10 lines of output]
      building '_cffi_backend' extension
      error: command 'gcc' failed: No such file or directory
      [end of output]

  note: This error originates from a subprocess, and is likely not a problem with pip.
  ERROR: Failed building wheel for {built}
Failed to build {built}
error: failed-wheel-build-for-install

\N{MULTIPLICATION SIGN} Failed to build installable wheels for some pyproject.toml based projects
╰─> {built}
"""
RAISED: Final = """\
Traceback (most recent call last):
  File "<string>", line 9, in <module>
  File "/w/site-packages/lib/__init__.py", line 1, in <module>
{line}
"""


def explained(phase: Phase, output: str, *, exit_code: int | None = 1, package: str = "lib") -> Report:
    """Explain a command that did not succeed."""
    return explain(phase, replace(FAILED, output=output, exit_code=exit_code), package=package)


def told(report: Report) -> tuple[str, str | None, str | None]:
    """Give the three words that a verdict is made of."""
    return str(report.outcome), report.cause, report.blame


# ---------------------------------------------------------------- the rules themselves


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.cause)
def test_each_rule_matches_its_own_excerpt_before_any_other(rule: Rule) -> None:
    assert rule.pattern.search(rule.excerpt)
    causes = {explained(phase, rule.excerpt).cause for phase in rule.phases}
    assert rule.cause in causes


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.cause)
def test_no_rule_matches_a_log_of_success(rule: Rule) -> None:
    log = (
        "Processing /in/lib-1.0-py3-none-any.whl\nInstalling collected packages: lib\nSuccessfully installed lib-1.0\n"
    )
    assert not rule.pattern.search(log)


def test_causes_are_named_once_and_helped_each() -> None:
    causes = [rule.cause for rule in rules()]
    assert len(causes) == len(set(causes))
    for cause in {*causes, *SIGNALLED}:
        sentence = help_for(cause)
        assert sentence, cause
        assert sentence.endswith("."), cause
    assert help_for("no-such-cause") is None


# ---------------------------------------------------------------- typed signals come first


@pytest.mark.parametrize("phase", [Phase.NODEPS, Phase.FULL, Phase.IMPORT])
def test_our_own_timer_is_believed_before_any_log(phase: Phase) -> None:
    report = explained(phase, "ERROR: No matching distribution found for lib\n", exit_code=None)
    assert told(report) == ("TIMEOUT", "timeout", "unknown")
    assert report.detail == f"{phase} did not end in time"


@pytest.mark.parametrize("phase", [Phase.NODEPS, Phase.FULL, Phase.IMPORT])
def test_the_kernels_word_is_believed_before_any_log(phase: Phase) -> None:
    report = explain(phase, replace(FAILED, exit_code=-9, oom=True, output="ValueError: no"), package="lib")
    assert told(report) == ("ERROR", "oom", "infrastructure")


@pytest.mark.parametrize("signal", [4, 6, 8, 11])
def test_a_signal_at_import_is_a_crash(signal: int) -> None:
    report = explained(Phase.IMPORT, "ValueError: printed before\n", exit_code=-signal)
    assert told(report) == ("FAIL", "crash", "package")
    assert report.detail == f"ended by signal {signal}"


@pytest.mark.parametrize("status", [0, 1, 3])
def test_a_process_that_ends_without_an_exception_has_exited(status: int) -> None:
    report = explained(Phase.IMPORT, "PASS\nimported\n", exit_code=status)
    assert told(report) == ("FAIL", "exits", "package")
    assert report.detail == f"the import ended the process with status {status}"


def test_what_no_rule_knows_is_unclassified_and_says_its_last_line() -> None:
    report = explained(Phase.FULL, "something\nelse went wrong\n\n")
    assert told(report) == ("FAIL", "unclassified", "unknown")
    assert report.detail == "else went wrong"
    assert explained(Phase.NODEPS, " \n").detail == "it ended without a word"


def test_a_status_of_pip_alone_is_no_crash() -> None:
    assert told(explained(Phase.FULL, "", exit_code=-11)) == ("FAIL", "unclassified", "unknown")


def test_a_report_carries_the_log_and_the_time() -> None:
    report = explained(Phase.FULL, "a log\n")
    assert (report.log, report.duration_ms) == ("a log\n", 1234)


# ---------------------------------------------------------------- whose fault it is


def test_the_target_that_has_no_file_here_does_not_claim_it() -> None:
    report = explained(Phase.NODEPS, "ERROR: No matching distribution found for Lib==1.0\n")
    assert report.not_claimed
    assert told(report) == ("SKIP", "no-distribution", "package")


def test_a_dependency_that_has_no_file_here_is_to_blame() -> None:
    log = (
        "ERROR: Could not find a version that satisfies the requirement jaxlib>=0.4 (from lib) (from versions: none)\n"
        "ERROR: No matching distribution found for jaxlib>=0.4\n"
    )
    report = explained(Phase.FULL, log)
    assert not report.not_claimed
    assert told(report) == ("FAIL", "no-distribution", "dependency")
    assert report.detail == "jaxlib: ERROR: No matching distribution found for jaxlib>=0.4"


def test_what_a_build_dependency_says_indented_is_not_said_of_the_target() -> None:
    report = explained(Phase.NODEPS, INNER)
    assert told(report) == ("FAIL", "build-dependency", "dependency")
    assert explained(Phase.NODEPS, INNER, package="maturin").cause == "build-dependency"


def test_a_compiler_missing_for_the_target_is_the_environments() -> None:
    report = explained(Phase.NODEPS, COMPILER.format(target="lib", built="lib"))
    assert told(report) == ("FAIL", "no-compiler", "environment")
    assert report.detail == "error: command 'gcc' failed: No such file or directory"


def test_a_compiler_missing_for_another_is_blamed_on_the_dependency() -> None:
    report = explained(Phase.FULL, COMPILER.format(target="lib", built="cffi"))
    assert told(report) == ("FAIL", "no-compiler", "dependency")
    assert report.detail == "cffi: error: command 'gcc' failed: No such file or directory"


def test_names_are_compared_in_their_normal_form() -> None:
    log = COMPILER.format(target="my_lib", built="My.Lib")
    assert explained(Phase.FULL, log, package="my-lib").blame is Blame.ENVIRONMENT


def test_a_file_that_pip_refuses_is_not_missing() -> None:
    log = (
        "Discarding file:///in/lib-1.0-py3-none-any.whl: Requested lib==1.0 from file:///in/lib-1.0-py3-none-any.whl"
        " has inconsistent name: expected 'lib', but metadata has 'other'\n"
        "ERROR: Could not find a version that satisfies the requirement lib (unavailable) (from versions: 1.0)\n"
        "ERROR: No matching distribution found for lib (unavailable)\n"
    )
    report = explained(Phase.NODEPS, log)
    assert not report.not_claimed
    assert told(report) == ("FAIL", "bad-wheel", "package")


def test_requires_python_of_the_target_is_na_and_of_a_dependency_a_failure() -> None:
    target = explained(Phase.NODEPS, "ERROR: Package 'lib' requires a different Python: 3.9.1 not in '>=3.10'\n")
    assert target.not_claimed
    assert told(target) == ("SKIP", "requires-python", "package")
    log = (
        "ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.10\n"
        "ERROR: Could not find a version that satisfies the requirement other>=2 (from lib) (from versions: 1.0)\n"
        "ERROR: No matching distribution found for other>=2\n"
    )
    dependency = explained(Phase.FULL, log)
    assert not dependency.not_claimed
    assert told(dependency) == ("FAIL", "requires-python", "dependency")


def test_a_conflict_within_its_own_requirements_is_the_packages() -> None:
    log = "ERROR: Cannot install lib==1.0 because these package versions have conflicting dependencies.\n"
    assert told(explained(Phase.FULL, log)) == ("FAIL", "conflict", "package")
    log = log.replace("lib==1.0", "lib==1.0 and other==2.0").replace("Cannot install lib", "Cannot install other")
    assert explained(Phase.FULL, log).blame is Blame.DEPENDENCY


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError'",
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "OSError: [Errno 27] File too large",
        "c++: fatal error: Killed signal terminated program cc1plus",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    ],
)
def test_what_is_ours_is_an_error_and_nobodys_fault(line: str) -> None:
    report = explained(Phase.FULL, f"{line}\n{COMPILER.format(target='lib', built='cffi')}")
    assert (report.outcome, report.blame) == (Outcome.ERROR, Blame.INFRASTRUCTURE)


# ---------------------------------------------------------------- what an import raised


@pytest.mark.parametrize(
    ("line", "cause", "blame"),
    [
        ("ModuleNotFoundError: No module named 'distutils'", "distutils-removed", "package"),
        ("ModuleNotFoundError: No module named 'imp'", "distutils-removed", "package"),
        ("ModuleNotFoundError: No module named 'impala'", "module-missing", "package"),
        ("ModuleNotFoundError: No module named 'pkg_resources'", "pkg-resources", "package"),
        ("ModuleNotFoundError: No module named 'numpy.core'", "module-missing", "package"),
        ("ImportError: libGL.so.1: cannot open shared object file: No such file", "shared-library", "environment"),
        ("ImportError: Error loading shared library libstdc++.so.6: No such file", "shared-library", "environment"),
        ("ImportError: Error relocating /w/x.so: __cxa_throw: symbol not found", "shared-library", "environment"),
        ("AttributeError: module 'collections' has no attribute 'Mapping'", "import-error", "package"),
        ("lib.errors.BadThing: it went wrong", "import-error", "package"),
        ("lib.errors.ConfigError: it went wrong", "import-error", "package"),
    ],
)
def test_an_import_that_raised(line: str, cause: str, blame: str) -> None:
    report = explained(Phase.IMPORT, RAISED.format(line=line))
    assert told(report) == ("FAIL", cause, blame)
    assert report.detail == line


def test_the_last_exception_speaks_of_a_chain() -> None:
    log = RAISED.format(line="KeyError: 'HOME'") + RAISED.format(line="ValueError: no home")
    assert explained(Phase.IMPORT, log).detail == "ValueError: no home"


# ---------------------------------------------------------------- hostile output


@pytest.mark.parametrize(
    "word",
    [
        "Error relocating ",
        "Did not find ",
        "command 'gcc",
        "Requested ",
        "a" * 1000,
        "Error: ",
        "\r",
        "error: ",
        " ",
        "Error relocating \n",
    ],
)
@pytest.mark.parametrize("phase", [Phase.NODEPS, Phase.FULL, Phase.IMPORT])
def test_no_output_keeps_us_busy(phase: Phase, word: str) -> None:
    output = word * (2_000_000 // len(word))
    started = time.process_time()
    report = explained(phase, output)
    assert time.process_time() - started < 5
    assert report.outcome is Outcome.FAIL
    assert len(report.detail or "") <= MAX_DETAIL


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one", "one"),
        ("one\ntwo\r\nthree", "one two three"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\u202eb\u2028c\x00d", "a b c d"),
        ("  much   room\t", "much room"),
        ("", ""),
        ("é ✓ 漢", "é ✓ 漢"),
    ],
)
def test_one_line_is_printable(text: str, line: str) -> None:
    assert one_line(text) == line


def test_one_line_is_bounded_and_says_that_it_was_cut() -> None:
    assert one_line("x" * MAX_DETAIL) == "x" * MAX_DETAIL
    assert one_line("x" * 10_000) == "x" * (MAX_DETAIL - 1) + "…"
