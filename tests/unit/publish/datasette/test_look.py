"""The plugin that shows results by word and glyph and links to the site's pages, and its style."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from datasette_plugins import load_plugin

from ppp.model.shown import GLYPHS
from ppp.resources import resource

SITE = "https://ppp.example/"
WITH_SITE = SimpleNamespace(
    plugin_config=lambda _: {"site": SITE}, urls=SimpleNamespace(path=lambda path: f"/base{path}")
)
WITHOUT = SimpleNamespace(plugin_config=lambda _: None, urls=WITH_SITE.urls)


@pytest.fixture(scope="module")
def look() -> Any:
    return load_plugin("look")


def test_a_result_is_shown_by_its_glyph_and_anything_else_as_it_is(look: Any) -> None:
    assert look.GLYPHS.items() <= GLYPHS.items()
    for result, glyph in look.GLYPHS.items():
        shown = look.render_cell(result, "result", "records", WITHOUT)
        assert str(shown) == f'<span class="ppp-{result.lower()}">{glyph} {result}</span>'
    for value in (None, 1, "<b>PASS</b>", "pass", ""):
        assert look.render_cell(value, "result", "records", WITH_SITE) is None
    assert look.render_cell("PASS", "package", "packages", WITHOUT) is None


@pytest.mark.parametrize("name", ["six", "zope-interface", "2to3"])
def test_a_package_links_to_its_page(look: Any, name: str) -> None:
    assert str(look.render_cell(name, "package", "packages", WITH_SITE)) == f'<a href="{SITE}p/{name}/">{name}</a>'
    assert look.render_cell(name, "package", "records", WITH_SITE) is None
    assert look.render_cell(name, "package", "packages", WITHOUT) is None


@pytest.mark.parametrize("name", ['"><script>', "../..", "A", "a/b", "", None, 3])
def test_what_is_no_package_links_nowhere(look: Any, name: object) -> None:
    assert look.render_cell(name, "package", "packages", WITH_SITE) is None


def test_the_menu_and_the_style(look: Any) -> None:
    assert [link["href"] for link in look.menu_links(WITH_SITE)] == [SITE]
    assert look.menu_links(WITHOUT) == []
    assert look.extra_css_urls(WITHOUT) == ["/base/ppp-look.css"]


def test_the_colours_are_those_of_the_site() -> None:
    site, look = (resource(path).read_text("utf-8") for path in ("site/style/style.css", "site/datasette/look.css"))
    # Names and values, in their order: the dark theme first, then the light one.
    of_site, of_look = (re.findall(r"(--[a-z-]+): (#[0-9a-f]{6});", text) for text in (site, look))
    assert len(of_look) == 22
    assert of_look == [pair for pair in of_site if pair[0] in dict(of_look)]
