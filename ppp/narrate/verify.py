"""Verify a script without trusting the writer, the grammar, the director, or the code that fills the slots.

- Each sentence states one fact, exactly, in a licensed wording, or is a link that its neighbours license.
- Each fact is stated once, and nothing else is. No wording is used twice.
- News comes first, totals and fine print after it: chapters are in order, weights in a chapter never rise, and what a
  headline means follows that headline.
- With a ledger, the query of each fact is run again, and has to return the same values.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from sqlite_utils import Database

from ppp.model.errors import ScriptRejectedError
from ppp.model.period import Period
from ppp.model.release import Release
from ppp.narrate.fact_queries import FACT_QUERIES
from ppp.narrate.fact_values import Fact, weigh
from ppp.narrate.facts import period_parameters, used_parameters
from ppp.narrate.queries.query import Chapter, FactKind
from ppp.narrate.reading import Reading, UnlicensedError, known_words, read_sentence
from ppp.narrate.script import ScriptLine
from ppp.narrate.slots import SlotValue
from ppp.narrate.wordings import LINKS, Link, LinkKind, Speaker

_CHAPTERS: Final = list(Chapter)
_OPENERS: Final = (Speaker.RELAY, Speaker.STATIC)
_CLOSERS: Final = (Speaker.STATIC, Speaker.RELAY)
_ANNOUNCED: Final = frozenset(link.subject for link in LINKS if link.kind is LinkKind.CHAPTER)
#: How many facts may say what one headline means.
_MAX_CONTEXT: Final = 2


@dataclass(slots=True, kw_only=True)
class _State:
    """What was said so far: facts, wordings, the last fact and headline, and the link that waits for the next fact."""

    stated: list[Fact] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    speaker: Speaker | None = None
    headline: Fact | None = None
    context: list[Fact] = field(default_factory=list)
    link: Link | None = None
    lines: list[ScriptLine] = field(default_factory=list)

    @property
    def last(self) -> Fact | None:
        return self.stated[-1] if self.stated else None


def verify_script(
    texts: Sequence[str],
    facts: Sequence[Fact],
    period: Period,
    *,
    exhibits: Collection[Release] = (),
    db: Database | None = None,
) -> tuple[ScriptLine, ...]:
    """Return the lines of a script if it states each fact of a period once, in a licensed order, and nothing else.

    With a ledger, each fact's query must also return the same values again. Raises `ScriptRejectedError`, naming the
    line and the reason.
    """
    state = _State()
    known = known_words(facts)
    for place in range(len(texts) + 1):
        try:
            if place < len(texts):
                _line(state, place, texts, facts, known)
            else:
                _end(state, facts)
        except UnlicensedError as error:
            raise _rejected(f"line {place + 1}", period, error) from error
    for fact in facts:
        try:
            _check_query(fact, facts, period, exhibits)
            if db is not None:
                _check_ledger(fact, db)
        except UnlicensedError as error:
            raise _rejected(f"fact {fact.id}", period, error) from error
    return tuple(state.lines)


def _rejected(what: str, period: Period, error: UnlicensedError) -> ScriptRejectedError:
    return ScriptRejectedError(
        f"{what} of the script for {period.id} is rejected: {error}",
        hint="nothing was stored; narrate again, and report this as a bug if it happens again",
    )


def _line(state: _State, place: int, texts: Sequence[str], facts: Sequence[Fact], known: Collection[str | int]) -> None:
    text = texts[place]
    said = read_sentence(text, known)
    opens = place < len(_OPENERS)
    closes = place >= len(texts) - len(_CLOSERS)
    if isinstance(said, Link):
        pattern, fact, chapter = said.name, None, _read_link(state, said, place, len(texts))
    elif opens or closes:
        raise UnlicensedError("a presenter opens or closes the episode there, and states no fact")
    else:
        fact = _stated(state, said, facts)
        pattern, chapter = said.pattern.text, _read_fact(state, said, fact)
    if text in state.used or pattern in state.used:
        raise UnlicensedError("it is in the words of another line")
    state.used |= {text} if fact is None else {pattern}
    id_ = None if fact is None else fact.id
    state.lines.append(ScriptLine(speaker=said.speaker, text=text, pattern=pattern, fact=id_, chapter=chapter))
    state.speaker = said.speaker


def _read_link(state: _State, link: Link, place: int, count: int) -> str | None:
    """Return the title of the chapter that begins with a link, or None; raise `UnlicensedError` if it is misplaced."""
    if place < len(_OPENERS):
        if link.kind is not LinkKind.OPENING or link.speaker is not _OPENERS[place]:
            raise UnlicensedError(f"it does not open an episode, as {_OPENERS[place]} does there")
        return None if place else Chapter.OPENING
    closing = place - (count - len(_CLOSERS))
    if closing >= 0:
        if link.kind is not LinkKind.CLOSING or link.speaker is not _CLOSERS[closing]:
            raise UnlicensedError(f"it does not close an episode, as {_CLOSERS[closing]} does there")
        if state.link:
            raise UnlicensedError("no fact follows the line before it")
        return None if closing else "Closing"
    if link.kind in {LinkKind.OPENING, LinkKind.CLOSING} or state.link:
        raise UnlicensedError("nothing licenses it there")
    _check_what_precedes(state, link)
    state.link = link
    return Chapter[link.subject.upper()] if link.kind is LinkKind.CHAPTER else None


def _check_what_precedes(state: _State, link: Link) -> None:
    last = state.last
    if last is None:
        if link.kind in {LinkKind.REPLY, LinkKind.SAME, LinkKind.OTHER}:
            raise UnlicensedError("no fact stands before it")
        return
    if link.kind is LinkKind.REPLY and (last.kind != link.subject or link.speaker is state.speaker):
        raise UnlicensedError(f"it replies to no {link.subject} of the other presenter")
    if link.kind in {LinkKind.SAME, LinkKind.OTHER} and last.package is None:
        raise UnlicensedError("no package stands before it")


def _stated(state: _State, said: Reading, facts: Sequence[Fact]) -> Fact:
    for fact in facts:
        if said.states(fact):
            if fact in state.stated:
                raise UnlicensedError(f"it states {fact.id} again")
            return fact
    raise UnlicensedError(_mismatch(said, facts))


def _mismatch(said: Reading, facts: Sequence[Fact]) -> str:
    same = [fact for fact in facts if fact.kind is said.pattern.kind]
    if not same:
        return f"it states a {said.pattern.kind} that is not among the facts"
    # The fact that it is nearest to.
    due = max(same, key=lambda fact: sum(fact.slots[name] == value for name, value in said.slots.items()))
    wrong = ", ".join(
        f"{name} {value!r} for {due.slots[name]!r}" for name, value in said.slots.items() if value != due.slots[name]
    )
    return f"of {due.id}, it states {wrong}"


def _read_fact(state: _State, said: Reading, fact: Fact) -> str | None:
    """Return the title of the chapter that begins with a fact, or None; raise `UnlicensedError` if it is misplaced."""
    link, before, headline = state.link, state.last, state.headline
    starts = not fact.is_context and (headline is None or headline.chapter is not fact.chapter)
    if fact.is_context:
        if headline is None or not fact.is_about(headline) or len(state.context) >= _MAX_CONTEXT:
            raise UnlicensedError(f"{fact.id} is told too early or too late: it says what its headline means")
        if any(other.weight < fact.weight for other in state.context):
            raise UnlicensedError(f"{fact.id} is told too late, after {state.context[-1].id}")
        state.context.append(fact)
    else:
        if headline is not None and not _may_follow(fact, headline):
            raise UnlicensedError(f"{fact.id} is told too late, after {headline.id}")
        state.headline, state.context = fact, []
    announced = fact.chapter.name.lower() in _ANNOUNCED
    if starts and announced and (link is None or link.kind is not LinkKind.CHAPTER):
        raise UnlicensedError(f"nobody announces {fact.chapter}")
    if link is not None:
        _check_what_follows(link, said, before, fact, starts=starts)
    state.link = None
    state.stated.append(fact)
    return str(fact.chapter) if starts and not announced and fact.chapter is not Chapter.OPENING else None


def _may_follow(fact: Fact, headline: Fact) -> bool:
    place, earlier = _CHAPTERS.index(fact.chapter), _CHAPTERS.index(headline.chapter)
    return place > earlier or (place == earlier and fact.weight <= headline.weight)


def _check_what_follows(link: Link, said: Reading, before: Fact | None, fact: Fact, *, starts: bool) -> None:
    fits = {
        LinkKind.CHAPTER: starts and link.subject == fact.chapter.name.lower(),
        LinkKind.ASK: link.subject == fact.kind and link.speaker is not said.speaker,
        LinkKind.REPLY: not starts,
        LinkKind.SAME: before is not None and before.package == fact.package and link.speaker is not said.speaker,
        LinkKind.OTHER: before is not None
        and fact.package not in {None, before.package}
        and link.speaker is not said.speaker,
    }
    if not fits[link.kind]:
        raise UnlicensedError(f"it does not follow from {link.text!r}")


def _end(state: _State, facts: Sequence[Fact]) -> None:
    missing = [fact.id for fact in facts if fact not in state.stated]
    if missing:
        raise UnlicensedError(f"it is missing, and {missing[0]} is not stated")
    if [line.pattern for line in state.lines[-2:]] != [f"link:{LinkKind.CLOSING}"] * 2:
        raise UnlicensedError("it is missing, and nobody closes the episode")


def _check_query(fact: Fact, facts: Sequence[Fact], period: Period, exhibits: Collection[Release]) -> None:
    query = FACT_QUERIES[fact.kind]
    params: dict[str, SlotValue] = {**period_parameters(period, exhibits), **{n: fact.slots[n] for n in query.key}}
    if fact.kind is FactKind.LEFT_OUT:
        params["told"] = sum(FACT_QUERIES[other.kind].is_headline for other in facts)
    expected = {name: value for name, value in params.items() if name in used_parameters(fact.sql, fact.params)}
    missing = set(used_parameters(query.fact_sql, dict.fromkeys(params, 0))) - set(fact.params)
    if missing or fact.sql != query.fact_sql or fact.params != expected or fact.weight != weigh(query, fact.slots):
        raise UnlicensedError("its SQL, parameters or weight are not those of its kind")


def _check_ledger(fact: Fact, db: Database) -> None:
    rows = list(islice(db.query(fact.sql, dict(fact.params)), 2))
    if len(rows) != 1:
        raise UnlicensedError(f"the ledger returns it {len(rows)} times instead of once")
    for name, value in fact.slots.items():
        raw = rows[0][name]
        actual = sorted(json.loads(raw)) if isinstance(value, tuple) else raw
        if actual != (sorted(value) if isinstance(value, tuple) else value):
            raise UnlicensedError(f"in the ledger, its {name} is {actual!r}, not {value!r}")
