"""What is told of one cell, wherever a page or a file tells of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ppp.ledger.published import Agreement, Verdict, VerdictChange
from ppp.model.blame import AssignedBlame
from ppp.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRecord:
    """A current record, its id, how many nodes agree with it, and whose its failure is once its siblings were heard."""

    id: str
    record: Record
    agreement: Agreement
    judgement: AssignedBlame


#: A release's cells under some heads, None where it was not checked.
CurrentRecordRow = tuple[CurrentRecord | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageHistory:
    """All that is published of one package: the verdicts on its cells, newest version first, and what changed.

    `newest` are the cells of the newest release in full; `since` tells by (version, environment) when the verdict last
    changed, in epoch seconds; `changes` come newest first. Blame is as the cells of a release tell it together.
    """

    package: str
    newest: Sequence[CurrentRecord]
    verdicts: Sequence[Verdict]
    changes: Iterable[VerdictChange]
    changed_at: Mapping[tuple[str, str], int]

    @property
    def version(self) -> str:
        """Give its newest version."""
        return self.verdicts[0].release.version

    @property
    def newest_verdicts(self) -> Sequence[Verdict]:
        """Give the verdicts on the cells of the newest release."""
        return self.verdicts[: len(self.newest)]

    @property
    def older(self) -> Sequence[Verdict]:
        """Give the verdicts on the cells of the releases before."""
        return self.verdicts[len(self.newest) :]

    @property
    def as_of(self) -> int:
        """Give when the newest of its current records was observed, in epoch seconds."""
        return max(verdict.observed_at for verdict in self.verdicts)
