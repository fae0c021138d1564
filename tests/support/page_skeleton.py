"""A page as a browser parses it."""

from html.parser import HTMLParser
from typing import TypeAlias

#: The name of an element, and its attributes with their values.
Element: TypeAlias = tuple[str, tuple[tuple[str, str | None], ...]]


class Skeleton(HTMLParser):
    """A page's elements with all their attributes, in order, the text that it shows, and anything else in it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.unexpected: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.unexpected.append(data)

    def handle_pi(self, data: str) -> None:
        self.unexpected.append(data)

    def unknown_decl(self, data: str) -> None:
        self.unexpected.append(data)
