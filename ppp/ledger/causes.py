"""What each cause explains now: cells by environment, result and blame, and the newest of them. All is judged."""

from dataclasses import dataclass
from typing import Final

from ppp.model.blame import BlameSource
from ppp.model.record import Blame, Result

#: A failure without a cause is one that no rule knows; anything else without one has nothing to explain.
_CAUSE: Final = "coalesce(cause, CASE WHEN result IN ('FAIL', 'TIMEOUT') THEN 'unclassified' END)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseCells:
    """How many cells of one environment and result a cause explains, with one blame on one ground."""

    cause: str
    environment: str
    result: Result
    blame: Blame | None
    blamed_by: BlameSource | None
    cells: int
