"""What the page and the document of an episode show, made from a stored episode alone; all of it is pure.

Facts are numbered in the order in which they are stored, from 0. A fact's SQL stands by itself: its parameters are
written into it, so that it can be run on a ledger, on a snapshot and in the browser.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from ppp.episode_audio import EpisodeAudio
from ppp.ledger.episodes import StoredEpisode, StoredLine
from ppp.model.errors import LedgerDamagedError
from ppp.model.period import Period, PeriodKind
from ppp.publish import text

EPISODES_FOLDER: Final = "episodes"
#: The most characters of a sentence, and of a name, a title or a reason.
MAX_SENTENCE: Final = 400
MAX_WORDS: Final = 120
#: The slots of facts whose values are packages that have records, and so pages: a test compares them with the facts.
PACKAGE_SLOTS: Final = frozenset({"package", "packages"})
#: A normalized name, as in `record.schema.json`.
_PACKAGE_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: A parameter of our queries, or a string in which there is none.
_PARAMETER: Final = re.compile(r"'(?:[^']|'')*'|:(?P<name>[a-z_]+)")
#: What is part of a name, so that no name begins or ends beside it.
_BEFORE_NAME: Final = r"(?<![A-Za-z0-9._-])"
_AFTER_NAME: Final = r"(?![A-Za-z0-9_-]|\.[A-Za-z0-9])"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPiece:
    """A piece of a sentence; `package` is the one that it names, or None."""

    text: str
    package: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeLine:
    """A sentence: its presenter's name, its pieces, the numbers of its facts, the chapter that begins with it.

    `time` has its start and its end in milliseconds; None where there is no audio.
    """

    speaker: str
    text: str
    pieces: tuple[TextPiece, ...]
    facts: tuple[int, ...]
    chapter: str | None
    time: tuple[int, int] | None = None

    @property
    def clock(self) -> str:
        """Return its start as 1:05; empty without audio."""
        seconds = (self.time or (0, 0))[0] // 1000
        return f"{seconds // 60}:{seconds % 60:02}" if self.time else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeFact:
    """A fact: its slots as text, the query of its kind with the values of its parameters, and SQL that can be run."""

    id: str
    kind: str
    slots: tuple[tuple[str, str], ...]
    values: Mapping[str, Any]
    query: str
    params: tuple[tuple[str, str], ...]
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeContent:
    """An episode as it is shown; `presenters` are names with roles, `writer` and `fallback` as they are stored."""

    period: Period
    title: str
    seed: int
    writer: str
    fallback: str | None
    presenters: tuple[tuple[str, str], ...]
    lines: tuple[EpisodeLine, ...]
    facts: tuple[EpisodeFact, ...]
    audio: EpisodeAudio | None = None

    @property
    def page_path(self) -> str:
        """Return the path of its page within the site."""
        return episode_page_path(self.period.id)


def episode_folder(period: str) -> str:
    """Return the folder of an episode within the site."""
    return f"{EPISODES_FOLDER}/{period}"


def episode_page_path(period: str) -> str:
    """Return the path of the page of an episode within the site."""
    return f"{episode_folder(period)}/index.html"


def read_content(stored: StoredEpisode, audio: EpisodeAudio | None = None) -> EpisodeContent:
    """Return what is shown of a stored episode; raise `LedgerDamagedError` where it cannot be read.

    `audio` is that of its script: it has a time for each sentence.
    """
    facts = tuple(_read_facts(stored))
    numbers = {fact.id: number for number, fact in enumerate(facts)}
    names = {presenter.speaker: presenter.name for presenter in stored.cast}
    said = stored.script_lines
    times = audio.times if audio and len(audio.times) == len(said) else (None,) * len(said)
    return EpisodeContent(
        period=Period.parse(stored.period),
        title=shown_title(stored),
        seed=stored.seed,
        writer=_words(stored.writer),
        fallback=stored.fallback and _words(stored.fallback),
        presenters=tuple((_words(presenter.name), _words(presenter.role)) for presenter in stored.cast),
        lines=tuple(
            replace(_line(line, facts, numbers, names), time=time) for line, time in zip(said, times, strict=True)
        ),
        facts=facts,
        audio=audio,
    )


def shown_title(stored: StoredEpisode) -> str:
    """Return the title of an episode, or what one without a title is called."""
    named = f"The night of {stored.period}" if stored.kind is PeriodKind.NIGHT else f"The week {stored.period}"
    return _words(stored.title) or named


def _words(words: str) -> str:
    return text.single_line(words, MAX_WORDS)


def _line(
    line: StoredLine, facts: Sequence[EpisodeFact], numbers: Mapping[str, int], names: Mapping[str, str]
) -> EpisodeLine:
    stated = tuple(sorted(numbers[id_] for id_ in line.facts if id_ in numbers))
    packages = {name for number in stated for name in _packages_of(facts[number].values)}
    sentence = text.single_line(line.text, MAX_SENTENCE)
    return EpisodeLine(
        speaker=_words(names.get(line.speaker, line.speaker)),
        text=sentence,
        pieces=tuple(split_at_packages(sentence, packages)),
        facts=stated,
        chapter=line.chapter and _words(line.chapter),
    )


def split_at_packages(sentence: str, packages: set[str]) -> Iterator[TextPiece]:
    """Yield a sentence in pieces, so that the first place of each package's name is a piece of its own."""
    if not packages:
        yield TextPiece(text=sentence)
        return
    names = "|".join(re.escape(name) for name in sorted(packages, key=lambda name: (-len(name), name)))
    place, left = 0, set(packages)
    for found in re.finditer(f"{_BEFORE_NAME}(?:{names}){_AFTER_NAME}", sentence):
        if found[0] not in left:
            continue
        left.remove(found[0])
        if found.start() > place:
            yield TextPiece(text=sentence[place : found.start()])
        yield TextPiece(text=found[0], package=found[0])
        place = found.end()
    if place < len(sentence):
        yield TextPiece(text=sentence[place:])


def _read_facts(stored: StoredEpisode) -> Iterator[EpisodeFact]:
    try:
        for fact in json.loads(stored.facts):
            params = dict(fact["params"])
            yield EpisodeFact(
                id=str(fact["id"]),
                kind=str(fact["kind"]),
                slots=tuple((str(name), shown_value(value)) for name, value in fact["slots"].items()),
                values=fact["slots"],
                query=str(fact["sql"]),
                params=tuple((str(name), str(value)) for name, value in params.items()),
                sql=with_values(str(fact["sql"]), params),
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LedgerDamagedError(
            f"the episode of {stored.period} has no valid facts",
            hint=f"create it again with `ppp narrate --{stored.kind} {stored.period}`",
        ) from error


def shown_value(value: object) -> str:
    """Return the value of a slot as text: numbers with their digits in groups, lists with commas."""
    match value:
        case bool() | None:
            return str(value).lower()
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(map(shown_value, value))
    return str(value)


def with_values(sql: str, params: Mapping[str, object]) -> str:
    """Return a query of ours with the values of its parameters written into it; strings are quoted as SQL quotes them.

    Raises `KeyError` for a parameter without a value.
    """

    def literal(found: re.Match[str]) -> str:
        if found["name"] is None:
            return found[0]
        value = params[found["name"]]
        return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"

    return _PARAMETER.sub(literal, sql)


def _packages_of(slots: Mapping[str, object]) -> Iterator[str]:
    for name in sorted(PACKAGE_SLOTS & slots.keys()):
        value = slots[name]
        for package in value if isinstance(value, list) else [value]:
            if isinstance(package, str) and _PACKAGE_NAME.fullmatch(package):
                yield package
