"""How tests are divided among the processes of pytest-xdist.

A file's tests run in one process, because they share what the file's fixtures build, and so that at most one of them
does what it should do alone. Where a fixture builds something costly for each parameter, the mark `part` on that
parameter lets its tests run apart from the rest of the file. What takes longest starts first.
"""

from collections.abc import Sequence

import pytest

#: Marks of tests that start containers, browsers or networks, or take minutes; the earlier, the sooner they start.
COSTLY_MARKS = ("slow", "docker", "browser", "mesh", "online")


def assign_to_processes(items: list[pytest.Item]) -> None:
    """Group tests by file, or part of one, and sort the groups: costly ones first, else as they were collected."""
    costs: dict[str, int] = {}
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        part = item.get_closest_marker("part")
        name = ":".join([item.nodeid.split("::")[0], *(map(str, part.args) if part else ())])
        item.add_marker(pytest.mark.xdist_group(name))
        groups.setdefault(name, []).append(item)
        costs[name] = min(costs.get(name, len(COSTLY_MARKS)), _cost(item))
    items[:] = [item for name in sorted(groups, key=lambda name: costs[name]) for item in groups[name]]


def _cost(item: pytest.Item) -> int:
    marks: Sequence[str] = [mark.name for mark in item.iter_markers()]
    return min((COSTLY_MARKS.index(name) for name in marks if name in COSTLY_MARKS), default=len(COSTLY_MARKS))
