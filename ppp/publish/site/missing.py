"""`/404.html`: what static hosts show at an address that has no file.

It is shown at any depth, so its links begin at the host's root: they have the path of the site's address, or `/` where
nobody has said the address.
"""

from typing import Final
from urllib.parse import urlsplit

from ppp.publish.site.templates import render_from

MISSING_PAGE: Final = "404.html"


def missing_page(base_url: str) -> tuple[str, bytes]:
    """Return the page; `base_url` is the site's address, which ends in a slash, or `""`."""
    return MISSING_PAGE, render_from(urlsplit(base_url).path or "/", MISSING_PAGE, {})
