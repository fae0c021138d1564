"""`feed.xml`: it speaks when a verdict changes, and keeps its ids."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

import feedparser

from ppp.config import DEFAULT_BASE_URL
from ppp.ledger.published import verdict_changes
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.feeds import newest_items, rss

DAY = 1_714_003_200


def feed_of(store: Store, *, base_url: str = DEFAULT_BASE_URL) -> feedparser.FeedParserDict:
    parsed = feedparser.parse(rss(newest_items(verdict_changes(store.db)), as_of=DAY, base_url=base_url))
    assert not parsed.bozo, parsed.get("bozo_exception")
    return parsed


def test_feedparser_reads_it_back(small: Store) -> None:
    parsed = feed_of(small, base_url="https://node.example/ppp/")
    assert parsed.version == "rss20"
    assert parsed.feed.title == "The PyPI Place: verdicts that changed"
    titles = [entry.title for entry in parsed.entries]
    assert "six 1.17.0: 4 PASS" in titles
    assert "needs-gcc 1.1: 2 PASS, 2 FAIL" in titles
    six = next(entry for entry in parsed.entries if entry.title.startswith("six"))
    assert six.link == "https://node.example/ppp/p/six/index.html"
    assert six.published_parsed[:5] == (2024, 4, 25, 0, 3)
    assert len({entry.id for entry in parsed.entries}) == len(parsed.entries)


def test_an_error_of_ours_is_no_news(small: Store) -> None:
    slow = next(entry for entry in feed_of(small).entries if entry.title.startswith("slow"))
    assert slow.title == "slow 0.1: py39-slim TIMEOUT"


def test_the_same_verdict_again_is_no_news(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", observed_at=DAY))
    before = rss(newest_items(verdict_changes(store.db)), as_of=DAY, base_url=DEFAULT_BASE_URL)
    store.add_record(record("six", observed_at=DAY + 90_000))
    store.add_record(record("six", observed_at=DAY + 95_000, result="ERROR"))
    assert rss(newest_items(verdict_changes(store.db)), as_of=DAY, base_url=DEFAULT_BASE_URL) == before


def test_a_change_says_what_was_before_and_leaves_the_older_item_alone(
    store: Store, record: Callable[..., Record]
) -> None:
    store.add_record(record("six", observed_at=DAY))
    (before,) = feed_of(store).entries
    store.add_record(record("six", observed_at=DAY + 90_000, result="FAIL", cause="crash"))
    newest, older = feed_of(store).entries
    assert newest.title == "six 2.1.0: py312-slim PASS → FAIL"
    assert "at import (crash, blame: unknown)" in newest.summary
    assert dict(older) == dict(before)


def test_the_newest_hundred_each_with_its_whole_day(store: Store, record: Callable[..., Record]) -> None:
    for place in range(120):
        for environment in ("py39-slim", "py312-slim"):
            made = record(f"p{place}", "1.0", environment, observed_at=DAY + 60 * place + (environment == "py39-slim"))
            store.insert_record(made, None)
    # The hundredth is released early in its day and changed late: both belong to its one item.
    store.insert_record(record("p119", "1.0", "py311-slim", observed_at=DAY), None)
    store.insert_record(record("yesterday", "1.0", observed_at=DAY - 5), None)
    store.db.conn.commit()
    items = newest_items(verdict_changes(store.db))
    assert len(items) == 100
    assert [str(item.release) for item in items[:2]] == ["p119==1.0", "p118==1.0"]
    assert len(items[0].changes) == 3
    assert [item.published for item in items] == sorted((item.published for item in items), reverse=True)


def test_hostile_text_stays_text(hostile: Store) -> None:
    data = rss(newest_items(verdict_changes(hostile.db)), as_of=DAY, base_url=DEFAULT_BASE_URL)
    text = data.decode()
    assert all(c.isprintable() or c == "\n" for c in text)
    (channel,) = ET.fromstring(data)  # noqa: S314 - our own
    (description,) = (e.text or "" for e in channel.iterfind("./item/description"))
    # A reader decodes XML, then takes what is left for HTML: there the script is still escaped.
    assert "<script" not in description
    assert "&lt;script&gt;" in description
