"""The list of a site's feeds: each of them is there, and packages come by failures and by downloads."""

from pathlib import Path
from xml.etree import ElementTree as ET

import feedparser
from known_downloads import know_downloads
from small_sites import bound_with_room

from ppp.ledger.store import Store
from ppp.publish.build import build
from ppp.publish.feeds.opml import OPML_NAME, FeedGroup, ListedFeed, opml, package_group

SITE = "https://node.example/ppp/"


def listed(data: bytes) -> dict[str, list[str]]:
    root = ET.fromstring(data)  # noqa: S314 - our own
    assert (root.tag, root.get("version")) == ("opml", "2.0")
    assert root.findtext("head/title")
    folders = {folder.get("text") or "": folder for folder in root.iterfind("body/outline")}
    assert all(outline.get("type") == "rss" for folder in folders.values() for outline in folder)
    return {name: [outline.get("xmlUrl") or "" for outline in folder] for name, folder in folders.items()}


def test_every_listed_feed_is_there_and_is_one(small: Store, tmp_path: Path) -> None:
    know_downloads(small, "2026-10", {"six": 900, "needs-gcc": 1_000, "never-checked": 5_000})
    build(small.db, tmp_path / "public", base_url=SITE)
    folders = listed((tmp_path / "public" / OPML_NAME).read_bytes())
    for address in (address for folder in folders.values() for address in folder):
        parsed = feedparser.parse((tmp_path / "public" / address.removeprefix(SITE)).read_bytes())
        assert not parsed.bozo
        assert {"href": address, "rel": "self", "type": "application/atom+xml"} in parsed.feed.links
    assert f"{SITE}atom.xml" in folders["All packages"]
    assert folders["Packages that are downloaded most"] == [f"{SITE}p/{p}/atom.xml" for p in ("needs-gcc", "six")]
    failing = folders["Packages that fail most"]
    assert f"{SITE}p/needs-gcc/atom.xml" in failing
    assert f"{SITE}p/six/atom.xml" not in failing


def test_packages_without_pages_are_not_listed(small: Store, tmp_path: Path) -> None:
    know_downloads(small, "2026-10", {"six": 900, "needs-gcc": 1_000})
    result = build(small.db, tmp_path / "public", base_url=SITE, bound=bound_with_room(20))
    assert result.pages < result.all_packages
    listing = listed((tmp_path / "public" / OPML_NAME).read_bytes())
    named = [address for name, folder in listing.items() if name != "All packages" for address in folder]
    assert all((tmp_path / "public" / address.removeprefix(SITE)).is_file() for address in named)


def test_titles_are_text_and_empty_folders_are_left_out() -> None:
    odd = ListedFeed(title='<a> & "b"', path="atom.xml", home_path="index.html")
    data = opml("<title>", [FeedGroup(title="<odd>", feeds=[odd]), package_group("empty", [])], SITE)
    assert listed(data) == {"<odd>": [f"{SITE}atom.xml"]}
