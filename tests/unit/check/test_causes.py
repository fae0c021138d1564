"""Why a phase failed and whose fault it is: each rule on its own excerpt, and whole logs as pip writes them."""

import ast
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from ppp.check.cause_rules import Rule, cause_help, rules
from ppp.check.causes import MAX_DETAIL, MAX_LINE, classify_failure, one_line, top_levels
from ppp.check.distributions import Distributions
from ppp.check.phases import PhaseReport
from ppp.check.runtime import CommandResult
from ppp.model.record import Blame, Outcome, Phase

FAILED: Final = CommandResult(exit_code=1, output="", duration_ms=1234)

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
RETRIED: Final = """\
WARNING: Retrying (Retry(total={left}, connect=None)) after connection broken by 'NewConnectionError()': /simple/other/
"""
POOL: Final = "HTTPSConnectionPool(host='files.example', port=443): Max retries exceeded with url: /f/other.whl"
NOT_FOUND: Final = """\
ERROR: Could not find a version that satisfies the requirement other (from lib) (from versions: none)
ERROR: No matching distribution found for other
"""
RAISED: Final = """\
Traceback (most recent call last):
  File "<string>", line 9, in <module>
  File "/w/site-packages/lib/__init__.py", line 1, in <module>
{line}
"""


def classified(
    phase: Phase,
    output: str,
    *,
    exit_code: int | None = 1,
    package: str = "lib",
    modules: tuple[str, ...] = (),
    distributions: Distributions | None = None,
) -> PhaseReport:
    """Classify a command that did not succeed."""
    completed = replace(FAILED, output=output, exit_code=exit_code)
    return classify_failure(phase, completed, package=package, modules=modules, distributions=distributions)


def verdict(report: PhaseReport) -> tuple[str, str | None, str | None]:
    """Return outcome, cause and blame."""
    return str(report.outcome), report.cause, report.blame


# ---------------------------------------------------------------- the rules themselves


#: What is installed beside `example` in the excerpts.
INSTALLED: Final = Distributions(
    versions={"example": "1.0", "werkzeug": "3.1.3", "lxml": "6.0.2", "numpy": "2.3.5", "torch": "2.9.1"},
    modules={"example": "example", "lxml": "lxml", "werkzeug": "werkzeug", "torch": "torch"},
)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.cause)
def test_each_rule_classifies_its_own_excerpt(rule: Rule) -> None:
    assert rule.pattern.search(rule.excerpt)
    for phase in rule.phases:
        report = classified(phase, rule.excerpt, package="example", distributions=INSTALLED)
        assert verdict(report) == (rule.outcome, rule.cause, rule.blame), phase


def matches(rule: Rule, text: str) -> bool:
    """Return whether a rule's expressions match a text, whatever is installed."""
    context = rule.context is None or rule.context.search(text)
    return bool(rule.pattern.search(text) and context and not (rule.unless and rule.unless.search(text)))


@pytest.mark.parametrize("place", range(len(rules())), ids=[rule.cause for rule in rules()])
def test_each_rule_is_needed_for_its_own_excerpt(place: int) -> None:
    rule, others = rules()[place], [*rules()[:place], *rules()[place + 1 :]]
    for phase in rule.phases:
        instead = next((r for r in others if phase in r.phases and matches(r, rule.excerpt)), None)
        assert instead is None or instead.cause != rule.cause


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.cause)
def test_no_rule_matches_a_log_of_success(rule: Rule) -> None:
    log = (
        "Processing /in/lib-1.0-py3-none-any.whl\nInstalling collected packages: lib\nSuccessfully installed lib-1.0\n"
    )
    assert not rule.pattern.search(log)


# Calls whose argument at this place names a cause.
MAKERS: Final = {"_infrastructure_error": 0, "DownloadError": 0, "_report": 2}


def causes_in_code() -> Iterator[str]:
    """Yield each cause that a call in our code names."""
    for path in sorted(Path("ppp").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            made = node.func.id if isinstance(node.func, ast.Name) else ""
            named = [keyword.value for keyword in node.keywords if keyword.arg == "cause"]
            named += node.args[MAKERS[made] :][:1] if made in MAKERS else []
            named += [way for value in named if isinstance(value, ast.BoolOp) for way in value.values]
            for value in named:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def words_in_code() -> set[str]:
    """Return every string literal in our code."""
    trees = (ast.parse(path.read_text("utf-8")) for path in Path("ppp").rglob("*.py"))
    return {
        n.value for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


@pytest.mark.heavy
def test_every_cause_has_help() -> None:
    in_code = set(causes_in_code())
    assert {"oom", "sandbox", "file-size", "missing-file", "unclassified"} <= in_code, (
        "is the code still parsed correctly?"
    )
    assert {rule.cause for rule in rules()} | in_code <= cause_help().keys()


@pytest.mark.heavy
def test_every_cause_with_help_can_be_found() -> None:
    assert cause_help().keys() <= {rule.cause for rule in rules()} | words_in_code()


@pytest.mark.parametrize("cause", cause_help())
def test_help_is_one_to_four_plain_sentences(cause: str) -> None:
    held = cause_help()[cause]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,63}", cause)
    assert held.title == held.title.strip(" .")
    for words in (held.meaning, held.maintainer, held.user):
        plain = re.sub(r"`[^`]*`", "code", words)
        assert "`" not in plain
        assert words == " ".join(words.split())
        assert words.endswith(".")
        assert 1 <= len(re.findall(r"\.(?= |$)", plain)) <= 4, words


# ---------------------------------------------------------------- typed signals come first


@pytest.mark.parametrize("phase", [Phase.NODEPS, Phase.FULL, Phase.IMPORT])
def test_our_own_timer_comes_before_any_log(phase: Phase) -> None:
    report = classified(phase, "ERROR: No matching distribution found for lib\n", exit_code=None)
    assert verdict(report) == ("TIMEOUT", "timeout", "unknown")
    assert report.detail == f"{phase} did not end in time"


@pytest.mark.parametrize("phase", [Phase.NODEPS, Phase.FULL, Phase.IMPORT])
def test_an_oom_kill_comes_before_any_log(phase: Phase) -> None:
    report = classify_failure(phase, replace(FAILED, exit_code=-9, oom=True, output="ValueError: no"), package="lib")
    assert verdict(report) == ("ERROR", "oom", "infrastructure")


@pytest.mark.parametrize("signal", [4, 6, 8, 11])
def test_a_signal_at_import_is_a_crash(signal: int) -> None:
    report = classified(Phase.IMPORT, "ValueError: printed before\n", exit_code=-signal)
    assert verdict(report) == ("FAIL", "crash", "package")
    assert report.detail == f"ended by signal {signal}"


@pytest.mark.parametrize("status", [0, 1, 3])
def test_an_import_that_ends_without_an_exception_is_an_exit(status: int) -> None:
    report = classified(Phase.IMPORT, "PASS\nimported\n", exit_code=status)
    assert verdict(report) == ("FAIL", "exits", "package")
    assert report.detail == f"the import ended the process with status {status}"


def test_a_log_that_no_rule_matches_is_unclassified_with_its_last_line() -> None:
    report = classified(Phase.FULL, "something\nelse went wrong\n\n")
    assert verdict(report) == ("FAIL", "unclassified", "unknown")
    assert report.detail == "else went wrong"
    assert classified(Phase.NODEPS, " \n").detail == "it ended without a word"


def test_a_signal_outside_import_is_not_a_crash() -> None:
    assert verdict(classified(Phase.FULL, "", exit_code=-11)) == ("FAIL", "unclassified", "unknown")


def test_a_report_has_the_log_and_the_duration() -> None:
    report = classified(Phase.FULL, "a log\n")
    assert (report.log, report.duration_ms) == ("a log\n", 1234)


# ---------------------------------------------------------------- blame


def test_a_target_without_a_file_here_does_not_claim_the_environment() -> None:
    report = classified(Phase.NODEPS, "ERROR: No matching distribution found for Lib==1.0\n")
    assert report.not_claimed
    assert verdict(report) == ("SKIP", "no-distribution", "package")


def test_a_dependency_without_a_file_here_is_to_blame() -> None:
    log = (
        "ERROR: Could not find a version that satisfies the requirement jaxlib>=0.4 (from lib) (from versions: none)\n"
        "ERROR: No matching distribution found for jaxlib>=0.4\n"
    )
    report = classified(Phase.FULL, log)
    assert not report.not_claimed
    assert verdict(report) == ("FAIL", "no-distribution", "dependency")
    assert report.detail == "jaxlib: No matching distribution found for jaxlib>=0.4"


def test_the_indented_log_of_a_build_dependency_is_not_about_the_target() -> None:
    report = classified(Phase.NODEPS, INNER)
    assert verdict(report) == ("FAIL", "build-dependency", "dependency")
    assert classified(Phase.NODEPS, INNER, package="maturin").cause == "build-dependency"


def test_a_compiler_missing_for_the_target_is_blamed_on_the_environment() -> None:
    report = classified(Phase.NODEPS, COMPILER.format(target="lib", built="lib"))
    assert verdict(report) == ("FAIL", "no-compiler", "environment")
    assert report.detail == "error: command 'gcc' failed: No such file or directory"


def test_a_compiler_missing_for_another_is_blamed_on_the_dependency() -> None:
    report = classified(Phase.FULL, COMPILER.format(target="lib", built="cffi"))
    assert verdict(report) == ("FAIL", "no-compiler", "dependency")
    assert report.detail == "cffi: error: command 'gcc' failed: No such file or directory"


def test_names_are_compared_in_normalized_form() -> None:
    log = COMPILER.format(target="my_lib", built="My.Lib")
    assert classified(Phase.FULL, log, package="my-lib").blame is Blame.ENVIRONMENT


def test_a_file_that_pip_refuses_is_not_a_missing_one() -> None:
    log = (
        "Discarding file:///in/lib-1.0-py3-none-any.whl: Requested lib==1.0 from file:///in/lib-1.0-py3-none-any.whl"
        " has inconsistent name: expected 'lib', but metadata has 'other'\n"
        "ERROR: Could not find a version that satisfies the requirement lib (unavailable) (from versions: 1.0)\n"
        "ERROR: No matching distribution found for lib (unavailable)\n"
    )
    report = classified(Phase.NODEPS, log)
    assert not report.not_claimed
    assert verdict(report) == ("FAIL", "bad-wheel", "package")


def test_requires_python_is_na_for_the_target_and_a_failure_for_a_dependency() -> None:
    target = classified(Phase.NODEPS, "ERROR: Package 'lib' requires a different Python: 3.9.1 not in '>=3.10'\n")
    assert target.not_claimed
    assert verdict(target) == ("SKIP", "requires-python", "package")
    log = (
        "ERROR: Ignored the following versions that require a different python version: 2.0 Requires-Python >=3.10\n"
        "ERROR: Could not find a version that satisfies the requirement other>=2 (from lib) (from versions: 1.0)\n"
        "ERROR: No matching distribution found for other>=2\n"
    )
    dependency = classified(Phase.FULL, log)
    assert not dependency.not_claimed
    assert verdict(dependency) == ("FAIL", "requires-python", "dependency")


def test_a_dependency_without_a_readable_version_has_bad_metadata() -> None:
    ignored = "WARNING: Ignoring version 1.5 of other-lib since it has invalid metadata:\nRequested Other_Lib has it\n"
    missing = "ERROR: No matching distribution found for {}\n"
    passed_over = ignored + missing.format("Other_Lib[x]<2")
    assert verdict(classified(Phase.FULL, passed_over)) == ("FAIL", "bad-metadata", "dependency")
    assert classified(Phase.FULL, ignored + missing.format("third")).cause == "no-distribution"
    assert classified(Phase.FULL, missing.format("other-lib") + ignored).cause == "no-distribution"


@pytest.mark.parametrize(
    ("line", "cause", "blame"),
    [
        ("      error: [Errno 2] No such file or directory: 'cpp'", "no-compiler", "environment"),
        (
            "      ConfigurationError: Could not run curl-config: [Errno 2] No such file or directory: 'curl-config'",
            "no-build-tool",
            "environment",
        ),
        ("      The 'linux/input.h' and 'linux/input-event-codes.h' include files", "missing-header", "environment"),
        ("      error: <urlopen error [Errno -2] Name does not resolve>", "needs-network", "environment"),
        (
            "ERROR: Error decoding metadata for /ppp/file/lib-1.0-py3-none-any.whl: 'utf-8' codec can't decode byte",
            "bad-metadata",
            "package",
        ),
    ],
)
def test_missing_headers_and_build_tools(line: str, cause: str, blame: str) -> None:
    log = COMPILER.format(target="lib", built="lib").replace("error: command 'gcc' failed: No such file", "error: no")
    assert verdict(classified(Phase.NODEPS, f"{line}\n{log}")) == ("FAIL", cause, blame)


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        ("      warning: this is old\n      AssertionError\n", "AssertionError"),
        ("      warning: this is old\n      it cannot go on\n\n", "it cannot go on"),
        ("      ValueError: no\n      gave up\n", "ValueError: no"),
        ("      meson.build:1:0: no\n\n      A full log can be found at /tmp/x\n", "meson.build:1:0: no"),
    ],
)
def test_the_detail_of_a_failed_build_is_its_most_telling_line(lines: str, detail: str) -> None:
    log = INNER.replace("installing build dependencies", "getting requirements")
    cut = log.index("lines of output]\n") + len("lines of output]\n")
    log = f"{log[:cut]}{lines}{log[log.index('      [end of output]') :]}error: metadata-generation-failed\n"
    log = log.replace("ERROR: Failed to build 'file:///in/lib-1.0.tar.gz' when getting requirements\n", "")
    report = classified(Phase.NODEPS, log)
    assert (report.cause, report.detail) == ("build-backend", detail)


def test_a_conflict_within_its_own_requirements_is_blamed_on_the_package() -> None:
    log = "ERROR: Cannot install lib==1.0 because these package versions have conflicting dependencies.\n"
    assert verdict(classified(Phase.FULL, log)) == ("FAIL", "conflict", "package")
    log = log.replace("lib==1.0", "lib==1.0 and other==2.0").replace("Cannot install lib", "Cannot install other")
    assert classified(Phase.FULL, log).blame is Blame.DEPENDENCY


@pytest.mark.parametrize(
    "line",
    [
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "OSError: [Errno 27] File too large",
        "ERROR: Could not install packages due to an OSError: [Errno 12] Cannot allocate memory: '/tmp/tmpdvk307gx'",
        "      MemoryError",
        "MemoryError: cannot allocate memory for array",
        "cc1plus: out of memory allocating 65536 bytes after a total of 135168 bytes",
        "c++: fatal error: Killed signal terminated program cc1plus",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
    ],
)
def test_infrastructure_faults_are_errors(line: str) -> None:
    report = classified(Phase.FULL, f"{line}\n{COMPILER.format(target='lib', built='cffi')}")
    assert (report.outcome, report.blame) == (Outcome.ERROR, Blame.INFRASTRUCTURE)


# ---------------------------------------------------------------- the network


@pytest.mark.parametrize(
    "end",
    [
        NOT_FOUND,
        "ERROR: Failed to build 'file:///in/lib-1.0.tar.gz' when installing build dependencies\n",
        "ERROR: ResolutionImpossible: for help visit the documentation\n",
    ],
)
@pytest.mark.parametrize("indent", ["", "      "])
def test_exhausted_retries_are_an_infrastructure_error(end: str, indent: str) -> None:
    log = "".join(indent + RETRIED.format(left=left) for left in range(4, -1, -1)) + end
    report = classified(Phase.FULL, log)
    assert verdict(report) == ("ERROR", "network", "infrastructure")
    assert report.detail == "after connection broken by 'NewConnectionError()': /simple/other/"


def test_a_retry_that_succeeded_does_not_count() -> None:
    once = RETRIED.format(left=4)
    assert verdict(classified(Phase.FULL, once + NOT_FOUND)) == ("FAIL", "no-distribution", "dependency")
    assert verdict(classified(Phase.FULL, once + COMPILER.format(target="lib", built="lib")))[:2] == (
        "FAIL",
        "no-compiler",
    )


def test_a_build_failure_after_retries_is_still_a_failure() -> None:
    log = RETRIED.format(left=0) + COMPILER.format(target="lib", built="lib")
    assert verdict(classified(Phase.FULL, log)) == ("FAIL", "no-compiler", "environment")


@pytest.mark.parametrize(
    "end",
    [
        f"ERROR: Could not install packages due to an OSError: {POOL} (Caused by ResponseError('too many 503 errors'))",
        "  ERROR: HTTP error 404 while getting https://files.example/f/other-1.0-py3-none-any.whl",
        "ERROR: Could not install requirement other from https://files.example/f because of HTTP error 404",
        "error: incomplete-download\n\n\N{MULTIPLICATION SIGN} Download failed after 6 attempts because",
        'ERROR: Exception:\n  File "/ppp/pip/_vendor/urllib3/connectionpool.py", line 716, in urlopen\nValueError: no',
    ],
)
def test_what_pip_could_not_fetch_is_an_infrastructure_error(end: str) -> None:
    log = f"Processing /in/lib-1.0-py3-none-any.whl\nCollecting other (from lib==1.0)\n{end}\n"
    assert verdict(classified(Phase.FULL, log)) == ("ERROR", "network", "infrastructure")


def test_a_build_that_needs_the_network_is_blamed_on_the_environment() -> None:
    log = (
        "  \u2570\u2500> [30 lines of output]\n"
        "          raise URLError(err)\n"
        "      urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>\n"
        "      [end of output]\n"
        "ERROR: Failed to build 'file:///in/lib-1.0.tar.gz' when getting requirements to build wheel\n"
    )
    report = classified(Phase.NODEPS, log)
    assert verdict(report) == ("FAIL", "needs-network", "environment")
    assert report.detail == "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>"


def test_rust_that_cannot_be_downloaded_is_a_missing_tool() -> None:
    log = (
        "      Checking for Rust toolchain....\n"
        "      Rust not found, installing into a temporary directory\n"
        "      httpx.ConnectError: [Errno -2] Name or service not known\n"
        "error: metadata-generation-failed\n\n"
        "\N{MULTIPLICATION SIGN} Encountered error while generating package metadata.\n"
        "\u2570\u2500> from file:///in/lib-1.0.tar.gz\n"
    )
    report = classified(Phase.NODEPS, log)
    assert verdict(report) == ("FAIL", "no-build-tool", "environment")
    assert report.detail == "Rust not found, installing into a temporary directory"


# ---------------------------------------------------------------- a dependency that is built


def test_a_dependency_whose_metadata_cannot_be_built_is_named() -> None:
    log = (
        "Collecting PyYAML==5.4.1 (from lib==1.0)\n"
        "      AttributeError: 'build_ext' object has no attribute 'cython_sources'\n"
        "ERROR: Failed to build 'PyYAML' when getting requirements to build wheel\n"
    )
    report = classified(Phase.FULL, log)
    assert verdict(report) == ("FAIL", "build-backend", "dependency")
    assert report.detail == "pyyaml: AttributeError: 'build_ext' object has no attribute 'cython_sources'"


def test_a_failure_while_collecting_is_the_last_projects() -> None:
    log = (
        "Processing /in/lib-1.0-py3-none-any.whl\n"
        "Collecting six (from lib==1.0)\n"
        "Collecting numpy==1.19.5 (from lib==1.0)\n"
        "ERROR: Exception:\nTraceback (most recent call last):\n"
        "pip._vendor.pyproject_hooks._impl.BackendUnavailable: Cannot import 'setuptools.build_meta'\n"
    )
    report = classified(Phase.FULL, log)
    assert verdict(report) == ("FAIL", "build-backend", "dependency")
    assert report.detail == "numpy: BackendUnavailable: Cannot import 'setuptools.build_meta'"


def test_a_failure_after_collecting_names_no_project() -> None:
    log = (
        "Collecting six (from lib==1.0)\nInstalling collected packages: six, lib\n"
        "ERROR: Could not install packages due to an OSError: RECORD\n"
    )
    assert verdict(classified(Phase.FULL, log)) == ("FAIL", "bad-wheel", "package")


@pytest.mark.parametrize(
    ("line", "blame"),
    [
        ("ERROR: lib has an invalid wheel, .dist-info directory not found", "package"),
        ("ERROR: other has an invalid wheel, .dist-info directory not found", "dependency"),
        (
            "ERROR: For req: other==1.0. The wheel '/x' has a file '/y' trying to install outside the target directory",
            "dependency",
        ),
        ("Discarding x: Requested other==1.0 from https://x has inconsistent name: expected 'other'", "dependency"),
    ],
)
def test_a_broken_wheel_is_blamed_on_the_project_that_it_names(line: str, blame: str) -> None:
    assert verdict(classified(Phase.FULL, f"{line}\n")) == ("FAIL", "bad-wheel", blame)


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
        (
            "ImportError: Error relocating /w/site-packages/lib/x.so: __memcpy_chk: symbol not found",
            "shared-library",
            "package",
        ),
        ("KeyError: 'DISPLAY'", "no-display", "environment"),
        ('Xlib.error.DisplayNameError: Bad display name ""', "no-display", "environment"),
        ("AttributeError: module 'collections' has no attribute 'Mapping'", "import-error", "package"),
        ("lib.errors.BadThing: it went wrong", "import-error", "package"),
        ("lib.errors.ConfigError: it went wrong", "import-error", "package"),
    ],
)
def test_an_import_that_raised(line: str, cause: str, blame: str) -> None:
    report = classified(Phase.IMPORT, RAISED.format(line=line))
    assert verdict(report) == ("FAIL", cause, blame)
    assert report.detail == line


def test_the_last_exception_of_a_chain_counts() -> None:
    log = RAISED.format(line="KeyError: 'HOME'") + RAISED.format(line="ValueError: no home")
    assert classified(Phase.IMPORT, log).detail == "ValueError: no home"


FLASK: Final = """\
Traceback (most recent call last):
  File "<string>", line 1, in <module>
  File "/ppp/work/full/lib/python3.12/site-packages/flask/__init__.py", line 14, in <module>
    from jinja2 import escape
  File "/ppp/work/full/lib/python3.12/site-packages/jinja2/__init__.py", line 12, in <module>
    from .environment import Environment
  File "/ppp/work/full/lib/python3.12/site-packages/jinja2/filters.py", line 13, in <module>
    from markupsafe import soft_unicode
ImportError: cannot import name 'soft_unicode' from 'markupsafe'
"""
CALLED: Final = """\
Traceback (most recent call last):
  File "/w/lib/python3.12/site-packages/lib/__init__.py", line 3, in <module>
    other.configure(nothing=True)
  File "/w/lib/python3.12/site-packages/other/config.py", line 9, in configure
    {statement}
{line}
"""


def test_a_module_of_a_dependency_that_cannot_be_executed_is_its_fault() -> None:
    report = classified(Phase.IMPORT, FLASK, package="flask", modules=("flask",))
    assert verdict(report) == ("FAIL", "import-error", "dependency")
    assert report.detail
    assert report.detail.startswith("jinja2: ImportError: cannot import name 'soft_unicode'")


@pytest.mark.parametrize("modules", [("jinja2",), ("flask", "jinja2"), ("jinja2.ext",), ()])
def test_the_targets_own_module_is_blamed_on_the_package(modules: tuple[str, ...]) -> None:
    assert verdict(classified(Phase.IMPORT, FLASK, modules=modules)) == ("FAIL", "import-error", "package")


def test_a_wrong_call_of_a_dependency_is_the_callers_fault() -> None:
    log = CALLED.format(statement="raise TypeError(nothing)", line="TypeError: unexpected argument 'nothing'")
    assert verdict(classified(Phase.IMPORT, log, modules=("lib",))) == ("FAIL", "import-error", "package")


@pytest.mark.parametrize("module", ["distutils", "pkg_resources", "yaml"])
def test_the_importer_of_a_missing_module_is_to_blame(module: str) -> None:
    log = CALLED.format(statement=f"import {module}", line=f"ModuleNotFoundError: No module named '{module}'")
    assert classified(Phase.IMPORT, log, modules=("lib",)).blame is Blame.DEPENDENCY
    assert classified(Phase.IMPORT, log, modules=("lib", "other")).blame is Blame.PACKAGE


def test_the_last_traceback_of_a_chain_counts() -> None:
    caught = FLASK + "\nDuring handling of the above exception, another exception occurred:\n\n"
    log = caught + RAISED.format(line="ValueError: no template engine").replace("/lib/", "/flask/")
    assert verdict(classified(Phase.IMPORT, log, modules=("flask",)))[2] == "package"


def test_a_file_that_cannot_be_parsed_is_its_owners_fault() -> None:
    frame = '  File "/w/site-packages/old.py", line 3\n    print "x"\n    ^^^^^^^^^\nSyntaxError: Missing parentheses\n'
    log = RAISED.format(line="").rstrip("\n") + "\n" + frame
    cause = "written-for-older-python"
    assert verdict(classified(Phase.IMPORT, log, modules=("lib",))) == ("FAIL", cause, "dependency")
    assert verdict(classified(Phase.IMPORT, log, modules=("lib", "old"))) == ("FAIL", cause, "package")


def test_a_library_missing_for_a_dependency_is_blamed_on_it() -> None:
    log = FLASK.replace("cannot import name", "libGL.so.1: cannot open shared object file:")
    assert verdict(classified(Phase.IMPORT, log, modules=("flask",))) == ("FAIL", "shared-library", "dependency")
    assert verdict(classified(Phase.IMPORT, log, modules=("jinja2",))) == ("FAIL", "shared-library", "environment")


def test_an_exception_with_an_unusual_name_is_attributed_too() -> None:
    log = FLASK.replace("ImportError", "Trouble")
    assert verdict(classified(Phase.IMPORT, log, modules=("flask",))) == ("FAIL", "import-error", "dependency")
    assert verdict(classified(Phase.IMPORT, log, modules=("jinja2",))) == ("FAIL", "import-error", "package")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='x.example'): Max retries exceeded",
            "needs-network",
        ),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", "needs-network"),
        ("OSError: [Errno 101] Network is unreachable", "needs-network"),
        ("ConnectionRefusedError: [Errno 111] Connection refused", "needs-network"),
        ("OSError: [Errno 2] No such file or directory: '/etc/lib'", "import-error"),
        ("ImportError: Unable to find zbar shared library", "shared-library"),
        ("ImportError: failed to find libmagic.  Check your installation", "shared-library"),
        ("OSError: PortAudio library not found", "shared-library"),
        ("- couldn't import psycopg 'python' implementation: libpq library not found", "shared-library"),
    ],
)
def test_missing_libraries_and_displays(line: str, cause: str) -> None:
    report = classified(Phase.IMPORT, RAISED.format(line=line))
    assert (report.cause, report.detail) == (cause, " ".join(line.split()))


def test_the_top_level_of_an_installation() -> None:
    paths = ["_lib.py", "lib/__init__.py", "lib/sub/x.py", "_lib_c.cpython-312-x86_64-linux-gnu.so", "../../bin/lib"]
    assert top_levels([*paths, "lib-1.0.dist-info/RECORD", "lib.pth", ""]) == ("_lib", "_lib_c", "lib")


# ---------------------------------------------------------------- hostile output


@pytest.mark.heavy
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
def test_no_output_takes_long_to_search(phase: Phase, word: str) -> None:
    output = word * (2_000_000 // len(word))
    started = time.process_time()
    report = classified(phase, output)
    assert time.process_time() - started < 5
    assert report.outcome is Outcome.FAIL
    # It is cut once what belongs to this machine is replaced in it.
    assert len(report.detail or "") <= 2 * MAX_LINE


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


def test_one_line_is_bounded_and_ends_with_an_ellipsis_if_cut() -> None:
    assert one_line("x" * MAX_DETAIL) == "x" * MAX_DETAIL
    assert one_line("x" * 10_000) == "x" * (MAX_DETAIL - 1) + "…"
