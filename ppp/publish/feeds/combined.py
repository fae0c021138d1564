"""One feed for a list of packages, and the list of their own feeds, as files of somebody who follows these packages."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ppp.model.printable import first_of
from ppp.publish.feeds.entries import MAX_ENTRIES, SITE_NAME, FeedDocument, FeedEntry
from ppp.publish.feeds.jsonfeed import feed_files
from ppp.publish.feeds.opml import OPML_NAME, opml, package_group

#: How many packages a title names.
NAMED: Final = 5


def combined_feed(feeds: Mapping[str, Sequence[FeedEntry]]) -> FeedDocument:
    """Return one feed of the newest entries of packages' feeds, by package; each entry keeps its id.

    It is that of the same packages, whatever their order: its id depends on their names alone.
    """
    packages = sorted(feeds)
    entries = {entry.id: entry for package in packages for entry in feeds[package]}
    newest = sorted(entries.values(), key=lambda entry: (-entry.updated, entry.title, entry.id))[:MAX_ENTRIES]
    named = first_of(packages, NAMED)
    return FeedDocument(
        title=f"{SITE_NAME}: {named}",
        description=f"Changed results of {named}.",
        home_path="index.html",
        entries=newest,
        subject=f"packages:{' '.join(packages)}",
    )


def combined_files(feeds: Mapping[str, Sequence[FeedEntry]], base_url: str) -> Iterator[tuple[str, bytes]]:
    """Yield the combined feed in each format and the OPML; `base_url` is the site that has the packages' own feeds."""
    feed = combined_feed(feeds)
    yield from feed_files(feed, "", base_url)
    yield OPML_NAME, opml(feed.title, [package_group(SITE_NAME, sorted(feeds))], base_url)
