"""Parsing a feed: which entries become releases, which are reported, and which feeds are rejected."""

from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppp.model.errors import FeedMalformedError
from ppp.model.release import Release
from ppp.watch.feeds import parse

PLACE = "https://index.example/rss/updates.xml"


def item(title: str, link: str) -> str:
    return f"<item><title>{escape(title)}</title><link>{escape(link)}</link></item>"


def link(name: str, version: str) -> str:
    return f"https://index.example/project/{name}/{version}/"


def feed(*items: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><rss version="2.0"><channel>{"".join(items)}</channel></rss>'.encode()
    )


GOOD = item("six 1.17.0", link("six", "1.17.0"))
SIX = Release(package="six", version="1.17.0")


def test_releases_are_oldest_first_without_duplicates() -> None:
    newer = item("six 1.18.0", link("six", "1.18.0"))
    read = parse(feed(newer, GOOD, newer, GOOD), place=PLACE)
    assert read.releases == (SIX, Release(package="six", version="1.18.0"))
    assert read.rejected == ()


def test_names_and_versions_are_normalized() -> None:
    document = feed(item("Zope.Interface 07.0RC1", link("zope-interface", "7.0rc1")))
    read = parse(document, place=PLACE)
    assert (read.releases, read.rejected) == ((Release(package="zope-interface", version="7.0rc1"),), ())


def test_an_escaped_link_is_read() -> None:
    document = feed(item("six 1!2.0", link("six", "1%212.0")))
    assert parse(document, place=PLACE).releases == (Release(package="six", version="1!2.0"),)


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(
    ("title", "address", "reason"),
    [
        ("six", link("six", "1.0"), "its title is not a name and a version"),
        ("six 1.0 beta", link("six", "1.0"), "its title is not a name and a version"),
        ("", "", "its title is not a name and a version"),
        ("six added to the index", link("six", "1.0"), "its title is not a name and a version"),
        ("six 1.0", "https://index.example/project/six/", "names no release"),
        ("six 1.0", "", "names no release"),
        ("six 1.0", "http://[", "names no release"),
        ("six 1.0", link("seven", "1.0"), "its title says six==1.0, its link seven==1.0"),
        ("six 1.0", link("six", "1.1"), "its title says six==1.0, its link six==1.1"),
        ("-six 1.0", link("six", "1.0"), "'-six' is not a package name"),
        ("six one", link("six", "one"), "'one' is not a version"),
        ("six 1.0", link("..%2F..%2Fetc", "1.0"), "is not a package name"),
        ("<script>alert(1)</script> 1.0", link("six", "1.0"), "is not a package name"),
        (f"{'a' * 300} 1.0", link("six", "1.0"), "is not a package name"),
        (f"six 1.{'0' * 300}", link("six", "1.0"), "is not a version"),
    ],
)
def test_an_entry_without_a_release_is_reported_and_not_fatal(title: str, address: str, reason: str) -> None:
    read = parse(feed(item(title, address), GOOD), place=PLACE)
    assert read.releases == (SIX,)
    (rejected,) = read.rejected
    assert reason in rejected
    assert len(rejected) < 500
    assert "\n" not in rejected


@pytest.mark.attack("inert-text")
def test_a_title_is_quoted_so_that_it_cannot_control_a_terminal() -> None:
    read = parse(feed(item("evil\u202e\u2066 name 1", ""), GOOD), place=PLACE)
    assert read.rejected == ("entry 'evil\\u202e\\u2066 name 1': its title is not a name and a version",)


def test_the_readable_part_of_a_broken_feed_is_used() -> None:
    read = parse(feed(GOOD).removesuffix(b"</channel></rss>"), place=PLACE)
    assert read.releases == (SIX,)
    (rejected,) = read.rejected
    assert rejected.startswith("the feed is not well-formed (")


def test_a_feed_of_projects_names_no_release() -> None:
    document = feed(item("six added to the index", "https://index.example/project/six/"))
    with pytest.raises(
        FeedMalformedError, match=r"no entry of .* names a release .1 entries, the last: entry 'six added"
    ):
        parse(document, place=PLACE)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"   ",
        b"/etc/hostname",
        b"https://index.example/rss/updates.xml",
        b"<html><body><p>Sign in to go on</p></body></html>",
        b'{"releases": []}',
        b"\x00" * 1000,
        feed(),
    ],
)
def test_an_invalid_feed_is_rejected(document: bytes) -> None:
    with pytest.raises(FeedMalformedError, match=f"{PLACE} is not a feed, or an empty one"):
        parse(document, place=PLACE)


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "cp037", "utf-7"])
def test_entities_are_rejected(encoding: str) -> None:
    declared = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r [<!ENTITY a "six"><!ENTITY b "&a;&a;&a;">]>'
    document = declared + feed(item("NAME 1.0", link("six", "1.0"))).decode().partition("?>")[2].replace("NAME", "&b;")
    with pytest.raises(FeedMalformedError) as caught:
        parse(document.encode(encoding).replace(b"<!", b"+ADwAIQ-" if encoding == "utf-7" else b"<!"), place=PLACE)
    assert "sixsix" not in caught.value.message


@pytest.mark.attack("bounded-input")
@pytest.mark.parametrize("trap", ["<title>&#99999999999999;</title>", "<title>&#x110000;", "<title>&#xD800;"])
def test_input_that_crashes_the_parser_is_rejected(trap: str) -> None:
    with pytest.raises(FeedMalformedError, match=f"{PLACE} is not a feed, or an empty one: ") as caught:
        parse(f"<channel><item>{trap}</item>".encode(), place=PLACE)
    assert "\n" not in str(caught.value)


@pytest.mark.attack("bounded-input")
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=60))), st.binary(max_size=200))
def test_any_input_is_parsed_or_rejected(entries: list[tuple[str, str]], noise: bytes) -> None:
    document = feed(*(item(title, address) for title, address in entries)).replace(
        b"<channel>", b"<channel>" + noise, 1
    )
    try:
        releases = parse(document, place=PLACE).releases
    except FeedMalformedError as error:
        assert PLACE in error.message  # noqa: PT017 - either end is right
    else:
        assert all(Release.parse(r.package, r.version) == r for r in releases)
