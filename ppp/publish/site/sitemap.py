"""The entry points for crawlers and language models: `sitemap.xml`, `robots.txt`, `llms.txt`.

The sitemap has no dates, so it changes only if a page is added or removed.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from ppp.model.site_address import SiteAddresses
from ppp.publish.listings.prefix_pages import PrefixPage
from ppp.resources import resource

#: The most addresses in a file. The protocol allows 50,000, but small files are cheaper to rewrite.
MAX_ADDRESSES: Final = 5_000
_XMLNS: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"


def sitemap_files(
    shards: Sequence[str], changed: Iterable[PrefixPage], pages: Iterable[str], base_url: str
) -> Iterator[tuple[str, bytes | None]]:
    """Yield `/sitemap.xml`, `/sitemaps/pages.xml`, and each `/sitemaps/p-<prefix>.xml` that changed.

    Without the site's URL (`""`) there is none: a sitemap has absolute addresses only.
    `shards` are the prefixes for which the last build wrote a file, `changed` the pages of packages that changed since.
    """
    if not base_url:
        return
    yield "sitemaps/pages.xml", _urlset((f"{base_url}{page}" for page in pages), "url", "urlset")
    now = {*shards}
    for page in changed:
        now -= {page.prefix, *page.removed}
        if page.entries:
            now.add(page.prefix)
            addresses = (f"{base_url}p/{entry.package}/index.html" for entry in page.entries)
            yield _path(page.prefix), _urlset(addresses, "url", "urlset")
    yield from ((_path(prefix), None) for prefix in shards if prefix not in now)
    paths = ["sitemaps/pages.xml", *map(_path, sorted(now))]
    yield "sitemap.xml", _urlset((f"{base_url}{path}" for path in paths), "sitemap", "sitemapindex")


def _path(prefix: str) -> str:
    return f"sitemaps/p-{prefix or 'all'}.xml"


def _urlset(addresses: Iterable[str], element: str, root: str) -> bytes:
    rows = "".join(f"<{element}><loc>{escape(address)}</loc></{element}>\n" for address in addresses)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_XMLNS}">\n{rows}</{root}>\n'.encode()


def crawler_files(addresses: SiteAddresses) -> Iterator[tuple[str, bytes]]:
    """Yield `/robots.txt`, which names the sitemap if there is one, and `/llms.txt`, which names the repository."""
    sitemap = f"Sitemap: {addresses.base_url}sitemap.xml\n" if addresses.base_url else ""
    source = addresses.repository_url
    repository = f"- [The program's source, and where to report a wrong result]({source})\n" if source else ""
    yield "robots.txt", f"User-agent: *\nAllow: /\n{sitemap}".encode()
    yield "llms.txt", resource("site/pages/llms.md").read_bytes() + repository.encode()
