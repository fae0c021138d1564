"""Write a script: what the presenters say, each fact once, in its licensed wordings, with licensed links in between.

A script is made step by step: a step is a fact, with or without a link before it. At each step a writer chooses among
`Progress.options`: of equal stories any may be next, each in any wording that was not used yet. It chooses nothing
else. The seeded writer needs no model, and writes the same text for the same facts and seed on any machine.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeVar

from ppp.narrate.director import Story
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact
from ppp.narrate.queries.query import Chapter, FactKind
from ppp.narrate.slots import MAX_ENVIRONMENTS, SPOKEN_BLAMES, SlotType, SlotValue
from ppp.narrate.wordings import LINKS, PATTERNS, Link, LinkKind, Pattern, Speaker

SEEDED: Final = "seeded"
#: How often the seeded writer says something between two facts, where nothing must be said and something may.
LINK_RATE: Final = 0.45
#: After so many lines of one presenter the other one is next, if there is a wording for that.
MAX_TURN: Final = 3

_T = TypeVar("_T")
_PATTERNS: Final = {kind: [pattern for pattern in PATTERNS if pattern.kind is kind] for kind in FactKind}
_LINKS: Final = {
    of: tuple(link for link in LINKS if (link.kind, link.subject) == of) for of in {(x.kind, x.subject) for x in LINKS}
}
_BLANK: Final = re.compile(r"\{(?P<slot>[a-z_]+)(?::(?P<one>[^/}]+)/(?P<many>[^/}]+))?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLine:
    """One sentence of a script: its presenter, text and pattern, and the id of the fact that it states, if any."""

    speaker: Speaker
    text: str
    pattern: str
    fact: str | None
    chapter: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the JSON object that is stored in an episode; `chapter` is the title of one that begins here."""
        return {
            "speaker": str(self.speaker),
            "text": self.text,
            "pattern": self.pattern,
            "facts": [] if self.fact is None else [self.fact],
            "chapter": self.chapter,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An unverified script: its sentences, who wrote it, and the reason if the model did not."""

    texts: tuple[str, ...]
    writer: str
    fallback: str | None = None


class Writer(Protocol):
    """Chooses the wording of a script."""

    def write(self, stories: Sequence[Story], *, seed: int) -> Draft:
        """Return the sentences of a script that tells stories."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """What may be said next: a fact of a story in one of its wordings, after a link or without one."""

    story: Story
    fact: Fact
    pattern: Pattern
    link: Link | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentences, in order."""
        said = render(self.pattern, self.fact)
        return (self.link.text, said) if self.link else (said,)


class Progress:
    """A script so far, and what may be said next."""

    def __init__(self, stories: Sequence[Story]) -> None:
        """Begin a script of stories that are in order."""
        self.texts: list[str] = []
        self._left = list(stories)
        self._story: Story | None = None
        self._context: list[Fact] = []
        self._fact: Fact | None = None
        self._chapter: Chapter | None = None
        self._speakers: list[Speaker] = []
        self._used: set[Pattern | Link] = set()
        self._linked = False

    @property
    def is_done(self) -> bool:
        """Whether all facts are stated."""
        return not self._left and not self._context

    def options(self) -> list[Option]:
        """Return what may be said next, facts and wordings in order; each fact with one link, or with none."""
        return [option for story, fact in self._next() for option in self._options(story, fact)]

    def _next(self) -> list[tuple[Story, Fact]]:
        if self._story is not None and self._context:
            return [(self._story, self._context[0])]
        return [(story, story.headline) for story in self._left if story.place == self._left[0].place]

    def _options(self, story: Story, fact: Fact) -> Iterator[Option]:
        starts = story.headline.chapter is not self._chapter
        links = (
            [link for link in self._links(story, fact) if link not in self._used] if starts or not self._linked else []
        )
        for pattern in self._wordings(fact):
            said = [link for link in links if self._is_between(link, pattern)]
            yield from (Option(story=story, fact=fact, pattern=pattern, link=link) for link in said)
            # A chapter is announced, if there are words for that.
            if not (starts and said):
                yield Option(story=story, fact=fact, pattern=pattern, link=None)

    def _links(self, story: Story, fact: Fact) -> Sequence[Link]:
        """Return the links that may stand before a fact, whoever states it."""
        if story.headline.chapter is not self._chapter:
            return links_of(LinkKind.CHAPTER, story.headline.chapter.name.lower())
        before = self._fact
        links = links_of(LinkKind.ASK, fact.kind)
        if before is not None:
            links += links_of(LinkKind.REPLY, before.kind)
        if before is not None and before.package is not None and fact.package is not None:
            links += links_of(LinkKind.SAME if before.package == fact.package else LinkKind.OTHER)
        return links

    def _is_between(self, link: Link, pattern: Pattern) -> bool:
        """Return whether the right presenter says a link, where the other one states the next fact."""
        match link.kind:
            case LinkKind.CHAPTER:
                return True
            case LinkKind.REPLY:
                return link.speaker is not self._speakers[-1]
            case _:
                return link.speaker is not pattern.speaker

    def _wordings(self, fact: Fact) -> list[Pattern]:
        choices = patterns_of(fact)
        choices = [pattern for pattern in choices if pattern not in self._used] or choices
        turn = set(self._speakers[-MAX_TURN:]) if len(self._speakers) >= MAX_TURN else set()
        return [pattern for pattern in choices if turn != {pattern.speaker}] or choices

    def take(self, option: Option) -> None:
        """Add one of the options to the script."""
        if option.fact is option.story.headline:
            self._left.remove(option.story)
            self._story, self._context = option.story, list(option.story.context)
        else:
            del self._context[0]
        self._fact, self._chapter = option.fact, option.story.headline.chapter
        self._linked = option.link is not None
        if option.link:
            self._say(option.link, option.link.text)
        self._say(option.pattern, render(option.pattern, option.fact))

    def _say(self, said: Pattern | Link, text: str) -> None:
        self._used.add(said)
        self._speakers.append(said.speaker)
        self.texts.append(text)


def ends(kind: LinkKind, choose: Callable[[Sequence[Link]], Link]) -> tuple[str, ...]:
    """Return the sentences that open or close an episode, one of each presenter, as they are chosen."""
    order = (Speaker.RELAY, Speaker.STATIC) if kind is LinkKind.OPENING else (Speaker.STATIC, Speaker.RELAY)
    return tuple(choose([link for link in links_of(kind) if link.speaker is speaker]).text for speaker in order)


class SeededWriter:
    """Chooses by a seed."""

    def write(self, stories: Sequence[Story], *, seed: int) -> Draft:
        """Return the sentences of a script that tells stories."""
        random = Random(seed)  # noqa: S311 - must be repeatable, not secret
        progress = Progress(stories)
        opening = ends(LinkKind.OPENING, lambda links: pick(random, links))
        while not progress.is_done:
            progress.take(_choose(random, progress.options()))
        closing = ends(LinkKind.CLOSING, lambda links: pick(random, links))
        return Draft(texts=(*opening, *progress.texts, *closing), writer=SEEDED)


def _choose(random: Random, options: Sequence[Option]) -> Option:
    # The fact first, then whether something is said before it, so that many links do not make them frequent.
    fact = pick(random, list({option.fact.id: option.fact for option in options}.values()))
    options = [option for option in options if option.fact is fact]
    linked = [option for option in options if option.link]
    plain = [option for option in options if not option.link]
    if linked and (not plain or random.random() < LINK_RATE):
        return pick(random, linked)
    return pick(random, plain)


def pick(random: Random, choices: Sequence[_T]) -> _T:
    """Return one of the choices; only `random()` returns the same sequence in every version of Python."""
    return choices[int(random.random() * len(choices))]


def patterns_of(fact: Fact) -> list[Pattern]:
    """Return the licensed patterns of a fact."""
    return _PATTERNS[fact.kind]


def links_of(kind: LinkKind, subject: str = "") -> list[Link]:
    """Return the links of a kind and subject, in order."""
    return list(_LINKS.get((kind, subject), ()))


def renderings(fact: Fact) -> tuple[str, ...]:
    """Return every licensed sentence that states a fact."""
    return tuple(render(pattern, fact) for pattern in patterns_of(fact))


def render(pattern: Pattern, fact: Fact) -> str:
    """Fill a pattern's slots from a fact of its kind."""
    types = FACT_QUERIES[pattern.kind].slots

    def fill(blank: re.Match[str]) -> str:
        value = fact.slots[blank["slot"]]
        if blank["one"] is None:
            return _format(types[blank["slot"]], value)
        return blank["one"] if _is_one(value) else blank["many"]

    return _BLANK.sub(fill, pattern.text)


def _is_one(value: SlotValue) -> bool:
    # Words agree with a count, or with the length of a list.
    return value == 1 if isinstance(value, int) else len(value) == 1


def _format(type_: SlotType, value: SlotValue) -> str:
    match value:
        case int():
            return f"{value:,}"
        case str():
            return SPOKEN_BLAMES[value] if type_ is SlotType.BLAME else value
        case tuple():
            # Nobody can listen to a list of six environments; the fact has their names.
            many = type_ is SlotType.ENVIRONMENTS and len(value) > MAX_ENVIRONMENTS
            return f"{len(value)} environments" if many else _join(value)


def _join(items: Iterable[str]) -> str:
    *others, last = items
    return f"{', '.join(others)} and {last}" if others else last
