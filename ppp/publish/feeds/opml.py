"""Lists of feeds in OPML 2.0, which feed readers import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from ppp.publish.feeds.entries import SITE_NAME

#: The file that lists feeds.
OPML_NAME: Final = "feeds.opml"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFeed:
    """A feed of a site: its title, its path, and that of its page."""

    title: str
    path: str
    home_path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedGroup:
    """Feeds that are listed together, as a folder of a feed reader."""

    title: str
    feeds: Sequence[ListedFeed]


def package_group(title: str, packages: Sequence[str]) -> FeedGroup:
    """Return the feeds of packages, in their order."""
    listed = (ListedFeed(title=p, path=f"p/{p}/atom.xml", home_path=f"p/{p}/index.html") for p in packages)
    return FeedGroup(title=title, feeds=[*listed])


def opml(title: str, groups: Sequence[FeedGroup], base_url: str) -> bytes:
    """Return groups of feeds as OPML, without those that are empty; `base_url` is the site's, ending in a slash.

    It has no dates, so it changes only with the feeds that it lists.
    """
    root = ET.Element("opml", {"version": "2.0"})
    head = ET.SubElement(root, "head")
    ET.SubElement(head, "title").text = title
    ET.SubElement(head, "docs").text = "http://opml.org/spec2.opml"
    body = ET.SubElement(root, "body")
    for group in groups:
        if not group.feeds:
            continue
        folder = ET.SubElement(body, "outline", {"text": group.title, "title": group.title})
        for feed in group.feeds:
            named = {"text": feed.title, "title": f"{SITE_NAME}: {feed.title}"}
            # OPML calls feeds of every format by this type.
            links = {"type": "rss", "xmlUrl": f"{base_url}{feed.path}", "htmlUrl": f"{base_url}{feed.home_path}"}
            ET.SubElement(folder, "outline", named | links)
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
