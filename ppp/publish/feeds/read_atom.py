"""Read the Atom feed of a package as `atom` writes it, from a node that may send anything.

Nothing of it is used as an address: what an entry leads to follows from the package's name.
"""

import re
from datetime import datetime
from itertools import islice
from typing import Final
from xml.etree import ElementTree as ET

from ppp.model.printable import printable_reason
from ppp.publish.feeds.entries import DETAIL_LIMIT, MAX_PACKAGE_ENTRIES, FeedEntry

#: Bytes of a package's feed: ten entries with a line for each of some environments stay far below.
MAX_BYTES: Final = 1_000_000
MAX_LINES: Final = 100
MAX_LINE_CHARS: Final = 2 * DETAIL_LIMIT + 200
_ATOM: Final = "{http://www.w3.org/2005/Atom}"
_ID: Final = re.compile(r"urn:sha256:[0-9a-f]{64}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class InvalidFeedError(ValueError):
    """It is not the feed of a package as `atom` writes it; the text says why."""


def read_atom(data: bytes, package: str) -> list[FeedEntry]:
    """Return the entries of a package's feed, at most ten; raise `InvalidFeedError`."""
    if len(data) > MAX_BYTES:
        raise InvalidFeedError(f"it is larger than {MAX_BYTES:,} bytes")
    # Neither a document type, which may define entities, nor comments: what `atom` writes has none.
    if b"<!" in data:
        raise InvalidFeedError("it has a declaration or a comment")
    try:
        root = ET.fromstring(data.decode("utf-8"))  # noqa: S314 - bounded, and without declarations
    except (ET.ParseError, ValueError) as error:
        raise InvalidFeedError(f"it is not XML: {printable_reason(str(error))}") from error
    if root.tag != f"{_ATOM}feed":
        raise InvalidFeedError("it is not an Atom feed")
    return [_entry(element, package) for element in islice(root.iterfind(f"{_ATOM}entry"), MAX_PACKAGE_ENTRIES)]


def _entry(element: ET.Element, package: str) -> FeedEntry:
    updated = _time(element, "updated")
    published = updated if element.find(f"{_ATOM}published") is None else _time(element, "published")
    lines = _text(element, "content").split("\n")[:MAX_LINES]
    id_ = _text(element, "id")
    if not _ID.fullmatch(id_):
        raise InvalidFeedError(f"{printable_reason(id_)!r} is not the id of an entry")
    return FeedEntry(
        id=id_,
        title=printable_reason(_text(element, "title"), MAX_LINE_CHARS),
        path=f"p/{package}/index.html",
        published=published,
        updated=updated,
        lines=tuple(printable_reason(line, MAX_LINE_CHARS) for line in lines),
    )


def _time(element: ET.Element, name: str) -> int:
    text = _text(element, name)
    try:
        # The form says what it is; whether there is such a moment, only the calendar does.
        moment = datetime.fromisoformat(text if _TIME.fullmatch(text) else "")
        return int(moment.timestamp())
    except ValueError:
        raise InvalidFeedError(f"{printable_reason(text)!r} is not a time") from None


def _text(element: ET.Element, name: str) -> str:
    found = element.find(f"{_ATOM}{name}")
    if found is None or len(found):
        raise InvalidFeedError(f"an entry has no text in {name}")
    return found.text or ""
