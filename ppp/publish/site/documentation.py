"""The documentation under `docs/`, as pages of the site: one for each Markdown file, at the same place without `.md`.

The sources are ours and trusted. Links between them lead to pages; a link to a schema, to the published one; a link to
another file of the repository becomes its words alone, since a site does not carry the code.
"""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final
from xml.etree.ElementTree import Element

import markdown
from markdown.extensions import Extension
from markdown.extensions.toc import slugify
from markdown.treeprocessors import Treeprocessor

from ppp.publish.site.templates import render
from ppp.resources import resource

#: The page that lists the others, and the folder of the decision records.
INDEX: Final = "README.md"
DECISIONS: Final = "adr/"
#: Where the schemas are in the repository; each is published under `schemas/`.
SCHEMAS: Final = "site/schemas/"
#: Ids that every page has: a heading of the same name gets a suffix.
_TAKEN_IDS: Final = frozenset({"main"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A page of the documentation: its path below `docs/`, its title, and its HTML."""

    source: str
    title: str
    html: str

    @property
    def path(self) -> str:
        """Return the path of its page, from the web root."""
        return page_path(self.source)


def page_path(source: str) -> str:
    """Return the path of the page of a source, such as `docs/api/index.html` for `api.md`."""
    name = source.removesuffix(".md")
    folder = posixpath.dirname(name) if posixpath.basename(source) == INDEX else name
    return posixpath.join("docs", folder, "index.html")


def documentation_pages() -> Iterator[tuple[str, bytes]]:
    """Return each page of the documentation; raise `ConfigError` if the sources are missing."""
    documents = read_documents()
    decisions = [each for each in documents.values() if each.source.startswith(DECISIONS)]
    for document in documents.values():
        listed = decisions if document.source == INDEX else ()
        page = render(
            "documentation.html",
            path=document.path,
            document=document,
            decisions=[(posixpath.relpath(each.path, "docs"), each.title) for each in listed],
        )
        yield document.path, page


def documentation_paths() -> list[str]:
    """Return the paths of all pages of the documentation."""
    return [document.path for document in read_documents().values()]


@cache
def read_documents() -> Mapping[str, Document]:
    """Return the documents by their source; they are shipped with PPP and do not change while it runs."""
    folder = resource("docs")
    sources = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.md"))
    texts = {source: (folder / source).read_text("utf-8") for source in sources}
    return MappingProxyType({source: _document(source, text, frozenset(sources)) for source, text in texts.items()})


def _document(source: str, text: str, sources: frozenset[str]) -> Document:
    extensions: list[Extension | str] = ["tables", "fenced_code", "sane_lists", _SiteLinks(source, sources)]
    converter = markdown.Markdown(
        extensions=[*extensions, "toc"], extension_configs={"toc": {"slugify": _heading_id, "toc_depth": "2-3"}}
    )
    html = converter.convert(without_comments(text))
    title = text.removeprefix("# ").partition("\n")[0].replace("`", "")
    return Document(source=source, title=title, html=html)


def without_comments(text: str) -> str:
    """Return Markdown without HTML comments, which are notes to those who edit it; one that never ends stays."""
    first, *parts = text.split("<!--")
    kept = [first]
    for part in parts:
        _, end, rest = part.partition("-->")
        kept.append(rest if end else f"<!--{part}")
    return "".join(kept)


def _heading_id(words: str, separator: str) -> str:
    """Return the id of a heading, as code hosts make it for links in Markdown."""
    made = slugify(words, separator)
    return f"{made}{separator}1" if made in _TAKEN_IDS else made


class _SiteLinks(Extension):
    """Makes links of one source lead to what the site has."""

    def __init__(self, source: str, sources: frozenset[str]) -> None:
        super().__init__()
        self._source, self._sources = source, sources

    def extendMarkdown(self, md: markdown.Markdown) -> None:  # noqa: N802 - the name that Markdown calls
        md.treeprocessors.register(_LinkProcessor(md, self._source, self._sources), "site-links", priority=1)


class _LinkProcessor(Treeprocessor):
    def __init__(self, md: markdown.Markdown, source: str, sources: frozenset[str]) -> None:
        super().__init__(md)
        self._source, self._sources = source, sources

    def run(self, root: Element) -> None:
        for cell in root.iter():
            # The alignment of a column: pages have no inline styles (their content security policy forbids them).
            cell.attrib.pop("style", None)
        for link in root.iter("a"):
            target = site_target(link.get("href", ""), self._source, self._sources)
            if target is None:
                # Not a link any more: its words stay.
                link.tag = "span"
                link.attrib.clear()
            else:
                link.set("href", target)


def site_target(href: str, source: str, sources: frozenset[str]) -> str | None:
    """Return where a link of a source leads on the site, relative to its page; None if the site does not have it."""
    target, mark, fragment = href.partition("#")
    if "://" in target or not target:
        return href
    in_repository = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), target))
    if (linked := in_repository.removeprefix("docs/")) in sources:
        published = page_path(linked)
    elif in_repository.startswith(SCHEMAS) and in_repository.endswith(".json"):
        published = f"schemas/{posixpath.basename(in_repository)}"
    else:
        return None
    return posixpath.relpath(published, posixpath.dirname(page_path(source))) + mark + fragment
