"""Credentials of the user's netrc file, for an index that asks for some."""

import netrc
from collections.abc import Mapping
from urllib.parse import urlsplit

from ppp.model.credentials import Credentials, origin_of


def netrc_credentials(url: str, environ: Mapping[str, str]) -> Credentials | None:
    """Return the credentials that the user's netrc file has for the host of a URL, if it names that host.

    The file's `default` entry is not used: it would be sent to every index. A file that cannot be read has no entries,
    as for other clients.
    """
    home, named = environ.get("HOME"), environ.get("NETRC")
    path = named or (f"{home}/.netrc" if home else None)
    origin, host = origin_of(url), urlsplit(url).hostname
    if path is None or origin is None or host is None:
        return None
    try:
        entry = netrc.netrc(path).hosts.get(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    user, _, password = entry or ("", "", "")
    return Credentials(origin=origin, user=user or "", password=password or "") if user or password else None
