"""What is left of a feed for feedparser to read."""

import time
from typing import Final

import pytest

from ppp.model.release import Release
from ppp.watch.feed_filter import MAX_DEPTH, MAX_ENTRIES, MAX_TEXT, RefusedFeedError, filter_feed
from ppp.watch.feeds import parse

LINK: Final = "https://index.example/project/six/1.17.0/"
ATOM: Final = "http://www.w3.org/2005/Atom"
RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SIX: Final = Release(package="six", version="1.17.0")
ITEM: Final = f"<item><title>six 1.17.0</title><link>{LINK}</link></item>"


def kept(document: str) -> str:
    return filter_feed(document.encode()).document.decode()


@pytest.mark.parametrize(
    "document",
    [
        f"<rss version='2.0'><channel><title>News</title>{ITEM}</channel></rss>",
        f"<rss version='0.91'><channel>{ITEM}</channel></rss>",
        f"<rdf:RDF xmlns:rdf='{RDF}' xmlns='http://purl.org/rss/1.0/'>{ITEM}</rdf:RDF>",
        f"<feed xmlns='{ATOM}'><entry><title>six 1.17.0</title><link href='{LINK}'/></entry></feed>",
    ],
)
def test_feeds_of_all_forms_are_read(document: str) -> None:
    read = parse(document.encode(), place="https://index.example/feed")
    assert (read.releases, read.rejected) == ((SIX,), ())


@pytest.mark.parametrize(
    "part",
    [
        "<author>a@b.example</author>",
        "<description><title>x 1</title></description>",
        "<image><title>x 1</title><link>x</link></image>",
        "<category><item><title>x 1</title></item></category>",
        "text",
    ],
)
@pytest.mark.parametrize("where", ["in an entry", "beside it"])
def test_only_titles_and_links_of_entries_are_kept(part: str, where: str) -> None:
    item = ITEM.replace("<link>", f"{part}<link>") if where == "in an entry" else ITEM + part
    assert kept(f"<rss><channel>{item}</channel></rss>") == f"<rss><channel>{ITEM}</channel></rss>"


def test_an_entry_without_end_is_left_out() -> None:
    filtered = filter_feed(f"<rss><channel>{ITEM}<item><title>y 2</title><link>{LINK[:9]}".encode())
    assert filtered.document.decode() == f"<rss><channel>{ITEM}</channel></rss>"
    assert filtered.problem != ""


@pytest.mark.parametrize("text", ["&lt;b&gt; &amp;amp; &quot;", "<![CDATA[</title><x>]]>"])
def test_text_stays_text(text: str) -> None:
    assert "<b>" not in kept(f"<rss><channel><item><title>{text}</title></item></channel></rss>")
    assert kept(f"<rss><channel><item><title>{text}</title></item></channel></rss>").count("<x>") == 0


def test_long_texts_are_cut() -> None:
    title, link = "&amp;x" * 9000, "y" * 9000
    document = kept(f"<rss><channel><item><title>{title}</title><link href='{link}'/></item></channel></rss>")
    assert document.count("x") == MAX_TEXT // 2
    assert document.count("y") == MAX_TEXT


@pytest.mark.parametrize(
    "document",
    [
        f"<rss><channel>{'<item/>' * (MAX_ENTRIES + 1)}</channel></rss>",
        "<a>" * (MAX_DEPTH + 1),
        "<!DOCTYPE rss><rss/>",
    ],
)
def test_what_is_too_much_is_refused(document: str) -> None:
    with pytest.raises(RefusedFeedError):
        filter_feed(document.encode())


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("text", ["a ", "a@b(", "&lt;a ", "&amp;", "]]", "(", "1 ", "\t\n", "é", "http://"])
def test_entries_as_many_and_as_long_as_may_be_are_read_in_time(text: str) -> None:
    title = (text * MAX_TEXT)[:MAX_TEXT].rpartition("&")[0] or (text * MAX_TEXT)[:MAX_TEXT]
    item = f"<item><title>{title}</title><link>{title}</link></item>"
    document = f"<rss><channel>{item * (MAX_ENTRIES - 1)}{ITEM}</channel></rss>"
    started = time.process_time()
    assert parse(document.encode(), place="https://index.example/feed").releases == (SIX,)
    assert time.process_time() - started < 10
