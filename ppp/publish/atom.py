"""A feed as Atom (RFC 4287)."""

from xml.etree import ElementTree as ET

from ppp.publish import text
from ppp.publish.feeds import NAME, Feed, urn


def atom(feed: Feed, *, path: str, base_url: str) -> bytes:
    """Give the feed's bytes; `base_url` is where `current.json` lies and ends in a slash, `path` is its own there."""
    root = ET.Element("feed", {"xmlns": "http://www.w3.org/2005/Atom", "xml:lang": "en"})
    _add(root, "title", feed.title)
    if feed.description:
        _add(root, "subtitle", feed.description)
    # By its path alone: nodes that hold the same records publish the same feed, wherever they stand.
    _add(root, "id", urn(path))
    ET.SubElement(root, "link", {"rel": "self", "type": "application/atom+xml", "href": f"{base_url}{path}"})
    # Without a word of its own, a link is to the same as a page.
    ET.SubElement(root, "link", {"href": f"{base_url}{feed.home}"})
    _add(root, "updated", text.iso(feed.updated))
    _add(ET.SubElement(root, "author"), "name", NAME)
    for entry in feed.entries:
        element = ET.SubElement(root, "entry")
        _add(element, "title", entry.title)
        _add(element, "id", entry.id)
        ET.SubElement(element, "link", {"href": f"{base_url}{entry.path}"})
        if entry.published != entry.updated:
            _add(element, "published", text.iso(entry.published))
        _add(element, "updated", text.iso(entry.updated))
        # As text: no reader takes it for markup.
        _add(element, "content", "\n".join(entry.lines)).set("type", "text")
    for child in root:
        child.tail = "\n"
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add(parent: ET.Element, name: str, value: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = value
    return element
