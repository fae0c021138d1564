"""`/404.html`: what static hosts show at an address that has no file.

It is shown at any depth, so its links begin at the host's root: they have the path of the site's address. Where nobody
has said the address, they have `/`, and the site may be below that: then the page asks for its style and its scripts in
each folder above it, too, and the script, which knows where it was found, corrects the links.
"""

from typing import Final
from urllib.parse import urlsplit

from ppp.publish.site.templates import render_from

MISSING_PAGE: Final = "404.html"
#: How many folders an address within the site has at most, such as `p/six/breaks/1.17.0/`.
MAX_DEPTH: Final = 4


def missing_page(base_url: str) -> tuple[str, bytes]:
    """Return the page; `base_url` is the site's address, which ends in a slash, or `""`."""
    ancestors = [] if base_url else ["../" * depth for depth in range(MAX_DEPTH + 1)]
    return MISSING_PAGE, render_from(urlsplit(base_url).path or "/", MISSING_PAGE, {"ancestors": ancestors})
