"""The address of a published site, which ends in a slash; `""` where nobody has said it.

Without it, files link to each other by relative paths, and what needs an absolute address is left out.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from ppp.model.credentials import split_credentials

#: Addresses in sitemaps have at most 2,048 characters, and the longest path below a site about 250.
MAX_ADDRESS_CHARS: Final = 1000
#: What a URI may have outside its query (RFC 3986, 2), but for brackets, which would end a link in Markdown.
_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9._~:/@!$&'*+,;=%\[\]-]|%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteAddresses:
    """What pages name by an absolute address: the site itself, the repository of its program, its Datasette.

    Each ends in a slash, and is `""` where nobody has said it: no page then has a link there.
    """

    base_url: str = ""
    repository_url: str = ""
    datasette_url: str = ""


def read_site_address(text: str) -> str:
    """Return the address of a site, ending in a slash; raise `ValueError` that says why it cannot be one.

    It is published, so that it may have no credentials; the error's text has none.
    """
    try:
        url, credentials = split_credentials(text)
    except ValueError:
        raise ValueError("is not an http(s) address") from None
    secret = "would publish the user name and the password before its host" if credentials else None
    if mistake := secret or _mistake(url):
        raise ValueError(mistake)
    return url if url.endswith("/") else f"{url}/"


def _mistake(url: str) -> str | None:
    if len(url) > MAX_ADDRESS_CHARS:
        return f"has {len(url):,} characters, of {MAX_ADDRESS_CHARS:,} at most"
    if "?" in url or "#" in url:
        return "has a query or a fragment: paths could not be added to it"
    if found := _NOT_ALLOWED.search(url):
        return f"has {found[0]!r}, which has to be written as %XX in an address"
    path = urlsplit(url).path
    if not {".", ".."}.isdisjoint(path.split("/")):
        return "has . or .. in its path: name the folder itself"
    return None


def site_link(base_url: str, path: str, *, at: str) -> str:
    """Return the link to a path of the site from the file at another: absolute, or relative without an address."""
    return f"{base_url}{path}" if base_url else f"{'../' * at.count('/')}{path}"
