"""Group a release's cells by how they failed: the package's page explains each group once, with one log."""

from collections.abc import Iterable
from itertools import groupby
from typing import Final

from ppp.model.record import Result
from ppp.publish.packages.history import CurrentRecord

#: Results that a package's page explains, in the order in which it does.
_BY_SEVERITY: Final = (Result.FAIL, Result.TIMEOUT, Result.ERROR, Result.NA)


def group_failures(cells: Iterable[CurrentRecord]) -> list[tuple[CurrentRecord, ...]]:
    """Return the cells that did not pass, grouped by result, phase, cause, blame and detail; the worst first."""
    failed = sorted((cell for cell in cells if cell.record.result is not Result.PASS), key=_failure)
    return [tuple(group) for _, group in groupby(failed, key=_failure)]


def _failure(cell: CurrentRecord) -> tuple[int, str, str, str, str]:
    record = cell.record
    severity = _BY_SEVERITY.index(record.result)
    blamed = f"{cell.judgement.blame} {cell.judgement.source}"
    return severity, record.failed_phase or "", record.cause or "", blamed, record.detail or ""
