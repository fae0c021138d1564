"""Credentials for an index: read apart from its URL, sent to its own origin alone, and shown by nothing.

Pure. `Credentials` has no text form, so that no error, log or dump of settings can contain what it holds.
"""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from html import escape
from typing import Final
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit

#: What takes the place of a secret in a text.
HIDDEN: Final = "[hidden]"
#: A shorter secret on its own is left in texts: it would be found in every second word.
MIN_SECRET_CHARS: Final = 6
_WORD: Final = re.compile(r"\S+")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> str | None:
    """Return the origin of a URL (`https://host`), or None if it is not one of HTTP. The default port is left out.

    Also None if clients disagree on its host: some end it at a backslash.
    """
    try:
        parts = urlsplit(url)
        host = _host(parts)
    except ValueError:
        return None
    if "\\" in parts.netloc or not url.isprintable():
        return None
    return f"{parts.scheme}://{host}" if parts.scheme in _DEFAULT_PORTS and host else None


def _host(parts: SplitResult) -> str:
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in {None, _DEFAULT_PORTS.get(parts.scheme)} else f"{host}:{parts.port}"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """A user name and a password (or a token in place of either) for one origin, `https://host`."""

    origin: str
    user: str
    password: str = field(default="")

    def __repr__(self) -> str:
        """Return a text without the secret."""
        return f"Credentials(origin={self.origin!r}, {HIDDEN})"

    def authorization(self, url: str) -> str | None:
        """Return the `Authorization` header of a request; None unless its URL is at the origin of the credentials."""
        return f"Basic {self._encoded()}" if origin_of(url) == self.origin else None

    def hide(self, text: str) -> str:
        """Return a text without the secret: as it is, and as URLs, headers, JSON and HTML write it."""
        for form in self._forms():
            text = text.replace(form, HIDDEN)
        return text

    def _encoded(self) -> str:
        return b64encode(f"{self.user}:{self.password}".encode()).decode()

    def _forms(self) -> list[str]:
        """Return every form in which the secret may be written, the longest first."""
        secret, pair = self.password or self.user, f"{self.user}:{self.password}"
        forms = {self._encoded(), self._encoded().rstrip("="), urlsafe_b64encode(pair.encode()).decode(), pair}
        if len(secret) >= MIN_SECRET_CHARS:
            quoted = quote(secret, safe="")
            forms |= {secret, quoted, quote(secret), quote_plus(secret), _lower_escapes(quoted), escape(secret)}
            forms |= {json.dumps(secret)[1:-1], repr(secret)[1:-1], b64encode(secret.encode()).decode().rstrip("=")}
        return sorted((form for form in forms if len(form) >= MIN_SECRET_CHARS), key=len, reverse=True)


def _lower_escapes(quoted: str) -> str:
    """Return percent-encoded text with its escapes in lower case."""
    first, *others = quoted.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])


def without_userinfo(text: str) -> str:
    """Return a text without what stands before the host of any URL in it, which may be a password.

    Libraries put the whole address of a proxy into an error's text if they cannot parse it.
    """
    return _WORD.sub(lambda word: _hide_in_word(word[0]), text)


def _hide_in_word(word: str) -> str:
    # Up to the last @: a password may contain an @ or a slash that should have been encoded. No expression of the whole
    # form takes a time that grows with the text only.
    start, end = word.find("//") + 2, word.rfind("@")
    return f"{word[:start]}{HIDDEN}{word[end:]}" if "//" in word and end > start else word


def split_credentials(url: str) -> tuple[str, Credentials | None]:
    """Return a URL without the user name and the password in it, and these as credentials for its origin.

    Raises `ValueError` if it is not a URL of HTTP.
    """
    parts = urlsplit(url)
    userinfo, _, host = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=host).geturl() if userinfo or host != parts.netloc else url
    origin = origin_of(bare)
    if origin is None:
        raise ValueError("not an http(s) address")
    user, _, password = userinfo.partition(":")
    if not (user or password):
        return bare, None
    return bare, Credentials(origin=origin, user=unquote(user), password=unquote(password))
