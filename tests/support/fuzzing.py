"""Property tests that run for minutes: `nox -s fuzz` repeats those marked `fuzz` with new seeds until their time is up.

A round is one call of the test, with as many examples as it has in a normal run. Each round's seed is printed; the same
test with `--minutes` and `--seed` begins with that round. Hypothesis stores a failing example, so that the next normal
run tries it first.
"""

import resource
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from hypothesis import seed

#: A round that takes longer, in seconds, hangs: examples are limited by deadlines of their own.
MAX_ROUND_S: Final = 300
#: How much memory, in MiB, the process may have used at most.
MAX_MEMORY_MIB: Final = 2048
#: The property of a test's report with the result of fuzzing.
FUZZED: Final = "fuzzed"


def fuzz(item: pytest.Function, *, minutes: float, first_seed: int | None) -> None:
    """Repeat a property test until its time is up; raise what it raises, with a note of the seed."""
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames if name in item.funcargs}
    start = secrets.randbits(32) if first_seed is None else first_seed
    deadline, rounds = time.monotonic() + minutes * 60, 0
    while rounds == 0 or time.monotonic() < deadline:
        try:
            with _time_limit(MAX_ROUND_S):
                seed(start + rounds)(item.obj)(**arguments)
            _check_memory()
        except BaseException as error:
            error.add_note(f"found in round {rounds + 1}; begin with it again by --seed {start + rounds}")
            raise
        rounds += 1
    item.user_properties.append((FUZZED, f"{rounds} rounds in {minutes:g} minutes, seeds from {start}: nothing found"))


def _check_memory() -> None:
    used_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert used_mib <= MAX_MEMORY_MIB, f"{used_mib} MiB of memory were used"


@contextmanager
def _time_limit(limit_s: float) -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise TimeoutError(f"a round took more than {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzzed_lines(reports: list[pytest.TestReport]) -> Iterator[str]:
    """Yield a line for each test that was repeated without a finding."""
    for report in reports:
        if report.when == "call" and (result := dict(report.user_properties).get(FUZZED)):
            yield f"{report.nodeid}: {result}"
