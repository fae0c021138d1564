"""Atom feeds (RFC 4287).

Written as text: there is one for each package, and building an XML tree would take five times as long.
"""

from xml.sax.saxutils import escape

from ppp.model.site_address import site_link
from ppp.publish import text
from ppp.publish.feeds.entries import SITE_NAME, FeedDocument, FeedEntry, urn


def atom(feed: FeedDocument, *, path: str, base_url: str) -> bytes:
    """Return a feed as Atom; `base_url` is the site's URL, ending in a slash, and `path` the feed's path below it.

    Without a URL (`""`), links are relative to the feed, and none leads to the feed itself.
    """
    # The id has no URL, so that nodes with the same records publish the same one.
    own = f'<link rel="self" type="application/atom+xml" href="{_quoted(base_url + path)}" />'
    subtitle = f"<subtitle>{escape(feed.description)}</subtitle>\n" if feed.description else ""
    lines = (
        "<?xml version='1.0' encoding='utf-8'?>",
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>{escape(feed.title)}</title>',
        f"{subtitle}<id>{urn(feed.subject or path)}</id>",
        *([own] if base_url and not feed.subject else ()),
        f'<link href="{_quoted(site_link(base_url, feed.home_path, at=path))}" />',
        f"<updated>{text.iso(feed.updated)}</updated>",
        f"<author><name>{SITE_NAME}</name></author>",
        *(_entry(entry, site_link(base_url, entry.path, at=path)) for entry in feed.entries),
        "</feed>\n",
    )
    return "\n".join(lines).encode()


def _entry(entry: FeedEntry, link: str) -> str:
    published = "" if entry.published == entry.updated else f"<published>{text.iso(entry.published)}</published>"
    content = escape("\n".join(entry.lines))
    # Content without a type is plain text, which readers do not interpret as markup.
    return (
        f"<entry><title>{escape(entry.title)}</title><id>{entry.id}</id>"
        f'<link href="{_quoted(link)}" />{published}<updated>{text.iso(entry.updated)}</updated>'
        f"<content>{content}</content></entry>"
    )


def _quoted(value: str) -> str:
    return escape(value, {'"': "&quot;"})
