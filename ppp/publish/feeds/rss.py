"""RSS 2.0 feeds."""

import html
from xml.etree import ElementTree as ET

from ppp.model.site_address import site_link
from ppp.publish import text
from ppp.publish.feeds.entries import FeedDocument


def rss(feed: FeedDocument, *, path: str, base_url: str) -> bytes:
    """Return a feed as RSS; `base_url` is the site's URL, ending in a slash, and `path` the feed's path below it.

    Without a URL (`""`), links are relative to the feed, and none leads to the feed itself.
    """
    root = ET.Element("rss", {"version": "2.0", "xmlns:atom": "http://www.w3.org/2005/Atom"})
    channel = ET.SubElement(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", site_link(base_url, feed.home_path, at=path))
    _add(channel, "description", feed.description)
    _add(channel, "language", "en")
    if base_url and not feed.subject:
        own = {"href": f"{base_url}{path}", "rel": "self", "type": "application/rss+xml"}
        ET.SubElement(channel, "atom:link", own)
    if feed.entries:
        _add(channel, "lastBuildDate", text.rfc2822(feed.updated))
    for entry in feed.entries:
        element = ET.SubElement(channel, "item")
        _add(element, "title", entry.title)
        _add(element, "link", site_link(base_url, entry.path, at=path))
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
