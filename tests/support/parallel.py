"""How tests are divided among the processes of pytest-xdist.

A file's tests run in one process, because they share what the file's fixtures build. Files whose fixtures build
something costly for each parameter are divided into parts by that parameter. Costly files start first.

`--dist loadgroup` would do this by marks, but xdist 3.8 ignores its marks without a word on pytest 9.2.
"""

from typing import Any

import pytest

#: Files in parts, by the ends of their parameters' ids.
PARTS = {"tests/e2e/test_hostile.py": ("host", "slim", "alpine")}
#: Marks of tests that take minutes, or start containers, browsers or networks; the earlier, the sooner they start.
COSTLY_MARKS = ("slow", "docker", "browser", "mesh", "online")


def part_of(nodeid: str) -> str:
    """Return the file of a test, or the file and its part."""
    file = nodeid.partition("::")[0]
    parts = [end for end in PARTS.get(file, ()) if nodeid.endswith(f"{end}]")]
    return ":".join([file, *parts])


def sort_by_cost(items: list[pytest.Item]) -> None:
    """Sort tests by the cost of the costliest one in their file or part; the order is otherwise kept.

    Of files that cost the same, the second parts come after all first ones: parts of one file would compete for the
    same, and their cells have deadlines.
    """
    costs: dict[str, int] = {}
    numbers: dict[str, int] = {}
    for item in items:
        part, marks = part_of(item.nodeid), [mark.name for mark in item.iter_markers()]
        cost = min((COSTLY_MARKS.index(name) for name in marks if name in COSTLY_MARKS), default=len(COSTLY_MARKS))
        costs[part] = min(costs.get(part, cost), cost)
        if part not in numbers:
            file = part.partition(":")[0]
            numbers[part] = sum(other.partition(":")[0] == file for other in numbers)
    items.sort(key=lambda item: (costs[part := part_of(item.nodeid)], numbers[part]))


def file_scheduler(config: pytest.Config, log: object) -> Any:
    """Return a scheduler of xdist that hands out tests by file or part, in the order of collection."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where tests run in several processes

    class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return part_of(nodeid)

    # By default files with many tests would come first, whatever they cost.
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
