"""A diagnosis: the result of one check, with what was found and, unless all is well, what to do next."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How well a part of the machine is; `NOTE` means that nothing is wrong, but that there is something to know."""

    OK = "ok"
    NOTE = "note"
    WARN = "warn"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One line of the report: what was checked, its state, what was found, and what to do (empty for nothing)."""

    subject: str
    state: State
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str | None]:
        """Return the JSON object that `ppp doctor --json` prints for this diagnosis."""
        return {"check": self.subject, "state": str(self.state), "found": self.found, "remedy": self.remedy or None}


def broken_subjects(diagnoses: Iterable[Diagnosis]) -> list[str]:
    """Return the subjects that are broken, each once, in the order of the diagnoses."""
    return list(dict.fromkeys(d.subject for d in diagnoses if d.state is State.BROKEN))


def parenthesized(detail: str) -> str:
    """Return a detail in parentheses with a space before it, or nothing for an empty one."""
    return f" ({detail})" if detail else ""


def format_size(number: int) -> str:
    """Return a number of bytes for a person to read, in KiB, MiB or GiB."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number / 1024:.0f} KiB"
