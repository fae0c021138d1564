"""A node's flakiness: how often re-checking a cell gave another result or cause than the first check.

Only verdicts are compared; an `ERROR` is an infrastructure error by definition.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ppp.model.canonical import sha256_hex
from ppp.model.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Flakiness:
    """How many cells were checked twice, and how many changed their result or cause, counted by `before → after`."""

    pairs: int = 0
    results: Mapping[str, int] = field(default_factory=dict)
    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def disagreements(self) -> int:
        """Return the number of pairs whose results differ, or whose causes differ under the same result."""
        return sum(self.results.values()) + sum(self.causes.values())

    def to_json(self) -> dict[str, object]:
        """Return a JSON object with the counts."""
        return {
            "pairs": self.pairs,
            "disagreements": self.disagreements,
            "results": dict(self.results),
            "causes": dict(self.causes),
        }

    def __str__(self) -> str:
        """Return the counts in one line."""
        kinds = ", ".join(f"{count} of {change}" for change, count in {**self.results, **self.causes}.items())
        return f"{self.pairs} cells checked twice, {self.disagreements} disagree" + (f": {kinds}" if kinds else "")


def compare_pairs(pairs: Iterable[tuple[Record, Record]]) -> Flakiness:
    """Compare the first with the second record of each pair."""
    compared = list(pairs)
    results = Counter(f"{a.result} → {b.result}" for a, b in compared if a.result is not b.result)
    causes = Counter(f"{a.cause} → {b.cause}" for a, b in compared if a.result is b.result and a.cause != b.cause)
    return Flakiness(pairs=len(compared), results=dict(sorted(results.items())), causes=dict(sorted(causes.items())))


def sample_records(records: Iterable[Record], n: int, *, seed: int) -> list[Record]:
    """Return `n` pseudo-random records; the same seed and records give the same choice."""
    return sorted(records, key=lambda record: (sha256_hex(f"{seed} {record.id}".encode()), record.id))[:n]
