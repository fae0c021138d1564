"""Feeds in three formats: they change only with results, keep their ids, and have the same content."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import feedparser
import pytest

from ppp.ledger import published
from ppp.ledger.published import verdict_changes
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import MAX_PACKAGE_ENTRIES, FeedDocument, group_changes, overall_feed, package_feed
from ppp.publish.feeds.jsonfeed import VERSION, feed_files, json_feed
from ppp.publish.feeds.rss import rss
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.publish.packages.read import read_packages

BASE_URL = "https://node.example/"
DAY = 1_714_003_200
ATOM = "{http://www.w3.org/2005/Atom}"
Writer = Callable[..., bytes]


def overall(store: Store) -> FeedDocument:
    return overall_feed(group_changes(verdict_changes(store.db)))


def feed_of(store: Store, *, base_url: str = BASE_URL, writer: Writer = rss) -> feedparser.FeedParserDict:
    parsed = feedparser.parse(writer(overall(store), path="feed.xml", base_url=base_url))
    assert not parsed.bozo, parsed.get("bozo_exception")
    return parsed


@pytest.mark.parametrize(("writer", "version"), [(rss, "rss20"), (atom, "atom10")])
def test_feedparser_reads_it_back(writer: Writer, version: str, small: Store) -> None:
    parsed = feed_of(small, base_url="https://node.example/ppp/", writer=writer)
    assert parsed.version == version
    assert parsed.feed.title == "The PyPI Place: changed results"
    titles = [entry.title for entry in parsed.entries]
    assert "six 1.17.0: 4 PASS" in titles
    assert "needs-gcc 1.1: 2 PASS, 2 FAIL" in titles
    six = next(entry for entry in parsed.entries if entry.title.startswith("six"))
    assert six.link == "https://node.example/ppp/p/six/index.html"
    assert (six.updated_parsed if writer is atom else six.published_parsed)[:5] == (2024, 4, 25, 0, 3)
    assert len({entry.id for entry in parsed.entries}) == len(parsed.entries)


def test_all_formats_have_the_same_entries(small: Store) -> None:
    feed = overall(small)
    read = json.loads(json_feed(feed, path="feed.json", base_url=BASE_URL))
    output = [(item["id"], item["title"]) for item in read["items"]]
    assert output
    for writer in (rss, atom):
        assert [(entry.id, entry.title) for entry in feed_of(small, writer=writer).entries] == output


def test_the_rules_of_atom(small: Store) -> None:
    root = ET.fromstring(atom(overall(small), path="atom.xml", base_url="https://node.example/"))  # noqa: S314 - our own
    assert root.tag == f"{ATOM}feed"
    for element in (root, *root.iterfind(f"{ATOM}entry")):
        assert len(element.findall(f"{ATOM}id")) == len(element.findall(f"{ATOM}title")) == 1
        (updated,) = element.iterfind(f"{ATOM}updated")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", updated.text or "")
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    (own,) = [link for link in root.iterfind(f"{ATOM}link") if link.get("rel") == "self"]
    assert own.get("href") == "https://node.example/atom.xml"
    dates = [element.text or "" for element in root.iterfind(f"{ATOM}entry/{ATOM}updated")]
    assert dates == sorted(dates, reverse=True)


def test_the_rules_of_json_feed(small: Store) -> None:
    read = json.loads(json_feed(overall(small), path="feed.json", base_url="https://node.example/"))
    assert read["version"] == VERSION
    assert read["feed_url"] == "https://node.example/feed.json"
    for item in read["items"]:
        assert isinstance(item["id"], str)
        assert item["content_text"]
        assert item["date_published"] <= item["date_modified"]


def test_an_infrastructure_error_is_no_change(small: Store) -> None:
    slow = next(entry for entry in feed_of(small).entries if entry.title.startswith("slow"))
    assert slow.title == "slow 0.1: py39-slim TIMEOUT"


def test_a_repeated_result_is_no_change(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    def spoken() -> dict[str, bytes]:
        build(store.db, tmp_path / "public")
        feeds = [*tmp_path.rglob("feed.*"), *tmp_path.rglob("atom.xml")]
        return {str(path): path.read_bytes() for path in feeds}

    store.add_record(record("six", result="FAIL", observed_at=DAY))
    before = spoken()
    store.add_record(record("six", result="FAIL", observed_at=DAY + 90_000))
    store.add_record(record("six", result="ERROR", observed_at=DAY + 95_000))
    assert spoken() == before
    assert len(before) == 3 + 3 * len(FindingKind) + 1 + 2
    store.add_record(record("six", observed_at=DAY + 99_000))
    assert spoken() != before


def test_a_change_shows_the_transition_and_keeps_older_entries(store: Store, record: Callable[..., Record]) -> None:
    store.add_record(record("six", observed_at=DAY))
    (before,) = feed_of(store).entries
    store.add_record(record("six", observed_at=DAY + 90_000, result="FAIL", cause="crash"))
    newest, older = feed_of(store).entries
    assert newest.title == "six 2.1.0: py312-slim PASS → FAIL"
    assert "during import (crash, blame: unknown)" in newest.summary
    assert dict(older) == dict(before)


def test_a_package_feed_equals_the_overall_feed(small: Store) -> None:
    entries = {entry.id: entry for entry in overall(small).entries}
    (gcc,) = read_packages(small.db, ["needs-gcc"], published.observed_environments(small.db))
    own = package_feed("needs-gcc", gcc.changes)
    assert own.entries
    for entry in own.entries:
        assert entries[entry.id] == entry


def test_a_package_feed_is_limited(store: Store, record: Callable[..., Record]) -> None:
    for place in range(MAX_PACKAGE_ENTRIES + 3):
        store.add_record(record("six", f"1.{place}", observed_at=DAY + 60 * place))
    (six,) = read_packages(store.db, ["six"], published.observed_environments(store.db))
    feed = package_feed("six", six.changes)
    assert [entry.title for entry in feed.entries][:2] == ["six 1.12: py312-slim PASS", "six 1.11: py312-slim PASS"]
    assert len(feed.entries) == MAX_PACKAGE_ENTRIES


def test_a_finding_feed_lists_new_cells_with_dates(store: Store, record: Callable[..., Record], tmp_path: Path) -> None:
    def entries() -> Sequence[feedparser.FeedParserDict]:
        build(store.db, tmp_path / "public", base_url="https://node.example/")
        parsed = feedparser.parse((tmp_path / "public" / "findings" / "newly-broken" / "atom.xml").read_bytes())
        assert not parsed.bozo
        return list(parsed.entries)

    store.add_record(record("six", "1.0", observed_at=DAY))
    store.add_record(record("six", "1.1", result="FAIL", cause="crash", observed_at=DAY + 60))
    (entry,) = entries()
    assert entry.title == "six 1.1: newly broken (py312-slim)"
    assert entry.link == "https://node.example/p/six/index.html"
    assert entry.updated == "2024-04-25T00:01:00Z"
    assert "py312-slim: PASS with 1.0 → FAIL during import (crash, blame: unknown)" in entry.content[0].value
    # Observed again, with another package added: the existing entry does not change.
    store.add_record(record("six", "1.1", result="FAIL", cause="crash", observed_at=DAY + 90_000))
    store.add_record(record("old", "1.0", observed_at=DAY))
    store.add_record(record("old", "1.1", result="FAIL", observed_at=DAY + 120))
    newer, same = entries()
    assert newer.title.startswith("old 1.1")
    assert dict(same) == dict(entry)


@pytest.mark.heavy
def test_the_newest_hundred_entries_with_complete_days(store: Store, record: Callable[..., Record]) -> None:
    for place in range(120):
        for environment in ("py39-slim", "py312-slim"):
            made = record(f"p{place}", "1.0", environment, observed_at=DAY + 60 * place + (environment == "py39-slim"))
            store.insert_record(made, None)
    # The hundredth has changes early and late on its day: both belong to one entry.
    store.insert_record(record("p119", "1.0", "py311-slim", observed_at=DAY), None)
    store.insert_record(record("yesterday", "1.0", observed_at=DAY - 5), None)
    store.db.conn.commit()
    items = group_changes(verdict_changes(store.db))
    assert len(items) == 100
    assert [str(item.release) for item in items[:2]] == ["p119==1.0", "p118==1.0"]
    assert len(items[0].changes) == 3
    assert [item.published for item in items] == sorted((item.published for item in items), reverse=True)


def test_an_empty_feed_is_valid(store: Store) -> None:
    written = dict(feed_files(overall(store), "", BASE_URL))
    for path in ("feed.xml", "atom.xml"):
        parsed = feedparser.parse(written[path])
        assert not parsed.bozo, path
        assert parsed.feed.title
        assert parsed.entries == []
    assert json.loads(written["feed.json"])["items"] == []


def test_hostile_text_stays_text(hostile: Store) -> None:
    written = dict(feed_files(overall(hostile), "", BASE_URL))
    assert len(written) == 3
    for path, data in written.items():
        assert all(c.isprintable() or c == "\n" for c in data.decode()), path
    (channel,) = ET.fromstring(written["feed.xml"])  # noqa: S314 - our own
    (description,) = (e.text or "" for e in channel.iterfind("./item/description"))
    # A reader decodes the XML and interprets the rest as HTML, in which the script is still escaped.
    assert "<script" not in description
    assert "&lt;script&gt;" in description
    (entry,) = feedparser.parse(written["atom.xml"]).entries
    # No reader interprets plain text as HTML.
    assert entry.content[0].type == "text/plain"
    (item,) = json.loads(written["feed.json"])["items"]
    assert "content_html" not in item
