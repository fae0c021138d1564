"""`feed.xml`: RSS that speaks when a verdict changes. Dates come from records, never from a clock."""

import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin
from xml.etree import ElementTree as ET

from ppp.ledger.published import Change
from ppp.model.record import Result
from ppp.model.release import Release
from ppp.publish import text

#: Where a node publishes is its operator's business; links need an address all the same.
ITEMS: Final = 100


@dataclass(slots=True, kw_only=True)
class Item:
    """The changes of one release on one UTC day; its id depends on these two alone, so it never changes."""

    release: Release
    day: str
    changes: list[Change] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Give the item's permanent id."""
        return f"urn:sha256:{hashlib.sha256(f'{self.release}@{self.day}'.encode()).hexdigest()}"

    @property
    def title(self) -> str:
        """Say what came of it: `six 1.17.0: 5 PASS, 1 FAIL`, or what it was before where only one cell changed."""
        name = f"{self.release.package} {self.release.version}"
        if len(self.changes) == 1:
            return f"{name}: {_told(self.changes[0])}"
        words = [change.verdict.result for change in self.changes]
        return f"{name}: {', '.join(f'{words.count(r)} {r}' for r in Result if r in words)}"

    @property
    def published(self) -> int:
        """Give when the last of its changes was observed, in epoch seconds."""
        return max(change.verdict.observed_at for change in self.changes)


def newest_items(changes: Iterable[Change], limit: int = ITEMS) -> list[Item]:
    """Gather changes, which come newest first, into at most `limit` items; read no further than these need."""
    items: dict[tuple[Release, str], Item] = {}
    for change in changes:
        day = datetime.fromtimestamp(change.verdict.observed_at, UTC).date().isoformat()
        key = (change.verdict.release, day)
        if key not in items:
            if len(items) == limit:
                # An item that is held may have more changes, down to the first second of its day.
                if day < min(item.day for item in items.values()):
                    break
                continue
            items[key] = Item(release=change.verdict.release, day=day)
        items[key].changes.append(change)
    return sorted(items.values(), key=lambda item: (-item.published, item.release.package, item.release.version))


def rss(items: Iterable[Item], *, as_of: int | None, base_url: str) -> bytes:
    """Give the feed's bytes; `base_url` is where `current.json` lies and ends in a slash."""
    feed = ET.Element("rss", version="2.0")
    channel = ET.SubElement(feed, "channel")
    _add(channel, "title", "The PyPI Place: verdicts that changed")
    _add(channel, "link", urljoin(base_url, "index.html"))
    _add(channel, "description", "Releases on PyPI whose result in an environment is new, or not what it was before.")
    _add(channel, "language", "en")
    if as_of is not None:
        _add(channel, "lastBuildDate", text.rfc2822(as_of))
    for item in items:
        element = ET.SubElement(channel, "item")
        _add(element, "title", item.title)
        _add(element, "link", urljoin(base_url, f"p/{item.release.package}/index.html"))
        # Readers take a description for HTML: what strangers wrote is escaped for them, then once more for XML.
        _add(element, "description", "<br>\n".join(html.escape(_line(change)) for change in _sorted(item.changes)))
        _add(element, "guid", item.id).set("isPermaLink", "false")
        _add(element, "pubDate", text.rfc2822(item.published))
    ET.indent(feed, " ")
    return bytes(ET.tostring(feed, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add(parent: ET.Element, name: str, value: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = value
    return element


def _sorted(changes: Iterable[Change]) -> list[Change]:
    return sorted(changes, key=lambda c: (c.verdict.environment, c.verdict.observed_at, c.verdict.record))


def _line(change: Change) -> str:
    verdict = change.verdict
    parts = [_told(change)]
    if verdict.failed_phase:
        parts.append(f"at {verdict.failed_phase}")
    if verdict.cause:
        parts.append(f"({verdict.cause}{f', blame: {verdict.blame}' if verdict.blame else ''})")
    if verdict.detail:
        parts.append(f"- {text.line(verdict.detail, 200)}")
    return " ".join(parts)


def _told(change: Change) -> str:
    verdict = change.verdict
    was = f"{change.before} → " if change.before else ""
    return f"{verdict.environment} {was}{verdict.result}{' (stand-in image)' if verdict.standin else ''}"
