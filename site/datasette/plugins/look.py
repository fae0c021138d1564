# ruff: noqa: INP001 - Datasette loads plugins from a plain folder
"""Show the ledger as its site does: the same colours, results by word and glyph, and links to the site's pages.

The setting `site` is the address of the site of the same ledger; without it nothing links there.
"""

import re
from pathlib import Path

from datasette import Response, hookimpl
from markupsafe import Markup

STYLE = "/ppp-look.css"
GLYPHS = {"PASS": "✓", "FAIL": "✗", "TIMEOUT": "◷", "ERROR": "▲", "NA": "–"}  # noqa: RUF001 - the en dash is intended
#: Columns whose values are results, and the form of a package's name; anything else is shown as Datasette shows it.
RESULTS = {"result", "result_before"}
PACKAGE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@hookimpl
def register_routes() -> list[tuple[str, object]]:
    """Register the route of the style."""
    return [(rf"^{re.escape(STYLE)}$", style)]


def style() -> Response:
    """Return the style, which lies beside the database."""
    text = (Path(__file__).parent.parent / "look.css").read_text("utf-8")
    return Response(text, content_type="text/css; charset=utf-8", headers={"Cache-Control": "max-age=3600"})


@hookimpl
def extra_css_urls(datasette) -> list[str]:  # noqa: ANN001 - Datasette
    """Return the address of the style."""
    return [datasette.urls.path(STYLE)]


@hookimpl
def menu_links(datasette) -> list[dict[str, str]]:  # noqa: ANN001 - Datasette
    """Return the link to the site."""
    site = site_of(datasette)
    return [{"href": site, "label": "The site of these results"}] if site else []


@hookimpl
def render_cell(value, column, table, datasette):  # noqa: ANN001, ANN201 - Datasette's hook
    """Return a result with its glyph, or a package as a link to its page; None for any other value."""
    if column in RESULTS and value in GLYPHS:
        return Markup('<span class="ppp-{}">{} {}</span>').format(value.lower(), GLYPHS[value], value)
    site = site_of(datasette)
    if site and column == "package" and table == "packages" and isinstance(value, str) and PACKAGE.fullmatch(value):
        return Markup('<a href="{}p/{}/">{}</a>').format(site, value, value)
    return None


def site_of(datasette) -> str:  # noqa: ANN001 - Datasette
    """Return the address of the site, which ends with a slash, or an empty text."""
    return str((datasette.plugin_config("look") or {}).get("site") or "")
