"""A reporter that keeps what it is given; see `ppp.runner.context.Reporter`."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ppp.model.record import Record


@dataclass(slots=True)
class RecordingReporter:
    """Keeps everything; `messages` holds notes and warnings in their order, as lines."""

    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    jobs: list[tuple[str, ...]] = field(default_factory=list)
    ended: int = 0

    def note(self, text: str) -> None:
        """Keep a remark."""
        self.notes.append(text)
        self.messages.append(text)

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)
        self.messages.append(f"warning: {text}")

    def begin(self, total: int) -> None:
        """Keep how many cells there are."""
        self.totals.append(total)

    def running(self, jobs: Sequence[str]) -> None:
        """Keep what is running."""
        self.jobs.append(tuple(jobs))

    def checked(self, record: Record) -> None:
        """Keep a cell's record."""
        self.records.append(record)

    def end(self) -> None:
        """Count the ends."""
        self.ended += 1
