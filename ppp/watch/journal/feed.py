"""The release feed as a journal: a hint of what is new, and the last resort.

It has no serials and only the newest releases, with the times of each. So a page says how far back it reaches: what was
released between the newest entry of one page and the oldest of the next one is not known.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ppp.model.errors import (
    FeedMalformedError,
    FeedTooLargeError,
    FeedUnreachableError,
    JournalMalformedError,
    JournalThrottledError,
    JournalUnreachableError,
)
from ppp.model.printable import printable_reason
from ppp.watch.feeds import FeedLimits, FeedResponse, Getter, HttpGetter, NotModified, ReleaseEntry, fetch
from ppp.watch.journal.port import (
    NO_VALIDATORS,
    Action,
    JournalEvent,
    JournalKind,
    JournalPage,
    RejectedEvent,
    Validators,
)
from ppp.watch.journal.throttling import THROTTLING, Pace, limit_wait_s, retry_after_s

#: How far ahead of our clock the index's may be, in seconds; an entry of a later time counts as without one.
MAX_AHEAD_S: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFeedJournal:
    """The release feed at an address; a `Journal`. It is asked once, and never waited for."""

    url: str
    user_agent: str
    getter: Getter = field(default_factory=HttpGetter)
    limits: FeedLimits = field(default_factory=FeedLimits)
    wall_clock: Callable[[], float] = time.time

    @property
    def kind(self) -> JournalKind:
        """The last resort."""
        return JournalKind.FEED

    def last_serial(self) -> None:
        """Return None: a feed has no serials."""

    def page_after(self, serial: int, *, validators: Validators = NO_VALIDATORS) -> JournalPage:
        """See `Journal.page_after`: what the feed has now, oldest first, whatever the serial."""
        del serial
        now = int(self.wall_clock())
        try:
            feed = fetch(
                self.url,
                getter=_ThrottledGetter(getter=self.getter, now=now),
                user_agent=self.user_agent,
                etag=validators.etag,
                last_modified=validators.last_modified,
                limits=self.limits,
            )
        except FeedUnreachableError as error:
            raise JournalUnreachableError(error.message, hint=error.hint) from error
        except (FeedMalformedError, FeedTooLargeError) as error:
            raise JournalMalformedError(error.message, hint=error.hint) from error
        if isinstance(feed, NotModified):
            return JournalPage(validators=validators, unchanged=True)
        times = [at for at in feed.times if at <= now + MAX_AHEAD_S]
        return JournalPage(
            events=tuple(_event(entry, now) for entry in feed.entries),
            rejected=tuple(RejectedEvent(serial=None, reason=printable_reason(line)) for line in feed.rejected),
            oldest_at=min(times, default=None),
            newest_at=max(times, default=None),
            validators=Validators(etag=feed.etag, last_modified=feed.last_modified),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _ThrottledGetter:
    """Raises if the index asks to be asked later."""

    getter: Getter
    now: int

    def get(self, url: str, *, headers: Mapping[str, str], limits: FeedLimits) -> FeedResponse:
        response = self.getter.get(url, headers=headers, limits=limits)
        if response.status not in THROTTLING:
            return response
        asked_s = max(retry_after_s(response.headers.get("retry-after"), now=self.now), limit_wait_s(response.headers))
        wait_s = asked_s or Pace().longest_wait_s
        raise JournalThrottledError(
            f"the feed {url} is asked too often: it may be asked again in {wait_s:.0f} s",
            hint="the next run asks again",
            retry_after_s=wait_s,
        )


def _event(entry: ReleaseEntry, now: int) -> JournalEvent:
    return JournalEvent(
        serial=None,
        package=entry.release.package,
        version=entry.release.version,
        action=Action.NEW_RELEASE,
        at=now if entry.at is None or entry.at > now + MAX_AHEAD_S else entry.at,
    )
