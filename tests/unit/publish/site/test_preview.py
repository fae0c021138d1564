"""Previews: images that are what they say, of few bytes, the same for the same data, and named by pages."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from png_pixels import pixels
from small_sites import bound_with_room

from ppp.bitmap import HEIGHT, WIDTH, Colour, gap, letters_on_line, line, line_height, png
from ppp.ledger.published import list_packages, observed_environments
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish.build import build
from ppp.publish.packages.history import PackageHistory
from ppp.publish.packages.read import read_packages
from ppp.publish.packages.summary import summarize
from ppp.publish.site.preview import package_preview_file
from ppp.resources import resource

BASE = "https://ppp.example/"
BACKGROUND, TEXT, GOOD, BAD = "#0b0f0d", "#e3ece6", "#7ee2a8", "#ff8f85"


def image_of(words: str, scale: int, colour: Colour = Colour.TEXT) -> list[list[str]]:
    one = line(((words, colour),), scale)
    return pixels(png([one, gap(HEIGHT - one.rows)]))


def preview_of(store: Store, package: str) -> bytes:
    (history,) = read_packages(store.db, [package], observed_environments(store.db))
    return package_preview_file(history, summarize(history))[1]


def test_a_letter_is_drawn_as_the_font_has_it() -> None:
    drawn = image_of("E", 1)
    dots = ["".join("#" if drawn[4 * y][60 + 4 * x] == TEXT else "." for x in range(6)) for y in range(9)]
    assert dots == ["#####.", "#.....", "#.....", "####..", "#.....", "#.....", "#####.", "......", "......"]
    assert drawn[0][60:80] == [TEXT] * 20
    assert {colour for row in drawn[36:] for colour in row} == {BACKGROUND}


@given(st.text(st.sampled_from("aQ-.1 ☃"), max_size=60), st.integers(1, 3), st.sampled_from([*Colour]))
@settings(max_examples=15, deadline=None)
def test_any_text_is_a_valid_image(words: str, scale: int, colour: Colour) -> None:
    drawn = image_of(words, scale, colour)
    assert (len(drawn[0]), len(drawn)) == (WIDTH, HEIGHT)
    ends = {row[-1] for row in drawn}
    assert ends == {BACKGROUND}, "no letter is cut at the edge"


def test_what_is_too_long_ends_in_three_dots() -> None:
    most = letters_on_line(2)
    assert image_of("a" * (most + 1), 2) == image_of("a" * (most - 3) + "...", 2)
    assert image_of("a" * most, 2) != image_of("a" * (most - 3) + "...", 2)


def test_bands_have_to_fill_the_image() -> None:
    assert line_height(3) == 108
    with pytest.raises(ValueError, match="629 rows are not 630"):
        png([gap(629)])


def test_every_letter_of_a_name_or_version_is_in_the_font() -> None:
    blocks = resource("site/preview/font.txt").read_text("ascii").split("\n\n")
    letters = "".join(block.splitlines()[0] for block in blocks)
    assert len(letters) == len(set(letters))
    assert set("abcdefghijklmnopqrstuvwxyz0123456789-.+!ABCDEFGHIJKLMNOPQRSTUVWXYZ,:") <= set(letters)


def test_a_preview_shows_results_in_their_colours_and_changes_with_them(
    small: Store, record: Callable[..., Record]
) -> None:
    before = preview_of(small, "needs-gcc")
    shown = {colour for row in pixels(before) for colour in row}
    assert shown == {BACKGROUND, TEXT, GOOD, BAD}
    small.add_record(record("needs-gcc", "1.1", "py39-slim", observed_at=1_714_100_000))
    assert preview_of(small, "needs-gcc") == before, "a result that was seen again changes nothing"
    small.add_record(record("needs-gcc", "1.1", "py39-alpine", observed_at=1_714_100_000))
    assert preview_of(small, "needs-gcc") != before


def test_all_cards_are_small(small: Store, record: Callable[..., Record]) -> None:
    for number in range(3, 15):
        for platform in ("slim", "alpine", "host"):
            small.add_record(record("many", "1!2.0+local.1", f"py3{number}-{platform}", standin=True))
    small.add_record(record("x" * 80, "1" + ".1" * 50))
    small.add_record(record("nothing", "1.0", result="NA", file=None))
    histories: list[PackageHistory] = [
        *read_packages(small.db, list_packages(small.db), observed_environments(small.db))
    ]
    assert {"many", "nothing", "x" * 80} <= {history.package for history in histories}
    for history in histories:
        path, preview = package_preview_file(history, summarize(history))
        assert path == f"p/{history.package}/preview.png"
        assert len(pixels(preview)) == HEIGHT
        assert len(preview) < 4_500, history.package


def test_pages_name_their_preview_where_the_address_is_known(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    build(small.db, out, base_url=BASE)
    images = {
        path.relative_to(out).as_posix(): re.findall(r'og:image" content="([^"]*)"', path.read_text("utf-8"))
        for path in out.rglob("*.html")
    }
    assert images.pop("404.html") == []
    assert images["p/six/index.html"] == [f"{BASE}p/six/preview.png"]
    assert images["index.html"] == images["causes/index.html"] == [f"{BASE}preview.png"]
    for path, named in images.items():
        assert len(named) == 1, path
        assert (out / named[0].removeprefix(BASE)).is_file(), path
    build(small.db, out)
    assert "og:image" not in (out / "p" / "six" / "index.html").read_text("utf-8")


def test_where_not_every_package_has_a_page_pages_have_the_preview_of_the_site(small: Store, tmp_path: Path) -> None:
    out = tmp_path / "public"
    build(small.db, out, base_url=BASE, bound=bound_with_room(20))
    assert [*out.glob("p/*/preview.png")] == []
    assert f'og:image" content="{BASE}preview.png"' in (out / "p" / "needs-gcc" / "index.html").read_text("utf-8")


def test_the_icon_of_phones_is_that_of_browsers() -> None:
    drawing = resource("site/style/icon.svg").read_text("utf-8")
    squares = {(x, y): BACKGROUND for x in range(16) for y in range(16)}
    for colour, path in re.findall(r'<path fill="(#\w+)" d="([^"]+)"', drawing):
        for left, top, width, height in re.findall(r"M(\d+) (\d+)h(\d+)v(\d+)H\d+z", path):
            for x in range(int(left), int(left) + int(width)):
                squares |= {(x, y): colour for y in range(int(top), int(top) + int(height))}
    drawn = pixels(resource("site/style/icon.png").read_bytes())
    side = len(drawn) // 16
    assert side * 16 == len(drawn) == len(drawn[0])
    assert {(x, y): drawn[side * y + side // 2][side * x + side // 2] for x, y in squares} == squares
