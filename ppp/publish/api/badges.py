"""Badges: in how many of the environments that it claims a package's newest release installs and imports.

A badge shows `4/6 environments`, and how many of these are stand-ins for the official images. Cells with `NA` (not
claimed) and `ERROR` (infrastructure error) are in neither number. A release that has nothing to import gets another
label and another colour: nothing was imported. Cells that are queued are in neither number, and are counted apart.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ppp.model.record import Result
from ppp.publish.api.encoding import document_bytes
from ppp.publish.packages.history import Unchecked
from ppp.publish.packages.summary import PackageSummary

LABEL: Final = "installs & imports"
#: The label where nothing was imported anywhere.
INSTALLS_LABEL: Final = "installs"
#: An upper estimate of the width of a letter in Verdana at 11 px, and the padding of each half.
_LETTER_PX: Final = 6.6
_PADDING_PX: Final = 10
#: Colours by shields.io name; white text on each has a contrast of at least 4.5:1.
_COLOURS: Final = {
    "brightgreen": "#1b6e3c",
    "blue": "#1f5a96",
    "orange": "#8f4a00",
    "red": "#a32020",
    "lightgrey": "#5a5a5a",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Badge:
    """A package's badge as its own page shows it: its text, its width in pixels, and the Markdown that embeds it.

    The Markdown has absolute addresses: it is `""` where the site's is not known.
    """

    description: str
    width: int
    markdown: str


def badge_files(summary: PackageSummary) -> Iterator[tuple[str, bytes]]:
    """Return `/badge/<package>.svg`, and `/badge/<package>.json` in the shields.io endpoint format."""
    colour = _colour(summary)
    yield f"badge/{summary.package}.svg", _svg(summary, _COLOURS[colour])
    endpoint = {"schemaVersion": 1, "label": badge_label(summary), "message": badge_message(summary), "color": colour}
    yield f"badge/{summary.package}.json", document_bytes(endpoint)


def badge_label(summary: PackageSummary) -> str:
    """Return the label of a badge, which says what was done: `installs & imports`, or `installs`."""
    return INSTALLS_LABEL if _imports_nothing(summary) else LABEL


def badge_message(summary: PackageSummary) -> str:
    """Return the short text of a badge: `4/6 environments`, and in how many of these there is nothing to import."""
    if not summary.claimed:
        return f"no verdict, {_queued(summary)}" if summary.queued else "no verdict"
    message = f"{summary.passing}/{summary.claimed} environments"
    if _imports_nothing(summary):
        message += ", nothing to import"
    elif summary.installed_only:
        message += f", {summary.installed_only} without import"
    message = f"{message}, {_standins(summary)}" if summary.standins else message
    return f"{message}, {_queued(summary)}" if summary.queued else message


def _standins(summary: PackageSummary) -> str:
    return f"{summary.standins} stand-in{'s' if summary.standins != 1 else ''}"


def _queued(summary: PackageSummary) -> str:
    return f"{summary.queued} {Unchecked.QUEUED}"


def _imports_nothing(summary: PackageSummary) -> bool:
    return 0 < summary.installed_only == summary.passing


def _colour(summary: PackageSummary) -> str:
    if not summary.claimed:
        return "lightgrey"
    if summary.passing == summary.claimed:
        return "blue" if summary.installed_only else "brightgreen"
    return "orange" if summary.passing else "red"


def _description(summary: PackageSummary) -> str:
    count = f"{summary.passing} of {summary.claimed}"
    verb = "installs" if _imports_nothing(summary) else "installs and imports"
    sentence = f"{summary.package} {summary.version} {verb} in {count} environments"
    if summary.installed_only:
        sentence += f" (nothing to import in {summary.installed_only})"
    if summary.standins:
        sentence += f" ({_standins(summary)} for the official images)"
    words = dict(summary.result_counts)
    apart = [f"{words[r]} {r}" for r in (Result.NA, Result.ERROR) if words.get(r)]
    apart += [_queued(summary)] if summary.queued else []
    return f"{sentence}, and {', '.join(apart)}" if apart else sentence


def package_badge(summary: PackageSummary, base_url: str) -> Badge:
    """Return the badge for the package's own page; `base_url` ends in a slash, or is `""`."""
    image, page = (f"{base_url}{path}" for path in (f"badge/{summary.package}.svg", f"p/{summary.package}/index.html"))
    snippet = f"[![{summary.package}: {badge_label(summary)}]({image})]({page})"
    return Badge(description=_description(summary), width=sum(_widths(summary)), markdown=snippet if base_url else "")


def _widths(summary: PackageSummary) -> tuple[int, int]:
    texts = badge_label(summary), badge_message(summary)
    left, right = (round(len(words) * _LETTER_PX) + _PADDING_PX for words in texts)
    return left, right


def _svg(summary: PackageSummary, colour: str) -> bytes:
    label, message, description = (
        html.escape(badge_label(summary)),
        html.escape(badge_message(summary)),
        html.escape(_description(summary)),
    )
    left, right = _widths(summary)
    lines = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">',
        f"<title>{description}</title>",
        f'<rect width="{left}" height="20" fill="#2b2b2b"/>',
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>',
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">',
        f'<text x="{left / 2:g}" y="14">{label}</text>',
        f'<text x="{left + right / 2:g}" y="14">{message}</text>',
        "</g>",
        "</svg>",
    )
    return ("\n".join(lines) + "\n").encode()
