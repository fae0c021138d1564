"""Text that takes long to search: every regular expression that a stranger's text meets grows with its length only.

Each is searched in texts that are built from what it matches (see `slow_inputs`). An expression that backtracks over a
line again and again needs hundreds of times as long as one that does not, so a generous limit tells them apart.
"""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from slow_inputs import slow_inputs

import ppp
from ppp.check.cause_rules import rules
from ppp.check.causes import classify_failure
from ppp.check.runtime import CommandResult
from ppp.check.syntax_errors import constructs
from ppp.model.record import Outcome, Phase

pytestmark = pytest.mark.attack("bounded-input")

#: In characters, and seconds of CPU. An expression that is linear needs up to 0.02 s, a quadratic one 0.15 s to hours.
LENGTH: Final = 50_000
LIMIT_S: Final = 0.1
FAILED: Final = CommandResult(exit_code=1, output="", duration_ms=1)
#: Expressions that meet no stranger's text, or only a short one.
EXEMPT: Final = {
    "ppp.check.images._DIGEST": "a setting",
    "ppp.narrate.script._BLANK": "our own sentences",
    "ppp.publish.site.dependency_chains._NOT_PROJECTS": "a whole name of at most 214 characters",
}


def rule_expressions() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the expressions of `causes.toml`, with the name of their cause."""
    for number, rule in enumerate(rules()):
        name = f"{number}-{rule.cause}"
        yield f"{name}-pattern", rule.pattern
        yield from (
            (f"{name}-{kind}", found)
            for kind in ("subject", "then", "context", "unless")
            if (found := getattr(rule, kind))
        )
        yield from ((f"{name}-detail{place}", found) for place, found in enumerate(rule.details))
        if rule.earlier:
            yield f"{name}-earlier", re.compile(rule.earlier.replace("{1}", "lib"), re.MULTILINE)


def construct_expressions() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Yield the expressions of `constructs.toml`, with the name of their construct."""
    yield from ((construct.name, construct.pattern) for construct in constructs())


def module_expressions() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Yield the expressions that our modules hold, with their names; not those of programs that run inside cells."""
    for info in pkgutil.walk_packages(ppp.__path__, "ppp."):
        if ".inside" in info.name or info.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            for held in value if isinstance(value, tuple) else (value,):
                if isinstance(held, re.Pattern) and f"{info.name}.{name}" not in EXEMPT:
                    yield f"{info.name}.{name}", held


def seconds(pattern: re.Pattern[str] | re.Pattern[bytes], text: str) -> float:
    """Return how much CPU it takes to find every match, in seconds."""
    subject = text if isinstance(pattern.pattern, str) else text.encode()
    started = time.process_time()
    for _ in pattern.finditer(subject):  # type: ignore[arg-type]
        pass
    return time.process_time() - started


def slowest(pattern: re.Pattern[str] | re.Pattern[bytes]) -> tuple[float, str]:
    """Return the first text that takes longer than the limit, three times in a row, and how long; else the slowest."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode()
    worst = (0.0, "")
    for text in slow_inputs(source, LENGTH):
        taken = seconds(pattern, text)
        if taken > LIMIT_S:
            taken = min(taken, seconds(pattern, text), seconds(pattern, text))
        worst = max(worst, (taken, text))
        if taken > LIMIT_S:
            break
    return worst


DATA: Final = [*rule_expressions(), *construct_expressions()]


@pytest.mark.parametrize("pattern", [pattern for _, pattern in DATA], ids=[name for name, _ in DATA])
def test_a_rules_expression_grows_with_the_text_only(pattern: re.Pattern[str]) -> None:
    taken, text = slowest(pattern)
    assert taken < LIMIT_S, text[:200]


def test_our_modules_expressions_grow_with_the_text_only() -> None:
    found = list(module_expressions())
    assert {"ppp.check.tracebacks._FRAME", "ppp.watch.feeds._LINK", "ppp.mesh.untrusted._STRING"} <= {
        n for n, _ in found
    }
    slow = {name: text[:80] for name, p in found for taken, text in [slowest(p)] if taken >= LIMIT_S}
    assert not slow


SLOW: Final = (
    r"Requested .+ has invalid",
    r"^\s*ERROR: ",
    r"'\S+\.h' include",
    r"(a+)+b",
    r"^ERROR: '.+' located at .+ bad",
    "[a-z]*x",
)


@pytest.mark.parametrize("pattern", SLOW)
def test_a_slow_expression_is_found(pattern: str) -> None:
    assert any(seconds(re.compile(pattern, re.MULTILINE), text) > LIMIT_S for text in bounded_inputs(pattern))


def bounded_inputs(pattern: str) -> Iterator[str]:
    """Yield texts that grow: an exponential expression would never end on the longest."""
    lengths = (20, 24, 28) if "+)+" in pattern else (LENGTH // 4, LENGTH)
    for length in lengths:
        yield from slow_inputs(pattern, length)


# ---------------------------------------------------------------- whole logs


LOG_CHARS: Final = 1_000_000
WORDS: Final = {
    "empty-lines": "\n",
    "short-lines": "e\n",
    "quotes": "'" * 1990 + "\n",
    "spaces": " " * 1990 + "\n",
    "request": "Requested " * 199 + "\n",
    "wheel": "ERROR: " + "the wheel " * 198 + "\n",
    "relocation": "Error relocating /site-packages/" * 62 + "\n",
    "frames": '  File "' + "/site-packages/" * 131 + "\n",
    "build-dependencies": "error: failed-build-dependency-install\nFailed to build lib\n",
    "resolver": "Retrying (Retry(total=0,\n" + "ERROR: No matching distribution found for lib\n",
    "ignored": "WARNING: Ignoring version " + "x of lib" * 240 + "\nERROR: No matching distribution found for lib\n",
    "tracebacks": "Traceback (most recent call last):\n",
}


IMPORT_WORDS: Final = frozenset({"short-lines", "quotes", "relocation", "frames", "tracebacks"})


@pytest.mark.parametrize("name", WORDS)
def test_a_hostile_log_is_classified_in_bounded_time(name: str) -> None:
    word, phase = WORDS[name], Phase.IMPORT if name in IMPORT_WORDS else Phase.FULL
    output = word * (LOG_CHARS // len(word))
    started = time.process_time()
    report = classify_failure(phase, replace(FAILED, output=output), package="lib", modules=("lib",))
    # A benign log of this size takes about a second.
    assert time.process_time() - started < 6
    assert report.outcome in {Outcome.FAIL, Outcome.ERROR, Outcome.SKIP}
