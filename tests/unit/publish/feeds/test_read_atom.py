"""The Atom feed of a package is read as it was written; of anything else, nothing is used."""

import re
from xml.sax.saxutils import escape

import pytest

from ppp.ledger import published
from ppp.ledger.store import Store
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import FeedDocument, package_feed
from ppp.publish.feeds.read_atom import MAX_BYTES, MAX_LINE_CHARS, InvalidFeedError, read_atom
from ppp.publish.packages.read import read_packages

ENTRY = (
    "<entry><title>{title}</title><id>{id}</id><link href='{link}'/>"
    "<updated>{updated}</updated><content>{content}</content></entry>"
)
VALID = {
    "title": "six 1.0: PASS",
    "id": f"urn:sha256:{'0' * 64}",
    "link": "../index.html",
    "updated": "2024-04-25T00:00:00Z",
    "content": "py312-slim: PASS",
}


def feed_with(entry: str) -> bytes:
    return f"<feed xmlns='http://www.w3.org/2005/Atom'>{entry}</feed>".encode()


@pytest.mark.parametrize("base_url", ["", "https://node.example/"])
def test_what_was_written_is_read(small: Store, hostile: Store, base_url: str) -> None:
    for store in (small, hostile):
        environments = published.observed_environments(store.db)
        for history in read_packages(store.db, ["six", "needs-gcc", "slow", "hostile"], environments):
            feed: FeedDocument = package_feed(history.package, history.changes)
            data = atom(feed, path=f"p/{history.package}/atom.xml", base_url=base_url)
            assert read_atom(data, history.package) == feed.entries


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("text", ["\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe", "a\tb", "\x85", "x" * 100_000])
def test_text_is_printable_and_bounded(text: str) -> None:
    (entry,) = read_atom(feed_with(ENTRY.format_map(VALID | {"title": escape(text), "content": escape(text)})), "six")
    for shown in (entry.title, *entry.lines):
        assert shown.isprintable()
        assert len(shown) <= MAX_LINE_CHARS


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize("link", ["javascript:alert(1)", "https://evil.example/", "//evil.example", "../../../etc"])
def test_no_link_of_it_is_followed(link: str) -> None:
    (entry,) = read_atom(feed_with(ENTRY.format_map(VALID | {"link": link})), "six")
    assert entry.path == "p/six/index.html"


def test_more_entries_and_lines_than_a_package_has_are_left() -> None:
    one = ENTRY.format_map(VALID | {"content": "line\n" * 500})
    entries = read_atom(feed_with(one * 200), "six")
    assert len(entries) == 10
    assert len(entries[0].lines) == 100


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is not XML"),
        (b"\xff\xfe", "is not XML"),
        (b"<feed>", "is not XML"),
        (b"<rss/>", "is not an Atom feed"),
        (b"<feed/>", "is not an Atom feed"),
        (b"<!DOCTYPE feed [<!ENTITY a 'b'>]><feed>&a;</feed>", "has a declaration"),
        (b" " * (MAX_BYTES + 1), "is larger than"),
        (feed_with("<entry/>"), "no text in updated"),
        (feed_with(ENTRY.format_map(VALID | {"id": "https://node.example/"})), "is not the id"),
        (feed_with(ENTRY.format_map(VALID | {"id": f"urn:sha256:{'0' * 64}\n"})), "is not the id"),
        (feed_with(ENTRY.format_map(VALID | {"updated": "2024-02-31T00:00:00Z"})), "is not a time"),
        (feed_with(ENTRY.format_map(VALID | {"updated": "yesterday"})), "is not a time"),
        (
            feed_with(ENTRY.format_map(VALID | {"updated": "2024-04-25T00:00:0\N{ARABIC-INDIC DIGIT ZERO}Z"})),
            "is not a time",
        ),
        (feed_with(ENTRY.format_map(VALID | {"title": "<b>six</b>"})), "no text in title"),
    ],
)
def test_anything_else_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidFeedError, match=re.escape(why)) as caught:
        read_atom(data, "six")
    assert str(caught.value).isprintable()
