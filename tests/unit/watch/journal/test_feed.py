"""The release feed as a journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest
from hostile_http import answer, hostile_server, once

from ppp.model.errors import (
    FeedTooLargeError,
    FeedUnreachableError,
    JournalMalformedError,
    JournalThrottledError,
    JournalUnreachableError,
)
from ppp.watch.feeds import FeedLimits, FeedResponse
from ppp.watch.journal.feed import ReleaseFeedJournal
from ppp.watch.journal.port import Action, Journal, JournalEvent, JournalKind, JournalPage, Validators

NOW = 1_714_003_200
URL = "https://index.example/rss/updates.xml"


def item(name: str, *parts: str) -> str:
    return (
        f"<item><title>{name} 1.0</title><link>https://index.example/project/{name}/1.0/</link>{''.join(parts)}</item>"
    )


def published(at: int) -> str:
    return f"<pubDate>{formatdate(at, usegmt=True)}</pubDate>"


def rss(*items: str) -> bytes:
    return f"<?xml version='1.0'?><rss version='2.0'><channel>{''.join(items)}</channel></rss>".encode()


@dataclass
class FeedAnswer:
    """Answers one request; raises if it is given an error."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: Exception | None = None
    sent: list[Mapping[str, str]] = field(default_factory=list)

    def get(self, url: str, *, headers: Mapping[str, str], limits: FeedLimits) -> FeedResponse:
        assert (url, limits) == (URL, FeedLimits())
        self.sent.append(headers)
        if self.error:
            raise self.error
        return FeedResponse(status=self.status, headers=self.headers, body=self.body)


def journal_of(given: FeedAnswer) -> ReleaseFeedJournal:
    return ReleaseFeedJournal(url=URL, user_agent="agent", getter=given, wall_clock=lambda: float(NOW))


def page_of(*items: str) -> JournalPage:
    return journal_of(FeedAnswer(rss(*items))).page_after(0)


def test_it_is_a_journal_without_serials() -> None:
    journal: Journal = journal_of(FeedAnswer())
    assert journal.kind is JournalKind.FEED
    assert journal.last_serial() is None


def test_a_page_has_times() -> None:
    page = page_of(
        item("b", published(NOW - 5), "<author>ann@maker.example</author>"),
        item("a", published(NOW - 60)),
    )
    assert page.events == (
        JournalEvent(serial=None, package="a", version="1.0", action=Action.NEW_RELEASE, at=NOW - 60),
        JournalEvent(serial=None, package="b", version="1.0", action=Action.NEW_RELEASE, at=NOW - 5),
    )
    assert (page.oldest_at, page.newest_at, page.last_serial, page.has_more) == (NOW - 60, NOW - 5, None, False)


def test_times_of_unusable_entries_count_too() -> None:
    page = page_of(item("b", published(NOW - 5)), f"<item><title>nothing</title>{published(NOW - 99)}</item>")
    assert (page.oldest_at, page.newest_at) == (NOW - 99, NOW - 5)
    assert [rejected.reason for rejected in page.rejected] == ["entry 'nothing': its title is not a name and a version"]


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "part",
    [
        "",
        "<pubDate></pubDate>",
        "<pubDate>yesterday</pubDate>",
        f"<pubDate>{'1 ' * 40_000}</pubDate>",
        "<pubDate>Mon, 99 Foo 9999999 99:99:99 +9999</pubDate>",
        published(NOW + 1_000_000),
        f"<category>{published(NOW - 5)}</category>",
    ],
)
def test_an_entry_without_a_usable_time_is_of_now(part: str) -> None:
    page = page_of(item("a", part))
    assert [event.at for event in page.events] == [NOW]
    assert (page.oldest_at, page.newest_at) == (None, None)


@pytest.mark.parametrize(
    ("parts", "at"),
    [
        ("<updated>2024-04-24T23:59:00Z</updated><author><name>Ann</name></author>", NOW - 60),
        ("<dc:date xmlns:dc='d'>2024-04-24T23:59:00+00:00</dc:date>", NOW - 60),
        (f"<author>{'a@b(' * 20_000}</author>", NOW),
    ],
)
def test_other_forms(parts: str, at: int) -> None:
    (event,) = page_of(item("a", parts)).events
    assert event.at == at


def test_validators_are_passed_on() -> None:
    given = FeedAnswer(rss(item("a")), headers={"etag": '"v2"', "last-modified": "yesterday"})
    page = journal_of(given).page_after(0, validators=Validators(etag='"v1"'))
    assert given.sent[0]["If-None-Match"] == '"v1"'
    assert page.validators == Validators(etag='"v2"', last_modified="yesterday")


def test_an_unchanged_feed() -> None:
    validators = Validators(etag='"v1"')
    page = journal_of(FeedAnswer(status=304)).page_after(0, validators=validators)
    assert page == JournalPage(validators=validators, unchanged=True)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (FeedAnswer(b"<html></html>"), JournalMalformedError),
        (FeedAnswer(rss()), JournalMalformedError),
        (FeedAnswer(error=FeedTooLargeError("the feed is larger than 5 bytes", hint="")), JournalMalformedError),
        (FeedAnswer(error=FeedUnreachableError("the feed cannot be reached", hint="")), JournalUnreachableError),
        (FeedAnswer(status=403), JournalUnreachableError),
    ],
)
def test_errors_are_those_of_the_journal(given: FeedAnswer, error: type[Exception]) -> None:
    with pytest.raises(error):
        journal_of(given).page_after(0)


@pytest.mark.parametrize(("headers", "wait_s"), [({"retry-after": "30"}, 30.0), ({}, 60.0)])
def test_throttling(headers: Mapping[str, str], wait_s: float) -> None:
    with pytest.raises(JournalThrottledError) as caught:
        journal_of(FeedAnswer(status=429, headers=headers)).page_after(0)
    assert caught.value.retry_after_s == wait_s


def test_over_real_http() -> None:
    with hostile_server(once(answer(rss(item("a", published(NOW))), 'ETag: "v1"'))) as url:
        page = ReleaseFeedJournal(url=url, user_agent="agent", wall_clock=lambda: float(NOW)).page_after(0)
    assert [event.package for event in page.events] == ["a"]
    assert page.validators.etag == '"v1"'
