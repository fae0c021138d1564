"""Run a cell once more with the index in a view: see `ppp.check.index.view`. What is observed is nobody's record."""

from dataclasses import dataclass, replace
from typing import Final

from ppp.check.cell import Observation
from ppp.check.index.view import IndexView, ViewedIndex
from ppp.model.matrix import Cell
from ppp.model.record import Result
from ppp.runner.environments import NO_NODE, ReadyEnvironments

#: How often a cell is run if that ends in an `ERROR`.
ATTEMPTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewedRun:
    """What was observed in a view, the projects that were asked for, and those without times of upload."""

    observation: Observation
    asked: frozenset[str]
    untimed: tuple[str, ...]


def run_in_view(ready: ReadyEnvironments, cell: Cell, view: IndexView) -> ViewedRun:
    """Return what is observed of a cell that gets the index in a view; the environments must have a gateway.

    What the record says of the index is true of the view only.
    """
    assert ready.gateway is not None  # noqa: S101 - the caller's to see to
    name = ready.gateway.open_view(view)
    checker = ready.checkers(NO_NODE)[cell.environment]
    checker = replace(checker, index=ViewedIndex(checker.index, view))
    prepared = replace(ready.prepared[cell.environment], index_view=name)
    for _ in range(ATTEMPTS):
        observation = checker.check(cell, prepared)
        if observation.record.result is not Result.ERROR:
            break
        # On a full disk every other cell would end in an error too.
        ready.check_room()
    server = ready.gateway.page_server
    return ViewedRun(
        observation=observation, asked=server.asked_in(name), untimed=tuple(sorted(server.untimed_in(name)))
    )
