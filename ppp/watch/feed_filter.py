"""Reduce a feed to the titles and links of its entries, in time that is proportional to its length.

The time of an entry is kept apart, as a short text that no other parser sees.

Authors of packages write most of what is in a feed, and feedparser can be kept busy for hours by a line of it: 50 kB as
the author of an entry took 15 seconds. So expat, which needs the same time for any document of a size, reads it first,
and what is left for feedparser has few elements, all of them short.
"""

from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

#: The index's feed has 100 entries, and elements five deep.
MAX_ENTRIES: Final = 1_000
MAX_DEPTH: Final = 100
#: How much of a title, a link or an attribute is kept, in characters.
MAX_TEXT: Final = 500

#: How much of a time is kept, in characters.
MAX_TIME: Final = 100

#: The elements of RSS, RDF and Atom around entries, those that are entries, and those whose text is kept.
_OUTER: Final = frozenset({"rss", "rdf:RDF", "feed", "channel"})
_ENTRIES: Final = frozenset({"item", "entry"})
_TEXTS: Final = frozenset({"title", "link"})
_TIMES: Final = frozenset({"pubDate", "published", "updated", "dc:date"})
_ATTRIBUTES: Final = frozenset({"version", "xmlns", "xmlns:rdf", "href", "rel"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FilteredFeed:
    """A well-formed feed in UTF-8, and what was wrong with the one that it was made of, or nothing.

    `times` says of each entry when it was published, as it says so itself, `""` if it does not.
    """

    document: bytes
    problem: str
    times: tuple[str, ...] = ()


class RefusedFeedError(Exception):
    """A document is not read any further; the message says what it has."""


def filter_feed(document: bytes) -> FilteredFeed:
    """Return what is kept of a feed; of one that is not well-formed, the entries that are whole.

    Raises `RefusedFeedError` for a document type, or if there are too many entries or too many levels of elements.
    """
    feed_filter = _FeedFilter()
    # UTF-8 whatever the document says: one encoding for both parsers.
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = feed_filter.start
    parser.EndElementHandler = feed_filter.end
    parser.CharacterDataHandler = feed_filter.add_text
    # It could declare entities, which expand beyond any limit.
    parser.StartDoctypeDeclHandler = feed_filter.refuse_doctype
    problem = ""
    try:
        # All at once: in pieces, expat would begin anew at each piece of a long name or comment.
        parser.Parse(document, True)  # noqa: FBT003 - a positional parameter
    except expat.ExpatError as error:
        problem = str(error)
    return FilteredFeed(document=feed_filter.result().encode(), problem=problem, times=tuple(feed_filter.times))


@dataclass(slots=True)
class _FeedFilter:
    """Copies elements that are kept, and leaves out all others with what is in them."""

    _parts: list[str] = field(default_factory=list)
    #: The names of the elements that are open and kept.
    _open: list[str] = field(default_factory=list)
    #: How many elements are open that are left out.
    _left_out: int = 0
    _entries: int = 0
    #: Where the entry that is open begins in `_parts`.
    _entry_start: int | None = None
    #: How much text the open element may still have.
    _room: int = 0
    #: The time of each entry, and whether the element that is being read holds one.
    times: list[str] = field(default_factory=list)
    _in_time: bool = False

    def refuse_doctype(self, *_: object) -> None:
        """Refuse any document type."""
        raise RefusedFeedError("declares a document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Copy the beginning of an element, if it is kept."""
        if len(self._open) + self._left_out >= MAX_DEPTH:
            raise RefusedFeedError(f"has elements more than {MAX_DEPTH} deep")
        if self._left_out or not self._is_kept(name):
            if not self._left_out and self._entry_start is not None and self._open[-1] in _ENTRIES:
                self._in_time = name in _TIMES
            self._left_out += 1
            return
        if name in _ENTRIES:
            self._entries += 1
            if self._entries > MAX_ENTRIES:
                raise RefusedFeedError(f"has more than {MAX_ENTRIES} entries")
            self._entry_start = len(self._parts)
            self.times.append("")
        kept = (f" {key}={quoteattr(value[:MAX_TEXT])}" for key, value in attributes.items() if key in _ATTRIBUTES)
        self._parts.append(f"<{name}{''.join(kept)}>")
        self._open.append(name)
        self._room = MAX_TEXT

    def _is_kept(self, name: str) -> bool:
        if self._entry_start is None:
            return name in _OUTER or name in _ENTRIES
        return name in _TEXTS and self._open[-1] in _ENTRIES

    def end(self, name: str) -> None:
        """Copy the end of an element, if it is kept."""
        if self._left_out:
            self._left_out -= 1
            if not self._left_out:
                self._in_time = False
            return
        self._parts.append(f"</{name}>")
        self._open.pop()
        if name in _ENTRIES:
            self._entry_start = None

    def add_text(self, text: str) -> None:
        """Copy the text of a title or a link, up to the limit, and keep that of a time."""
        if not self._left_out and self._open[-1] in _TEXTS:
            self._parts.append(escape(text[: self._room]))
            self._room -= len(text[: self._room])
        elif self._in_time:
            self.times[-1] = (self.times[-1] + text)[:MAX_TIME]

    def result(self) -> str:
        """Return the whole document, without an entry that has no end."""
        if self._entry_start is not None:
            self.times.pop()
            del self._parts[self._entry_start :]
            self._open = [name for name in self._open if name in _OUTER]
        return "".join([*self._parts, *(f"</{name}>" for name in reversed(self._open))])
