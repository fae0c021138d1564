"""The podcast holds to each rule of players and directories: exact enclosures, lasting ids, absolute addresses."""

import json
import re
from email.utils import parsedate_to_datetime
from pathlib import Path
from uuid import UUID, uuid5
from xml.etree import ElementTree as ET

import feedparser
import pytest
from episode_sounds import store_made_up_audio
from told_nights import told_night

from ppp.ledger.episodes import store_episode
from ppp.ledger.store import Store
from ppp.publish.build import build
from ppp.publish.feeds.podcast import podcast_guid
from ppp.schemas import schema_errors

URL = "https://place.example/node/"
PERIODS = ("2024-04-23", "2024-04-24", "2024-W17", "2024-04-25")
ITUNES = "{http://www.itunes.com/dtds/podcast-1.0.dtd}"
PODCAST = "{https://podcastindex.org/namespace/1.0}"


def publish(store: Store, folder: Path, *, audible: tuple[str, ...] = PERIODS, base_url: str = URL) -> Path:
    for period in PERIODS:
        store_episode(store, told_night(period))
    for period in audible:
        store_made_up_audio(folder / "data", told_night(period))
    build(store.db, folder / "public", base_url=base_url, audio=folder / "data", cache_path=folder / "cache.db")
    return folder / "public"


def items(public: Path) -> list[ET.Element]:
    return ET.fromstring((public / "episodes/feed.xml").read_bytes()).findall("channel/item")  # noqa: S314 - our own


def attribute(item: ET.Element, name: str, key: str) -> str:
    (found,) = item.findall(name)
    return found.attrib[key]


def text(item: ET.Element, name: str) -> str:
    (found,) = item.findall(name)
    return found.text or ""


def test_the_channel_says_what_directories_ask_for(small: Store, tmp_path: Path) -> None:
    public = publish(small, tmp_path)
    root = ET.fromstring((public / "episodes/feed.xml").read_bytes())  # noqa: S314 - our own
    (channel,) = root
    assert root.attrib == {"version": "2.0"}
    for name in ("title", "description", "language", "link", f"{ITUNES}author"):
        assert text(channel, name)
    assert text(channel, f"{ITUNES}explicit") == "false"
    assert text(channel, f"{ITUNES}type") == "episodic"
    assert attribute(channel, f"{ITUNES}category", "text") == "Technology"
    assert attribute(channel, f"{ITUNES}image", "href").startswith(URL)
    own = attribute(channel, "{http://www.w3.org/2005/Atom}link", "href")
    assert own == f"{URL}episodes/feed.xml"
    expected = uuid5(UUID("ead4c236-bf58-58c6-a2c6-a6b28d128cb6"), "place.example/node/episodes/feed.xml")
    assert text(channel, f"{PODCAST}guid") == str(expected)
    assert not [element.tag for element in root.iter() if "season" in element.tag]


def test_the_guid_is_that_of_the_specification() -> None:
    # The example of the specification of podcast:guid.
    assert str(podcast_guid("https://mp3s.nashownotes.com/pc20rss.xml")) == "917393e3-1b1e-5cef-ace4-edaa54e1f810"


def test_each_enclosure_has_the_exact_length_of_its_file(small: Store, tmp_path: Path) -> None:
    public = publish(small, tmp_path)
    found = items(public)
    assert len(found) == len(PERIODS)
    urls = [attribute(item, "enclosure", "url") for item in found]
    assert len({*urls}) == len(urls)
    for item, url in zip(found, urls, strict=True):
        file = public / url.removeprefix(URL)
        assert int(attribute(item, "enclosure", "length")) == file.stat().st_size
        assert attribute(item, "enclosure", "type") == "audio/mpeg"
        assert re.fullmatch(r"[!-~]+", url)
        for name, type_ in (("transcript", "text/vtt"), ("chapters", "application/json+chapters")):
            assert (public / attribute(item, f"{PODCAST}{name}", "url").removeprefix(URL)).is_file()
            assert attribute(item, f"{PODCAST}{name}", "type") == type_
        assert (public / attribute(item, f"{ITUNES}image", "href").removeprefix(URL)).is_file()
        assert text(item, f"{ITUNES}duration") == "12"
        assert text(item, f"{ITUNES}explicit") == "false"


def test_dates_are_in_the_form_of_mail_and_ids_last(small: Store, tmp_path: Path) -> None:
    found = items(publish(small, tmp_path))
    dates = [text(item, "pubDate") for item in found]
    for date in dates:
        assert re.fullmatch(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} [A-Z][a-z]{2} 2024 23:00:00 GMT", date)
    parsed = [parsedate_to_datetime(date) for date in dates]
    assert parsed == sorted(parsed, reverse=True)
    ids = [text(item, "guid") for item in found]
    assert len({*ids}) == len(ids)
    assert {attribute(item, "guid", "isPermaLink") for item in found} == {"false"}
    again = told_night("2024-04-25", package="old")
    store_episode(small, again)
    store_made_up_audio(tmp_path / "data", again)
    build(small.db, tmp_path / "public", base_url=URL, audio=tmp_path / "data", cache_path=tmp_path / "cache.db")
    assert [text(item, "guid") for item in items(tmp_path / "public")] == ids


def test_a_feed_reader_reads_it(small: Store, tmp_path: Path) -> None:
    public = publish(small, tmp_path)
    parsed = feedparser.parse((public / "episodes/feed.xml").read_bytes())
    assert not parsed.bozo
    assert [entry.enclosures[0].type for entry in parsed.entries] == ["audio/mpeg"] * len(PERIODS)
    assert parsed.entries[0].itunes_duration == "12"
    feed = json.loads((public / "episodes/feed.json").read_text())
    for item in feed["items"]:
        for attachment in item["attachments"]:
            file = public / attachment["url"].removeprefix(URL)
            assert attachment["size_in_bytes"] == file.stat().st_size
            assert attachment["mime_type"] in {"audio/mpeg", "audio/ogg"}


@pytest.mark.parametrize(
    ("audible", "base_url", "words"),
    [(PERIODS, "", "There is no podcast: this site does not say its own address"), ((), URL, "They are text alone")],
)
def test_without_an_address_or_audio_there_is_none_and_the_archive_says_so(
    small: Store, tmp_path: Path, audible: tuple[str, ...], base_url: str, words: str
) -> None:
    public = publish(small, tmp_path, audible=audible, base_url=base_url)
    assert not (public / "episodes/feed.xml").exists()
    assert words in (public / "episodes/index.html").read_text()
    assert "attachments" not in (public / "episodes/feed.json").read_text()


def test_text_stays_when_audio_goes_and_a_podcast_with_it(small: Store, tmp_path: Path) -> None:
    public = publish(small, tmp_path, audible=("2024-04-24",))
    page = public / "episodes/2024-04-24/index.html"
    document = json.loads((page.parent / "episode.json").read_text())
    assert not schema_errors("site/schemas/episode.schema.json", document)
    assert [line["time"] for line in document["script"]] == [[2000 * n, 2000 * n + 1500] for n in range(1, 5)]
    assert '<source src="episode.mp3" type="audio/mpeg">' in page.read_text()
    assert '<p id="s2" data-start="4000"><span class="at">0:04</span>' in page.read_text()
    build(small.db, public, base_url=URL, cache_path=tmp_path / "cache.db")
    assert "<audio" not in page.read_text()
    assert not (public / "episodes/feed.xml").exists()
    assert [line["time"] for line in json.loads((page.parent / "episode.json").read_text())["script"]] == [None] * 4
