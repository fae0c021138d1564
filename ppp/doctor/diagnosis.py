"""What a check comes to: a state, what was found with its values, and for what is not well, what to do next."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a part of the machine is; a note is nothing wrong, but something to know."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line of a doctor's account: what was looked at, how it is, what was found, what to do (empty for nothing)."""

    subject: str
    state: State
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Give the JSON object that a program reads."""
        return {"check": self.subject, "state": str(self.state), "found": self.found, "remedy": self.remedy or None}


def broken_subjects(diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Give the subjects that are broken, each once, in their order."""
    return list(dict.fromkeys(d.subject for d in diagnoses if d.state is State.BROKEN))


def parenthesized(detail: str) -> str:
    """Give a detail in brackets, or nothing."""
    return f" ({detail})" if detail else ""


def format_size(number: int) -> str:
    """Give bytes as a person reads them, in KiB, MiB or GiB."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number / 1024:.0f} KiB"
