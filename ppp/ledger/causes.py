"""The number of cells that a cause explains, after blame has been assigned."""

from dataclasses import dataclass

from ppp.model.blame import BlameSource
from ppp.model.record import Blame, Result


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCells:
    """How many current cells of one environment and result have this cause, with this blame from this source."""

    cause: str
    environment: str
    result: Result
    blame: Blame | None
    blamed_by: BlameSource | None
    cells: int
