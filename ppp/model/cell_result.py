"""The current result of a release in one environment, without the rest of its record."""

from typing import NamedTuple

from ppp.model.record import Result


class CellResult(NamedTuple):
    """A version, its result, and the cause of that; None for a PASS."""

    version: str
    result: Result
    cause: str | None
