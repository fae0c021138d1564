"""JSON Feed 1.1, and the files of all three formats of a feed."""

from collections.abc import Iterator
from typing import Final

from ppp.model.canonical import Json
from ppp.publish import text
from ppp.publish.api.encoding import document_bytes
from ppp.publish.feeds.atom import atom
from ppp.publish.feeds.entries import SITE_NAME, FeedDocument, FeedEntry
from ppp.publish.feeds.rss import rss

VERSION: Final = "https://jsonfeed.org/version/1.1"


def json_feed(feed: FeedDocument, *, path: str, base_url: str) -> bytes:
    """Return a feed as JSON; `base_url` is the site's URL, ending in a slash, and `path` the feed's path below it.

    Without a URL (`""`), it has no links: the format has no relative ones.
    """
    return document_bytes(
        {
            "version": VERSION,
            "title": feed.title,
            "description": feed.description,
            **_links(base_url, home_page_url=feed.home_path),
            **({} if feed.subject else _links(base_url, feed_url=path)),
            "language": "en",
            "authors": [{"name": SITE_NAME}],
            "items": [
                {
                    "id": entry.id,
                    **_links(base_url, url=entry.path),
                    "title": entry.title,
                    "content_text": "\n".join(entry.lines),
                    "date_published": text.iso(entry.published),
                    "date_modified": text.iso(entry.updated),
                    **_attachments(entry, base_url),
                }
                for entry in feed.entries
            ],
        }
    )


def _links(base_url: str, **paths: str) -> dict[str, str]:
    return {name: f"{base_url}{path}" for name, path in paths.items()} if base_url else {}


def _attachments(entry: FeedEntry, base_url: str) -> dict[str, list[Json]]:
    if not (entry.attachments and base_url):
        return {}
    return {
        "attachments": [
            {
                "url": f"{base_url}{each.path}",
                "mime_type": each.media_type,
                "size_in_bytes": each.bytes,
                "duration_in_seconds": each.seconds,
            }
            for each in entry.attachments
        ]
    }


def feed_files(feed: FeedDocument, folder: str, base_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield `feed.xml` (RSS), `atom.xml` and `feed.json` in a folder of the site, which is `""` or ends in a slash."""
    for name, write in (("feed.xml", rss), ("atom.xml", atom), ("feed.json", json_feed)):
        path = f"{folder}{name}"
        yield path, write(feed, path=path, base_url=base_url)
