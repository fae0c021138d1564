"""A site whose every free text is hostile: each appears as text, on pages, in feeds, as data, and in no file's name."""

import json
import re
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import feedparser
import pytest
from hostile_words import GREAT, WORDS, acting, hostile_ledger

from ppp.config import schema_mistakes
from ppp.ledger.store import Store
from ppp.model.record import Record
from ppp.publish import text
from ppp.publish.api import FILES
from ppp.publish.build import build
from ppp.publish.kinds import FindingKind

Builder = Callable[..., Record]
PAGE_LIMIT: Final = 50_000
#: As the pages and the feeds cut a detail.
ON_PAGES: Final = 240
IN_FEEDS: Final = 200
ATOM: Final = "{http://www.w3.org/2005/Atom}"
#: Names that some other system or language takes for something of its own; all of them are names of packages.
NAMES: Final = ("con", "aux", "nul", "com1", "index", "index-html", "feed-xml", "constructor", "0", "x" * 214, "a-" * 106 + "a")
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*")


class Skeleton(HTMLParser):
    """What a browser makes of a page: its elements with all their attributes in order, and what it shows."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.strange: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.strange.append(data)

    def handle_pi(self, data: str) -> None:
        self.strange.append(data)

    def unknown_decl(self, data: str) -> None:
        self.strange.append(data)


def fill(store: Store, record: Builder, words: Mapping[str, str]) -> None:
    for made, log in hostile_ledger(record, words):
        store.insert_record(made, log)
    store.db.conn.commit()


@pytest.fixture(scope="module", name="public")
def _public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a ledger of all words."""
    from conftest import make_record  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("hostile")
    with Store.open(folder / "data") as store:
        fill(store, make_record, WORDS)
        build(store.db, folder / "public", base_url="https://node.example/")
    return folder / "public"
