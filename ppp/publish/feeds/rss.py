"""RSS 2.0 feeds."""

import html
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

from ppp.publish import text
from ppp.publish.feeds.entries import FeedDocument


def rss(feed: FeedDocument, *, path: str, base_url: str) -> bytes:
    """Return a feed as RSS; `base_url` is the site's URL, ending in a slash, and `path` the feed's path below it."""
    root = ET.Element("rss", {"version": "2.0", "xmlns:atom": "http://www.w3.org/2005/Atom"})
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", urljoin(base_url, feed.home_path))
    _add(channel, "description", feed.description)
    _add(channel, "language", "en")
    ET.SubElement(channel, "atom:link", {"href": urljoin(base_url, path), "rel": "self", "type": "application/rss+xml"})
    if feed.entries:
        _add(channel, "lastBuildDate", text.rfc2822(feed.updated))
    for entry in feed.entries:
        element = ET.SubElement(channel, "item")
        _add(element, "title", entry.title)
        _add(element, "link", urljoin(base_url, entry.path))
        # Readers interpret a description as HTML: text is escaped for HTML here, and once more for XML by ElementTree.
        _add(element, "description", "<br>\n".join(html.escape(line) for line in entry.lines))
        _add(element, "guid", entry.id).set("isPermaLink", "false")
        _add(element, "pubDate", text.rfc2822(entry.updated))
    ET.indent(root, " ")
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add(parent: ET.Element, name: str, value: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = value
    return element
