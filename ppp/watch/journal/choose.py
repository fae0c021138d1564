"""The ways to follow an index that the settings allow: the changelog, the simple index, the feed as the last resort."""

from ppp.config import Config, JournalMode
from ppp.watch.feeds import HttpGetter
from ppp.watch.journal.changelog import Changelog
from ppp.watch.journal.feed import ReleaseFeedJournal
from ppp.watch.journal.index import ProjectIndex
from ppp.watch.journal.port import Journal


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
