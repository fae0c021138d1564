"""A feed as Atom (RFC 4287).

Written as text, as there is one for every package: by way of a tree it would take five times as long.
"""

from xml.sax.saxutils import escape

from ppp.publish import text
from ppp.publish.feeds.entries import SITE_NAME, FeedDocument, FeedEntry, urn


def atom(feed: FeedDocument, *, path: str, base_url: str) -> bytes:
    """Give the feed's bytes; `base_url` is where `current.json` lies and ends in a slash, `path` is its own there."""
    # By its path alone, the id: nodes that hold the same records publish the same feed, wherever they stand.
    # Without a word of its own, a link is to the same as a page.
    subtitle = f"<subtitle>{escape(feed.description)}</subtitle>\n" if feed.description else ""
    lines = (
        "<?xml version='1.0' encoding='utf-8'?>",
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en"><title>{escape(feed.title)}</title>',
        f"{subtitle}<id>{urn(path)}</id>",
        f'<link rel="self" type="application/atom+xml" href="{_quoted(base_url + path)}" />',
        f'<link href="{_quoted(base_url + feed.home_path)}" />',
        f"<updated>{text.iso(feed.updated)}</updated>",
        f"<author><name>{SITE_NAME}</name></author>",
        *(_entry(entry, base_url) for entry in feed.entries),
        "</feed>\n",
    )
    return "\n".join(lines).encode()


def _entry(entry: FeedEntry, base_url: str) -> str:
    published = "" if entry.published == entry.updated else f"<published>{text.iso(entry.published)}</published>"
    content = escape("\n".join(entry.lines))
    # As text, which is what content is unless it says so: no reader takes it for markup.
    return (
        f"<entry><title>{escape(entry.title)}</title><id>{entry.id}</id>"
        f'<link href="{_quoted(base_url + entry.path)}" />{published}<updated>{text.iso(entry.updated)}</updated>'
        f"<content>{content}</content></entry>"
    )


def _quoted(value: str) -> str:
    return escape(value, {'"': "&quot;"})
