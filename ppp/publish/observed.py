"""What is told of one cell, wherever a page or a file tells of it."""

from dataclasses import dataclass

from ppp.ledger.published import Agreement
from ppp.model.judge import Judgement
from ppp.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A current record, its id, how many nodes agree with it, and whose its failure is once its siblings were heard."""

    id: str
    record: Record
    agreement: Agreement
    judgement: Judgement


#: A release's cells under some heads, None where it was not checked.
Cells = tuple[Observed | None, ...]
