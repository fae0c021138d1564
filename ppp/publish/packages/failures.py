"""Group a release's cells by how they failed: the package's page explains each group once, with one log."""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from ppp.model.record import Result
from ppp.publish.packages.history import CurrentRecord

#: Results that a package's page explains, in the order in which it does.
_BY_SEVERITY: Final = (Result.FAIL, Result.TIMEOUT, Result.ERROR, Result.NA)


def group_failures(cells: Iterable[CurrentRecord]) -> list[tuple[CurrentRecord, ...]]:
    """Return the cells that did not pass, grouped by result, phase, cause and detail; the worst first.

    One error is explained once, also where sibling cells blame another for it in one environment than in the next.
    """
    failed = sorted((cell for cell in cells if cell.record.result is not Result.PASS), key=_failure)
    return [tuple(group) for _, group in groupby(failed, key=_failure)]


def _failure(cell: CurrentRecord) -> tuple[int, str, str, str]:
    record = cell.record
    severity = _BY_SEVERITY.index(record.result)
    return severity, record.failed_phase or "", record.cause or "", record.detail or ""
