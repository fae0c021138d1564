"""A site whose every free text is hostile: it is shown as text, on pages, in feeds and as data, and names no file."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import feedparser
import pytest
from hostile_strings import HOSTILE_STRINGS, HUGE_LENGTH, hostile_records, unsafe_characters
from page_skeleton import Element, Skeleton

from ppp.ledger.store import Store
from ppp.model.canonical import sha256_hex
from ppp.model.record import Installed, Record
from ppp.publish import text
from ppp.publish.api.package import API_FILES
from ppp.publish.build import build
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.schemas import schema_errors

PAGE_LIMIT: Final = 50_000
#: Where pages and feeds cut a detail.
ON_PAGES: Final = 240
IN_FEEDS: Final = 200
ATOM: Final = "{http://www.w3.org/2005/Atom}"
#: Valid names of packages that mean something to some other system or language.
NAMES: Final = (
    *("con", "aux", "nul", "com1", "index", "index-html", "feed-xml", "constructor", "0"),
    *("x" * 214, "a-" * 106 + "a"),
)
HARMLESS: Final = "word"
#: The folders of pages that show as many packages as they have room for.
LISTS: Final = ("env/", "findings/", "packages/", "causes/")
LOG_FILE: Final = re.compile(r"\Alog/[0-9a-f]{64}\.txt\Z")
#: Bytes of a log that a page shows whatever else is on it.
LOG_ROOM: Final = 4_000
#: The characters that take most bytes on a page, plain or escaped.
GREATEST: Final = {"wide": "\U0001d54f", "quote": '"', "tag": "\U000e0041", "lines": "\n<", "narrow": "\u07fa"}
FEED_ELEMENTS: Final = {
    *("rss", "channel", "title", "link", "description", "language", "lastBuildDate", "item", "guid", "pubDate"),
    *("feed", "subtitle", "id", "updated", "author", "name", "entry", "published", "content"),
}
BADGE: Final = ["svg", "title", "rect", "rect", "g", "text", "text"]
BADGE_ATTRIBUTES: Final = {
    *("width", "height", "role", "aria-labelledby", "id", "fill", "x", "y", "text-anchor", "font-family", "font-size"),
}
PLAIN_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*(/[A-Za-z0-9][A-Za-z0-9._+-]*)*")


def site(folder: Path, words: Mapping[str, str], more: Iterable[tuple[Record, str]] = ()) -> Path:
    """Build the site of a ledger with these words, and some more records."""
    with Store.open(folder / "data") as store:
        with store.db.atomic():
            for made, log in [*hostile_records(words), *more]:
                store.insert_record(made, log)
        build(store.db, folder / "public", base_url="https://node.example/")
    return folder / "public"


@pytest.fixture(scope="module", name="public")
def _public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site with all hostile words."""
    return site(tmp_path_factory.mktemp("hostile"), HOSTILE_STRINGS)


@pytest.fixture(scope="module", name="harmless")
def _harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same site with a harmless word in place of each hostile one that is visible at all.

    One that is its package's own name stays: a distribution of that name is no dependency.
    """
    words = {
        name: HARMLESS if text.single_line(word, ON_PAGES) and word != name else word
        for name, word in HOSTILE_STRINGS.items()
    }
    return site(tmp_path_factory.mktemp("harmless"), words)


def pages(public: Path) -> dict[str, Skeleton]:
    return {str(path.relative_to(public)): Skeleton(path.read_text("utf-8")) for path in sorted(public.rglob("*.html"))}


def words_of(shown: str) -> str:
    return " ".join(shown.split())


# ---------------------------------------------------------------- pages


@pytest.mark.attack("inert-text")
def test_hostile_words_add_no_element_or_attribute_to_a_page(public: Path, harmless: Path) -> None:
    found, plain = pages(public), pages(harmless)
    assert len(found) > len(HOSTILE_STRINGS)
    assert found.keys() == plain.keys()
    for path, page in found.items():
        assert page.unexpected == [], path
        if path.startswith(LISTS):
            # These show as many rows as they have room for: the longer the words, the fewer rows.
            assert set(page.elements) <= set(plain[path].elements), path
        else:
            assert named_alike(page.elements) == named_alike(plain[path].elements), path


def named_alike(elements: Sequence[Element]) -> list[Element]:
    """Return elements with one name for all logs, whose files are named by the sha256 of the words in them."""
    return [
        (tag, tuple((name, value and LOG_FILE.sub("log/LOG.txt", value)) for name, value in rest))
        for tag, rest in elements
    ]


@pytest.mark.attack("inert-text")
def test_pages_show_hostile_words_as_text(public: Path) -> None:
    for name, word in HOSTILE_STRINGS.items():
        shown = words_of(Skeleton((public / "p" / name / "index.html").read_text("utf-8")).text)
        assert words_of(text.single_line(word[:500], ON_PAGES)) in shown, name
        assert words_of(text.single_line(f"{word[:214]} {word[:128]}", ON_PAGES)) in shown, name
        last = words_of(text.log_tail(f"{word}\n{word}", lines=40, limit=4_000))
        assert last in shown or len(last.encode()) > LOG_ROOM, name


@pytest.mark.attack("inert-text")
def test_no_file_has_an_unsafe_character(public: Path) -> None:
    for path in (path for path in public.rglob("*") if path.suffix in {".html", ".xml", ".svg", ".txt"}):
        assert unsafe_characters(path.read_text("utf-8"), keep="\n\t") == set(), path
    for path in public.rglob("*.json"):
        path.read_text("ascii")


def worst_records(name: str, letter: str) -> Iterator[tuple[Record, str]]:
    """Return records of a package that fails in every environment for another reason, each text at its longest."""
    *_, (failed, _) = hostile_records({name: letter})
    for environment in (f"py{p}-{s}" for s in ("slim", "alpine", "host") for p in ("39", "311", "312")):
        log = "\n".join([letter * 100 + environment] * 100)
        installed = [Installed(name=letter * 214, version=f"{n}{environment}", sha256=None) for n in range(50)]
        made = replace(
            failed,
            environment=environment,
            detail=letter * 400 + environment,
            imports=(letter * 255,) * 64,
            installed=tuple(installed),
            log_sha256=sha256_hex(log.encode()),
        )
        yield made, log


@pytest.mark.heavy
@pytest.mark.attack("open-to-readers")
def test_pages_stay_small_with_any_content(tmp_path: Path) -> None:
    many = {f"many-{number}": GREATEST["wide"] * 500 for number in range(60)}
    great = {"great": "<\x1b]0;" * (HUGE_LENGTH // 5)}
    more = [made for name, letter in GREATEST.items() for made in worst_records(f"worst-{name}", letter)]
    public = site(tmp_path, many | great, more)
    sizes = {path: path.stat().st_size for path in public.rglob("*.html")}
    assert len(sizes) > len(many)
    assert max(sizes.values()) < PAGE_LIMIT, max(sizes.items(), key=lambda item: item[1])
    assert (public / "p" / "great" / "atom.xml").stat().st_size < PAGE_LIMIT


def test_files_json_lists_every_file(public: Path) -> None:
    top = {path for path, _, _ in json.loads((public / "files.json").read_text("ascii"))["files"]}
    listed = top | {path for each in top for path, _, _ in json.loads((public / each).read_text("ascii"))["files"]}
    there = {str(path.relative_to(public)) for path in public.rglob("*") if path.is_file()}
    assert there - {"files.json", "current.json", "current.json.sha256"} == listed
    assert all(PLAIN_PATH.fullmatch(path) for path in there)
    assert sorted(path.name for path in public.parent.iterdir()) == ["data", "public"]


@pytest.mark.attack("inert-text")
def test_package_names_with_a_meaning_elsewhere(tmp_path: Path) -> None:
    public = site(tmp_path, dict.fromkeys(NAMES, "word"))
    for name in NAMES:
        document = json.loads((public / "api" / "v1" / "p" / f"{name}.json").read_text("ascii"))
        assert document["package"] == name
        assert f"{name} 1.1" in words_of(Skeleton((public / "p" / name / "index.html").read_text("utf-8")).text)


# ---------------------------------------------------------------- feeds


def feeds(public: Path, name: str) -> dict[str, bytes]:
    return {str(path.relative_to(public)): path.read_bytes() for path in sorted(public.rglob(name))}


def detail_lines() -> dict[str, str]:
    """Return how a feed should show each package's detail."""
    return {name: text.single_line(word[:500], IN_FEEDS) for name, word in HOSTILE_STRINGS.items()}


@pytest.mark.attack("inert-text")
@pytest.mark.parametrize(("name", "of_packages"), [("atom.xml", len(HOSTILE_STRINGS)), ("feed.xml", 0)])
def test_xml_feeds_show_hostile_words_as_text(name: str, of_packages: int, public: Path) -> None:
    expected = detail_lines()
    found = feeds(public, name)
    assert len(found) == 1 + len(FindingKind) + of_packages + (name == "atom.xml")  # of episodes
    checked = 0
    for path, data in found.items():
        parsed = feedparser.parse(data, sanitize_html=False, resolve_relative_uris=False)
        assert not parsed.bozo, path
        root = ET.fromstring(data)  # noqa: S314 - our own
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= FEED_ELEMENTS, path
        for entry in parsed.entries:
            package = entry.title.partition(" ")[0]
            if "FAIL" not in (shown := content(entry)):
                continue
            assert expected[package] in shown, path
            assert entry.link == f"https://node.example/p/{package}/index.html"
            checked += 1
    assert checked > len(HOSTILE_STRINGS)


def content(entry: feedparser.FeedParserDict) -> str:
    """Return an entry's text as a feed reader shows it."""
    if "content" in entry:
        assert entry.content[0].type == "text/plain"
        return str(entry.content[0].value)
    assert entry.summary_detail.type == "text/html"
    described = Skeleton(entry.summary)
    assert {tag for tag, _ in described.elements} <= {"br"}
    assert described.unexpected == []
    return described.text


@pytest.mark.attack("inert-text")
def test_json_feeds_show_hostile_words_as_text(public: Path) -> None:
    expected = detail_lines()
    found = feeds(public, "feed.json")
    assert len(found) == 2 + len(FindingKind)
    for path, data in found.items():
        for item in json.loads(data)["items"]:
            assert "content_html" not in item, path
            package = item["title"].partition(" ")[0]
            assert expected[package] in item["content_text"] or "FAIL" not in item["content_text"], path
            assert unsafe_characters(item["content_text"]) == set()


# ---------------------------------------------------------------- data


@pytest.mark.attack("inert-text")
def test_every_data_file_is_valid_against_its_schema(public: Path) -> None:
    seen = set()
    for path, schema, _ in API_FILES:
        for file in public.glob(re.sub(r"\{\w+\}", "*", path)) if schema else ():
            if file.name == "index.json" and "index.json" not in path:
                continue
            document = json.loads(file.read_text("ascii"))
            assert schema_errors(f"site/schemas/{schema}.schema.json", document) == [], file
            seen.add(file)
    assert len(seen) > 2 * len(HOSTILE_STRINGS)


def test_data_files_have_the_words_unchanged(public: Path) -> None:
    for name, word in HOSTILE_STRINGS.items():
        document = json.loads((public / "api" / "v1" / "p" / f"{name}.json").read_text("ascii"))
        assert {cell["detail"] for cell in document["cells"] if "detail" in cell} == {word[:500]}, name
        assert document["imports"] == [[word[:255], f"x{word}"[:255]]], name


@pytest.mark.attack("inert-text")
def test_badges_and_sitemaps_have_no_unexpected_content(public: Path) -> None:
    badges = sorted((public / "badge").glob("*.svg"))
    assert len(badges) == len(HOSTILE_STRINGS)
    for path in badges:
        root = ET.fromstring(path.read_bytes())  # noqa: S314 - our own
        assert [element.tag.rpartition("}")[2] for element in root.iter()] == BADGE, path
        assert {name for element in root.iter() for name in element.attrib} <= BADGE_ATTRIBUTES, path
    addresses = [
        element.text or ""
        for path in [public / "sitemap.xml", *(public / "sitemaps").glob("*.xml")]
        for element in ET.fromstring(path.read_bytes()).iter()  # noqa: S314 - our own
        if element.tag.endswith("loc")
    ]
    assert len(addresses) > len(HOSTILE_STRINGS)
    assert all(re.fullmatch(r"https://node\.example/[a-z0-9./-]+", address) for address in addresses)
