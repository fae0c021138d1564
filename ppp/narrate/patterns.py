"""The licensed sentences, read once from `patterns.toml`: a fact can be stated in no other way."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ppp.narrate.fact_queries import FactKind


class Speaker(StrEnum):
    """The presenter of a line: `relay` reports what happened, `static` says what it means."""

    RELAY = "relay"
    STATIC = "static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One licensed wording of one kind of fact."""

    kind: FactKind
    speaker: Speaker
    text: str


def _load(path: Path) -> tuple[Pattern, ...]:
    return tuple(
        Pattern(kind=FactKind(kind), speaker=Speaker(speaker), text=text)
        for kind, wordings in tomllib.loads(path.read_text("utf-8")).items()
        for speaker, texts in wordings.items()
        for text in texts
    )


PATTERNS: Final = _load(Path(__file__).with_name("patterns.toml"))
