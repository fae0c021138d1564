"""The licensed sentences, read once from `patterns/*.toml`: nothing else can be said.

A pattern states a fact. A link states none: it is what the presenters say to each other, and what stands before or
after it licenses it. `patterns/links.toml` says how.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from ppp.narrate.queries.query import FactKind

_FOLDER: Final = Path(__file__).with_name("patterns")
_LINKS: Final = "links.toml"


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


class LinkKind(StrEnum):
    """What licenses a link.

    `opening` and `closing`: where the episode begins and ends, each presenter once. `chapter`: before the first fact of
    that chapter. `ask`: before a fact of that kind, which the other presenter states. `same` and `other`: between facts
    about the same package, or about two, of which the other presenter states the second. `reply`: after a fact of that
    kind, which the other presenter stated.
    """

    OPENING = "opening"
    CLOSING = "closing"
    CHAPTER = "chapter"
    ASK = "ask"
    SAME = "same"
    OTHER = "other"
    REPLY = "reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One licensed sentence that states no fact; `subject` is a chapter or a kind of facts, where its kind has one."""

    kind: LinkKind
    subject: str
    speaker: Speaker
    text: str

    @property
    def name(self) -> str:
        """What a script line has as its pattern."""
        return f"link:{self.kind}" + (f":{self.subject}" if self.subject else "")


def _tables(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from tomllib.loads(path.read_text("utf-8")).items()


def _sentences(table: Mapping[str, Any]) -> Iterator[tuple[Speaker, str]]:
    for speaker, texts in table.items():
        for text in texts:
            yield Speaker(speaker), text


def _load_patterns() -> Iterator[Pattern]:
    for path in sorted(_FOLDER.glob("*.toml")):
        if path.name != _LINKS:
            for kind, table in _tables(path):
                for speaker, text in _sentences(table):
                    yield Pattern(kind=FactKind(kind), speaker=speaker, text=text)


def _load_links() -> Iterator[Link]:
    for name, table in _tables(_FOLDER / _LINKS):
        kind = LinkKind(name)
        by_subject = table if kind in {LinkKind.CHAPTER, LinkKind.ASK, LinkKind.REPLY} else {"": table}
        for subject, spoken in by_subject.items():
            for speaker, text in _sentences(spoken):
                yield Link(kind=kind, subject=subject, speaker=speaker, text=text)


PATTERNS: Final = tuple(_load_patterns())
LINKS: Final = tuple(_load_links())
