"""What crawlers and models read first: `sitemap.xml`, `robots.txt`, `llms.txt`.

A sitemap names pages and no dates, so it changes only where a page comes or goes.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import urljoin
from xml.sax.saxutils import escape

from ppp.publish.listings.prefix_pages import split_into_pages
from ppp.publish.listings.store import ListingStore, ListingTree
from ppp.publish.site.directory import PACKAGES_LISTING
from ppp.resources import resource

#: The protocol allows 50,000 addresses a file; small ones are cheaper to write again.
MAX_ADDRESSES: Final = 5_000
_XMLNS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def sitemap_files(store: ListingStore, pages: Iterable[str], base_url: str) -> Iterator[tuple[str, bytes | None]]:
    """`/sitemap.xml`, `/sitemaps/pages.xml`, and of `/sitemaps/p-<prefix>.xml` those that changed."""
    yield "sitemaps/pages.xml", _urlset((urljoin(base_url, page) for page in pages), "url", "urlset")
    tree = store.name_tree("sitemaps", PACKAGES_LISTING)
    before = _shards(tree)
    for node in split_into_pages(tree, MAX_ADDRESSES):
        if node.entries:
            addresses = (f"{base_url}p/{card.package}/index.html" for card in node.entries)
            yield _path(node.prefix), _urlset(addresses, "url", "urlset")
    now = _shards(tree)
    yield from ((_path(prefix), None) for prefix in before if prefix not in now)
    paths = ["sitemaps/pages.xml", *map(_path, now)]
    yield "sitemap.xml", _urlset((urljoin(base_url, path) for path in paths), "sitemap", "sitemapindex")


def _shards(tree: ListingTree) -> list[str]:
    return [prefix for prefix, cards in tree.pages() if cards]


def _path(prefix: str) -> str:
    return f"sitemaps/p-{prefix or 'all'}.xml"


def _urlset(addresses: Iterable[str], element: str, root: str) -> bytes:
    rows = "".join(f"<{element}><loc>{escape(address)}</loc></{element}>\n" for address in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_XMLNS}">\n{rows}</{root}>\n'.encode()


def crawler_files(base_url: str) -> Iterator[tuple[str, bytes]]:
    """`/robots.txt` and `/llms.txt`."""
    yield "robots.txt", f"User-agent: *\nAllow: /\nSitemap: {urljoin(base_url, 'sitemap.xml')}\n".encode()
    yield "llms.txt", resource("site/pages/llms.md").read_bytes()
