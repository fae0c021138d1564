"""Which way serves: the changelog; the simple index where that is refused; the feed as the last resort.

A way is refused if it cannot be reached, or its answer is none of a journal: then the next one is tried, and the reason
is kept. An index that asks to be asked later refuses nothing: another way would only ask it more.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ppp.config import Config, JournalMode
from ppp.model.errors import JournalMalformedError, JournalUnreachableError
from ppp.watch.feeds import HttpGetter
from ppp.watch.journal.changelog import Changelog
from ppp.watch.journal.feed import ReleaseFeedJournal
from ppp.watch.journal.index import ProjectIndex
from ppp.watch.journal.port import NO_VALIDATORS, Journal, JournalKind, JournalPage, Validators


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A way that did not serve, and the error's message."""

    kind: JournalKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenJournal:
    """The way that serves, and why those before it do not.

    `last_serial` is the index's (None for a feed); `page` is the one after the serial that was asked for, None if none
    was asked for.
    """

    journal: Journal
    last_serial: int | None
    page: JournalPage | None
    refusals: tuple[Refusal, ...]


def configured_journals(config: Config) -> tuple[Journal, ...]:
    """Return the ways that the settings allow, from the complete one on; none if the journal is off."""
    agent = config.user_agent
    changelog = Changelog(url=config.journal_url, user_agent=agent, credentials=config.journal_credentials)
    index = ProjectIndex(url=config.index_url, user_agent=agent, credentials=config.index_credentials)
    feed = ReleaseFeedJournal(
        url=config.feed_url, user_agent=agent, getter=HttpGetter(credentials=config.feed_credentials)
    )
    ways: tuple[Journal, ...] = (*([changelog] if config.journal_url else []), index, feed)
    match config.journal:
        case JournalMode.AUTO:
            return ways
        case JournalMode.OFF:
            return ()
        case mode:
            return tuple(way for way in ways if way.kind.value == mode.value)


def choose_journal(
    journals: Iterable[Journal],
    *,
    after: int | None,
    validators: Mapping[JournalKind, Validators] | None = None,
) -> ChosenJournal:
    """Return the first way that serves, with its page after a serial; a feed's page is read in any case.

    Raise `JournalUnreachableError` if none serves, with all reasons, and `JournalThrottledError` if the index asks to
    be asked later.
    """
    refusals: list[Refusal] = []
    for journal in journals:
        known = (validators or {}).get(journal.kind, NO_VALIDATORS)
        try:
            last_serial = journal.last_serial()
            has_page = after is not None or last_serial is None
            page = journal.page_after(after or 0, validators=known) if has_page else None
        except (JournalUnreachableError, JournalMalformedError) as error:
            refusals.append(Refusal(kind=journal.kind, reason=error.message))
        else:
            return ChosenJournal(journal=journal, last_serial=last_serial, page=page, refusals=tuple(refusals))
    reasons = "; ".join(f"{refusal.kind}: {refusal.reason}" for refusal in refusals)
    raise JournalUnreachableError(
        f"no way to follow the index serves ({reasons or 'none is configured'})",
        hint="check the network, PPP_JOURNAL_URL, PPP_INDEX_URL, PPP_FEED_URL and PPP_JOURNAL",
    )
