"""What crawlers and models read first: `sitemap.xml`, `robots.txt`, `llms.txt`.

A sitemap names pages and no dates, so it changes only where a page comes or goes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import urljoin
from xml.sax.saxutils import escape

from ppp.config import resource
from ppp.publish.prefixes import by_prefix

#: The protocol allows 50,000 addresses a file; small ones are cheaper to write again.
SHARD_LIMIT: Final = 5_000
_XMLNS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def sitemap_files(packages: Sequence[str], pages: Iterable[str], base_url: str) -> Iterator[tuple[str, bytes]]:
    """`/sitemap.xml`, `/sitemaps/pages.xml` and `/sitemaps/p-<prefix>.xml`; `packages` are sorted."""
    shards = ["sitemaps/pages.xml"]
    yield shards[0], _urlset((urljoin(base_url, page) for page in pages), "url", "urlset")
    for node in by_prefix([(name, name) for name in packages], lambda _: 1, SHARD_LIMIT):
        if node.items:
            shards.append(f"sitemaps/p-{node.prefix or 'all'}.xml")
            paths = (f"{base_url}p/{name}/index.html" for name in node.items)
            yield shards[-1], _urlset(paths, "url", "urlset")
    yield "sitemap.xml", _urlset((urljoin(base_url, shard) for shard in shards), "sitemap", "sitemapindex")


def _urlset(addresses: Iterable[str], element: str, root: str) -> bytes:
    rows = "".join(f"<{element}><loc>{escape(address)}</loc></{element}>\n" for address in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_XMLNS}">\n{rows}</{root}>\n'.encode()


def plain_files(base_url: str) -> Iterator[tuple[str, bytes]]:
    """`/robots.txt` and `/llms.txt`."""
    yield "robots.txt", f"User-agent: *\nAllow: /\nSitemap: {urljoin(base_url, 'sitemap.xml')}\n".encode()
    yield "llms.txt", resource("site/pages/llms.md").read_bytes()
