"""Where the time of a test run goes: seconds and tests by folder, printed at its end."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import pytest


def time_by_folder(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield a line for each folder below tests/, longest first, and one for all; setup and teardown count.

    Where several processes ran tests, their times add up to more than the run took.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    tests: Counter[str] = Counter()
    for report in reports:
        folder = "/".join(report.nodeid.split("::")[0].split("/")[:2])
        seconds[folder] += report.duration
        tests[folder] += report.when == "call"
    for folder, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        yield f"{folder:<24}{tests[folder]:>6} tests {spent:>7.0f} s"
    yield f"{'all':<24}{tests.total():>6} tests {sum(seconds.values()):>7.0f} s"
