"""Which modules of a passing cell do not load there, although they load in another environment.

This is the reference for the view `imports_in_part`. A module that loads nowhere is the release's own matter, such as
an optional part that wants something undeclared; one that loads elsewhere tells what a user of this environment lacks.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from ppp.model.record import ModuleFailure, Outcome, Phase, Record, Result

#: Outcomes that say something about the module: `ERROR` is ours, and `SKIP` says that it was not tried.
_DOES_NOT_LOAD: Final = frozenset({Outcome.FAIL, Outcome.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialImport:
    """A module that does not load in one environment, and the first other one (by its id) in which it loads."""

    failure: ModuleFailure
    loads_in: str


def partial_imports(record: Record, cells: Collection[Record]) -> list[PartialImport]:
    """Return the modules of a cell that load only elsewhere; `cells` are the current records of its release."""
    if record.result is not Result.PASS:
        return []
    siblings = sorted(
        (cell for cell in cells if cell.environment != record.environment and cell.result is Result.PASS),
        key=lambda cell: cell.environment,
    )
    return [*_partial(record, siblings)] if siblings else []


def _partial(record: Record, siblings: Collection[Record]) -> Iterator[PartialImport]:
    for failure in record.import_failures:
        places = (cell.environment for cell in siblings if _imports(cell, failure.module))
        if failure.outcome in _DOES_NOT_LOAD and (place := next(places, None)):
            yield PartialImport(failure=failure, loads_in=place)
    for failure in record.submodules.failed if record.submodules else ():
        places = (cell.environment for cell in siblings if _loads_submodule(cell, failure.module, record))
        if failure.outcome in _DOES_NOT_LOAD and (place := next(places, None)):
            yield PartialImport(failure=failure, loads_in=place)


def _imports(cell: Record, module: str) -> bool:
    return (
        cell.outcome(Phase.IMPORT) is Outcome.PASS
        and module in cell.imports
        and all(failure.module != module for failure in cell.import_failures)
    )


def _loads_submodule(cell: Record, module: str, where_it_failed: Record) -> bool:
    # A record names only the submodules that failed. They are chosen in the same order everywhere: this one was tried
    # too if as many were tried, and none or as many left out. Where fewer were tried it may not be there at all.
    here, there = where_it_failed.submodules, cell.submodules
    if here is None or there is None:
        return False
    tried_all = there.left_out == 0 and there.tried >= here.tried
    tried_same = (there.tried, there.left_out) == (here.tried, here.left_out)
    return (tried_all or tried_same) and all(failure.module != module for failure in there.failed)
