"""Everything that is published of one package, as the ledger holds it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from ppp.ledger.downloads import Downloads
from ppp.ledger.flips import Flip
from ppp.ledger.published import Agreement, Verdict, VerdictChange
from ppp.model.blame import AssignedBlame
from ppp.model.on_index import OnIndex
from ppp.model.record import Record, Result
from ppp.model.standing import CheckedVersions
from ppp.publish.packages.locks import NO_LOCKS, PackageLocks

#: How many environments a page has columns or rows for: peers may publish records of any number of them.
MAX_ENVIRONMENTS: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRecord:
    """The current record of a cell: its id, how many nodes agree with it, and the blame in view of sibling cells."""

    id: str
    record: Record
    agreement: Agreement
    judgement: AssignedBlame


class Unchecked(StrEnum):
    """What is said of a cell of a release that has no result, while another one has."""

    QUEUED = "queued"
    NOT_CHECKED = "not checked"

    @classmethod
    def of(cls, environment: str, queued: Iterable[str]) -> "Unchecked":
        """Return what is said of the cell in an environment, if cells are queued in `queued`."""
        return cls.QUEUED if environment in queued else cls.NOT_CHECKED


#: A row of a table: a release's cells in the order of its columns.
CurrentRecordRow = tuple[CurrentRecord | Unchecked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageHistory:
    """The current verdicts on a package's cells, newest version first, and every change of a verdict, newest first.

    `newest` are the full records of the newest release. `changed_at` is when the verdict on a (version, environment)
    last changed, in epoch seconds. `logs` has, by sha256, the log that explains each group of cells of the newest
    release that failed alike, where the ledger has one. `flips` are the verdicts on other packages that changed after
    its releases came. `downloads` are its own, of the newest period that is known. `announced_at` is when the index
    named the newest release, in epoch seconds, as far as a journal says. `on_index` is what the index listed at the
    newest observation that recorded it. `dependencies` are the names of what its newest installations brought with
    them, each with whether it has a result here. `locks` are those of the newest release that are published. `queued`
    are the environments in which this node has yet to check the newest release. Blame takes all cells of a release into
    account.
    """

    package: str
    newest: Sequence[CurrentRecord]
    verdicts: Sequence[Verdict]
    changes: Iterable[VerdictChange]
    changed_at: Mapping[tuple[str, str], int]
    logs: Mapping[str, str]
    flips: Sequence[Flip] = ()
    downloads: Downloads | None = None
    announced_at: int | None = None
    on_index: OnIndex | None = None
    dependencies: Mapping[str, bool] = field(default_factory=dict)
    locks: PackageLocks = NO_LOCKS
    queued: Sequence[str] = ()

    @property
    def version(self) -> str:
        """Return the newest version."""
        return self.verdicts[0].release.version

    @property
    def newest_verdicts(self) -> Sequence[Verdict]:
        """Return the verdicts on the cells of the newest release."""
        return self.verdicts[: len(self.newest)]

    @property
    def older(self) -> Sequence[Verdict]:
        """Return the verdicts on the cells of the older releases."""
        return self.verdicts[len(self.newest) :]

    @property
    def checked_versions(self) -> CheckedVersions:
        """Return which versions were checked, and what the index listed."""
        checked = frozenset(verdict.release.version for verdict in self.verdicts)
        return CheckedVersions(newest=self.version, on_index=self.on_index, checked=checked)

    @property
    def as_of(self) -> int:
        """Return when the newest of the current records was observed, in epoch seconds."""
        return max(verdict.observed_at for verdict in self.verdicts)


def last_passing_versions(verdicts: Iterable[Verdict]) -> dict[str, str | None]:
    """Return the newest version that passes in each environment, None where none does; verdicts come newest first."""
    last_passing: dict[str, str | None] = {}
    for verdict in verdicts:
        passed = verdict.release.version if verdict.result is Result.PASS else None
        last_passing[verdict.environment] = last_passing.get(verdict.environment) or passed
    return last_passing
