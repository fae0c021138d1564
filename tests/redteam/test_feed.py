"""A feed of releases that tries to keep a node busy, to fill its memory, or to make it read something else."""

import gzip
import time
from typing import Final

import pytest
from hostile_http import DRIPS, FLOODS, answer, endless_bomb, hostile_server, once

from ppp.model.errors import FeedMalformedError, FeedTooLargeError, FeedUnreachableError
from ppp.model.release import Release
from ppp.watch.feeds import FeedLimits, HttpGetter, ReleaseFeed, fetch, parse

HEAD: Final = b'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>'
GOOD: Final = b"<item><title>six 1.17.0</title><link>https://index.example/project/six/1.17.0/</link></item>"
TAIL: Final = b"</channel></rss>"
SIX: Final = Release(package="six", version="1.17.0")
SIZE: Final = 3_000_000
LIMIT_S: Final = 10
AGENT: Final = "the-pypi-place/tests"


def feed(part: bytes) -> bytes:
    """Return a feed with a part before its only good entry."""
    return HEAD + part + GOOD + TAIL


def entry(part: bytes) -> bytes:
    """Return a feed with an entry that has a part beside its title."""
    return feed(b"<item><title>x</title>" + part + b"</item>")


def times(part: bytes) -> bytes:
    """Return a part repeated up to the size of a feed."""
    return part * (SIZE // len(part))


HOSTILE: Final = {
    "entries": feed(times(b"<item/>")),
    "elements": feed(times(b"<a></a>")),
    "nested-elements": feed(times(b"<a>")),
    "nested-entries": feed(times(b"<item>")),
    "attributes": feed(b"<a " + b"".join(b"a%d='' " % n for n in range(200_000)) + b"/>"),
    "long-attribute": feed(b"<a b='" + times(b"x") + b"'/>"),
    "long-name": feed(b"<" + times(b"a") + b"/>"),
    "namespaces": feed(b"".join(b"<a xmlns:a%d='u%d'/>" % (n, n) for n in range(80_000))),
    "comments": feed(b"<!--" + times(b"x") + b"-->"),
    "comment-without-end": feed(times(b"<!-- ")),
    "quotes-without-end": feed(times(b"<a b='")),
    "angle-brackets": feed(times(b"<")),
    "character-data": feed(b"<![CDATA[" + times(b"]]") + b"]]>"),
    "instructions": feed(times(b"<?a b?>")),
    "author": entry(b"<author>" + times(b"a") + b"</author>"),
    "addresses": entry(b"<author>" + times(b"a@b(") + b"</author>"),
    "date": entry(b"<pubDate>" + times(b"1 ") + b"</pubDate>"),
    "keywords": entry(b"<category>" + times(b"a,") + b"</category>"),
    "description": entry(b"<description>" + times(b"&lt;a ") + b"</description>"),
    "ampersands": entry(b"<description>" + times(b"&amp;") + b"</description>"),
    "bare-ampersands": entry(b"<description>" + times(b"&") + b"</description>"),
    "title": feed(b"<item><title>" + times(b"a ") + b"</title></item>"),
    "title-without-blanks": feed(b"<item><title>six 1." + times(b"1.") + b"</title></item>"),
    "title-in-parts": feed(b"<item><title>" + times(b"a&amp;") + b"</title></item>"),
    "link": feed(b"<item><title>six 1</title><link>http://x" + times(b"/project/six") + b"</link></item>"),
    "blanks": times(b" ") + HEAD,
    "doctype": b"<!DOCTYPE x [" + times(b"<!ELEMENT a (b)>") + b"]>" + feed(b""),
    "nested-content-model": b"<!DOCTYPE x [<!ELEMENT a " + times(b"(") + b"b" + times(b")") + b">]>" + feed(b""),
    "entities": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>' + feed(b"&b;"),
    "external-entity": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + feed(b"&a;"),
    "external-doctype": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + feed(b""),
    "other-encoding": HEAD.replace(b"UTF-8", b"utf-16") + GOOD + TAIL,
}


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_feed_is_used_or_refused_in_time(name: str) -> None:
    started = time.process_time()
    try:
        read = parse(HOSTILE[name], place="https://index.example/feed")
    except FeedMalformedError as error:
        assert len(error.message) < 1000  # noqa: PT017 - either end is right
    else:
        assert set(read.releases) <= {SIX}
        assert all(len(line) < 1000 and line.isprintable() for line in read.rejected)
    assert time.process_time() - started < LIMIT_S


def ask(url: str, *, deadline_s: float = 0.5, max_bytes: int = FeedLimits().max_bytes) -> object:
    limits = FeedLimits(deadline_s=deadline_s, max_bytes=max_bytes)
    return fetch(url, getter=HttpGetter(), user_agent=AGENT, limits=limits)


@pytest.mark.attack("deadlines")
@pytest.mark.parametrize("name", DRIPS)
def test_a_feed_that_drips_ends_at_its_deadline(name: str) -> None:
    started = time.monotonic()
    with hostile_server(DRIPS[name]) as url:
        with pytest.raises(FeedUnreachableError):
            ask(url)
        assert time.monotonic() - started < LIMIT_S


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("name", FLOODS)
def test_a_feed_without_end_is_not_read_on(name: str) -> None:
    started = time.monotonic()
    with hostile_server(FLOODS[name]) as url:
        with pytest.raises((FeedUnreachableError, FeedTooLargeError)):
            ask(url, deadline_s=LIMIT_S, max_bytes=100_000)
        assert time.monotonic() - started < LIMIT_S


@pytest.mark.attack("bounded-input")
def test_a_small_feed_that_unpacks_to_a_gigabyte_is_not_read_on() -> None:
    page = answer(endless_bomb(bytes(1_000_000), 1000), "Content-Encoding: gzip")
    with hostile_server(once(page)) as url, pytest.raises(FeedTooLargeError, match="larger than 5,000,000 bytes"):
        ask(url, deadline_s=LIMIT_S)


def test_a_compressed_feed_is_read() -> None:
    page = answer(gzip.compress(feed(b"")), "Content-Encoding: gzip")
    with hostile_server(once(page)) as url:
        answered = ask(url, deadline_s=LIMIT_S)
    assert isinstance(answered, ReleaseFeed)
    assert answered.releases == (SIX,)
