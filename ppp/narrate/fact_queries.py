"""Every query for facts, by its kind, in the order of their topics."""

from collections.abc import Mapping
from typing import Final

from ppp.narrate.queries.board import BOARD
from ppp.narrate.queries.extremes import CAUSES, EXTREMES
from ppp.narrate.queries.findings import FINDINGS
from ppp.narrate.queries.fine_print import FINE_PRINT, left_out
from ppp.narrate.queries.news import CONTEXT, NEWS
from ppp.narrate.queries.opening import OPENING
from ppp.narrate.queries.query import FactKind, FactQuery

_QUERIES: Final = (*OPENING, *NEWS, *CONTEXT, *FINDINGS, *BOARD, *EXTREMES, *CAUSES, *FINE_PRINT)

FACT_QUERIES: Final[Mapping[FactKind, FactQuery]] = {q.kind: q for q in (*_QUERIES, left_out(_QUERIES))}
