"""A node's own noise: how often its second look at a cell came to something else than its first.

Only verdicts are compared: an `ERROR` says of itself that it is ours.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlite_utils import Database

from ppp.ledger.queries import record_from_row
from ppp.ledger.staging import RecheckReason
from ppp.model.record import Record, sha256_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Flakiness:
    """How many cells were looked at twice; how many came to another result, or another cause, by what to what."""

    pairs: int = 0
    results: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def disagreements(self) -> int:
        """Give how many pairs came to another result, or to the same by another cause."""
        return sum(self.results.values()) + sum(self.causes.values())

    def to_json(self) -> dict[str, object]:
        """Give a JSON object of the same."""
        return {
            "pairs": self.pairs,
            "disagreements": self.disagreements,
            "results": dict(self.results),
            "causes": dict(self.causes),
        }

    def __str__(self) -> str:
        """Give it in one line."""
        kinds = ", ".join(f"{count} of {change}" for change, count in {**self.results, **self.causes}.items())
        return f"{self.pairs} cells looked at twice, {self.disagreements} disagree" + (f": {kinds}" if kinds else "")


def compare_pairs(pairs: Iterable[tuple[Record, Record]]) -> Flakiness:
    """Compare first looks with second ones."""
    held = list(pairs)
    results = Counter(f"{a.result} → {b.result}" for a, b in held if a.result is not b.result)
    causes = Counter(f"{a.cause} → {b.cause}" for a, b in held if a.result is b.result and a.cause != b.cause)
    return Flakiness(pairs=len(held), results=dict(sorted(results.items())), causes=dict(sorted(causes.items())))


def sample_records(records: Iterable[Record], n: int, *, seed: int) -> list[Record]:
    """Choose `n` records by chance; the same seed chooses the same among the same."""
    return sorted(records, key=lambda record: (sha256_hex(f"{seed} {record.id}".encode()), record.id))[:n]


def read_flakiness(db: Database, reason: RecheckReason) -> Flakiness:
    """Compare all pairs of one kind that the ledger holds: those by chance (`aa`) measure, confirmations guard."""
    ids = db.execute(
        "SELECT first, second FROM rechecks WHERE reason = ? ORDER BY first, second", (str(reason),)
    ).fetchall()
    return compare_pairs((_record(db, first), _record(db, second)) for first, second in ids)


def _record(db: Database, record: str) -> Record:
    (row,) = db.query("SELECT * FROM records WHERE record = ?", (record,))
    return record_from_row(row)
