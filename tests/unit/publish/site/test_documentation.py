"""Pages of the documentation: where links lead, and that every document is listed."""

import re
from pathlib import Path
from typing import Final

import pytest
from markupsafe import escape

from ppp.publish.site.documentation import documentation_pages, page_path, read_documents, site_target

DOCS: Final = Path(__file__).parents[4] / "docs"
SOURCES: Final = frozenset({"README.md", "api.md", "adr/0001-first.md"})


@pytest.mark.parametrize(
    ("source", "href", "target"),
    [
        ("api.md", "README.md", "../index.html"),
        ("README.md", "api.md", "api/index.html"),
        ("README.md", "api.md#files", "api/index.html#files"),
        ("api.md", "adr/0001-first.md", "../adr/0001-first/index.html"),
        ("adr/0001-first.md", "../api.md", "../../api/index.html"),
        ("adr/0001-first.md", "../../site/schemas/record.schema.json", "../../../schemas/record.schema.json"),
        ("api.md", "#files", "#files"),
        ("api.md", "https://example.org/a#b", "https://example.org/a#b"),
        ("api.md", "../site/schemas", None),
        ("api.md", "../ppp/config.py", None),
        ("api.md", "missing.md", None),
        ("api.md", "../../outside.md", None),
    ],
)
def test_where_a_link_leads(source: str, href: str, target: str | None) -> None:
    assert site_target(href, source, SOURCES) == target


def test_where_pages_are() -> None:
    assert page_path("README.md") == "docs/index.html"
    assert page_path("api.md") == "docs/api/index.html"
    assert page_path("adr/0001-first.md") == "docs/adr/0001-first/index.html"


def test_every_document_has_a_page_with_its_title() -> None:
    pages = dict(documentation_pages())
    assert len(pages) == len(list(DOCS.rglob("*.md")))
    for document in read_documents().values():
        page = pages[document.path].decode()
        assert f"<title>{escape(document.title)}" in page
        assert page.count("<h1") == 1


def test_a_link_into_the_code_keeps_its_words() -> None:
    words = dict(documentation_pages())["docs/glossary/index.html"].decode()
    assert not re.search(r'href="[^"]*\.(py|md|toml)"', words)


def test_the_first_page_lists_every_document() -> None:
    listed = set(re.findall(r"\]\(([a-z-]+\.md)\)", (DOCS / "README.md").read_text("utf-8")))
    assert listed == {path.name for path in DOCS.glob("*.md")} - {"README.md"}
