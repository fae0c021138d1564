"""The style sheet: text has a contrast of 7:1 in both themes, and there are no external resources."""

import re
from itertools import product

import pytest

from ppp.model.shown import GLYPHS
from ppp.resources import resource

STYLE = resource("site/style/style.css").read_text("utf-8")
TEXT = ("text", "quiet", "link", "pass", "installed", "fail", "timeout", "error", "na")
GROUNDS = ("ground", "panel")
#: Each tinted cell contains its result and notes about it.
TINTED = [(text, f"{word}-ground") for word in ("fail", "timeout", "error") for text in ("text", "quiet", word)]
TINTED += [("timeout", "fail-ground"), ("timeout", "error-ground")]  # the stand-in mark


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))


DARK = tokens(STYLE.partition("@media (prefers-color-scheme: light)")[0])
LIGHT = DARK | tokens(STYLE.partition("@media (prefers-color-scheme: light)")[2].partition("@media")[0])


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("text", "ground"), [*product(TEXT, GROUNDS), *TINTED])
def test_contrast(theme: dict[str, str], text: str, ground: str) -> None:
    bright, dim = sorted((luminance(theme[text]), luminance(theme[ground])), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 7


def test_no_external_resources() -> None:
    assert not re.search(r"url\(|@import|https?:|//", STYLE)


def test_glyphs_are_the_same_as_in_terminals() -> None:
    styled = dict(re.findall(r'\.([a-z]+) \{ --glyph: "(.)"', STYLE))
    assert styled == {result.lower(): glyph for result, glyph in GLYPHS.items()}


def test_motion_respects_the_preference() -> None:
    outside = re.sub(r"@media \(prefers-reduced-motion: no-preference\) \{.*?\n\}", "", STYLE, flags=re.DOTALL)
    assert "animation:" in STYLE
    assert "animation:" not in outside
    assert "transition" not in outside
