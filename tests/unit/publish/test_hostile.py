"""A site whose every free text is hostile: each appears as text, on pages, in feeds, as data, and in no file's name."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final, TypeVar
from xml.etree import ElementTree as ET

import feedparser
import pytest
from hostile_strings import HOSTILE_STRINGS, HUGE_LENGTH, SURROGATES, hostile_records, unsafe_characters

from ppp.ledger.store import Store
from ppp.mesh.batch import Batch, verify_batch
from ppp.mesh.files import read_files
from ppp.mesh.merge import merge
from ppp.mesh.node import NodeKey
from ppp.mesh.peer import parse_url
from ppp.model.errors import PeerError, RejectedDataError
from ppp.model.record import Installed, Record, canonical_json, sha256_hex
from ppp.publish import text
from ppp.publish.api.package import API_FILES
from ppp.publish.build import build
from ppp.publish.packages.finding_kinds import FindingKind
from ppp.schemas import schema_errors

T = TypeVar("T")

PAGE_LIMIT: Final = 50_000
PEER: Final = NodeKey.from_seed(b"\x07" * 32)
NOW: Final = 1_800_000_000
#: Characters of a refusal, its hint included; an address is quoted with its escapes.
REFUSAL: Final = 6_000
#: What a name, a version or a word of ours may be made of.
PLAIN: Final = re.compile(r"[A-Za-z0-9_.+!-]+")
#: As the pages and the feeds cut a detail.
ON_PAGES: Final = 240
IN_FEEDS: Final = 200
ATOM: Final = "{http://www.w3.org/2005/Atom}"
#: Names that some other system or language takes for something of its own; all of them are names of packages.
NAMES: Final = (
    *("con", "aux", "nul", "com1", "index", "index-html", "feed-xml", "constructor", "0"),
    *("x" * 214, "a-" * 106 + "a"),
)
HARMLESS: Final = "word"
#: Where pages stand that show as many packages as there is room for.
LISTS: Final = ("env/", "findings/", "packages/", "causes/")
#: Bytes of a log that is shown whatever else the page tells.
LOG_ROOM: Final = 4_000
#: Letters that cost a page the most: as many bytes as any, as long when escaped as any.
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


def site(folder: Path, words: Mapping[str, str], more: Iterable[tuple[Record, str]] = ()) -> Path:
    """Give the site of a ledger of these words, and of some records more."""
    with Store.open(folder / "data") as store:
        with store.db.atomic():
            for made, log in [*hostile_records(words), *more]:
                store.insert_record(made, log)
        build(store.db, folder / "public", base_url="https://node.example/")
    return folder / "public"


@pytest.fixture(scope="module", name="public")
def _public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of all words."""
    return site(tmp_path_factory.mktemp("hostile"), HOSTILE_STRINGS)


@pytest.fixture(scope="module", name="harmless")
def _harmless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same site with a harmless word in the place of each that shows anything at all."""
    return site(
        tmp_path_factory.mktemp("harmless"),
        {name: HARMLESS if text.single_line(word, ON_PAGES) else word for name, word in HOSTILE_STRINGS.items()},
    )


def pages(public: Path) -> dict[str, Skeleton]:
    return {str(path.relative_to(public)): Skeleton(path.read_text("utf-8")) for path in sorted(public.rglob("*.html"))}


def words_of(shown: str) -> str:
    return " ".join(shown.split())


# ---------------------------------------------------------------- pages


def test_a_page_has_the_elements_and_attributes_that_it_has_without(public: Path, harmless: Path) -> None:
    found, plain = pages(public), pages(harmless)
    assert len(found) > len(HOSTILE_STRINGS)
    assert found.keys() == plain.keys()
    for path, page in found.items():
        assert page.strange == [], path
        if path.startswith(LISTS):
            # As many rows as there is room for: longer words, fewer rows.
            assert set(page.elements) <= set(plain[path].elements), path
        else:
            assert page.elements == plain[path].elements, path


def test_a_page_shows_the_words_as_text(public: Path) -> None:
    for name, word in HOSTILE_STRINGS.items():
        shown = words_of(Skeleton((public / "p" / name / "index.html").read_text("utf-8")).text)
        assert words_of(text.single_line(word[:500], ON_PAGES)) in shown, name
        assert words_of(text.single_line(f"{word[:214]} {word[:128]}", ON_PAGES)) in shown, name
        last = words_of(text.log_tail(f"{word}\n{word}", lines=40, limit=4_000))
        assert last in shown or len(last.encode()) > LOG_ROOM, name


def test_no_character_of_any_file_acts(public: Path) -> None:
    for path in (path for path in public.rglob("*") if path.suffix in {".html", ".xml", ".svg", ".txt"}):
        assert unsafe_characters(path.read_text("utf-8"), keep="\n\t") == set(), path
    for path in public.rglob("*.json"):
        path.read_text("ascii")


def worst(name: str, letter: str) -> Iterator[tuple[Record, str]]:
    """Give the records of a package that fails everywhere for another reason, each told as long as can be."""
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


def test_pages_stay_small_whatever_comes(tmp_path: Path) -> None:
    many = {f"many-{number}": GREATEST["wide"] * 500 for number in range(60)}
    great = {"great": "<\x1b]0;" * (HUGE_LENGTH // 5)}
    more = [made for name, letter in GREATEST.items() for made in worst(f"worst-{name}", letter)]
    public = site(tmp_path, many | great, more)
    sizes = {path: path.stat().st_size for path in public.rglob("*.html")}
    assert len(sizes) > len(many)
    assert max(sizes.values()) < PAGE_LIMIT, max(sizes.items(), key=lambda held: held[1])
    assert (public / "p" / "great" / "atom.xml").stat().st_size < PAGE_LIMIT


def test_every_file_is_where_files_json_says_and_nowhere_else(public: Path) -> None:
    top = {path for path, _, _ in json.loads((public / "files.json").read_text("ascii"))["files"]}
    listed = top | {path for each in top for path, _, _ in json.loads((public / each).read_text("ascii"))["files"]}
    there = {str(path.relative_to(public)) for path in public.rglob("*") if path.is_file()}
    assert there - {"files.json", "current.json", "current.json.sha256"} == listed
    assert all(PLAIN_PATH.fullmatch(path) for path in there)
    assert sorted(path.name for path in public.parent.iterdir()) == ["data", "public"]


def test_names_that_others_take_for_something_are_names(tmp_path: Path) -> None:
    public = site(tmp_path, dict.fromkeys(NAMES, "word"))
    for name in NAMES:
        document = json.loads((public / "api" / "v1" / "p" / f"{name}.json").read_text("ascii"))
        assert document["package"] == name
        assert f"{name} 1.1" in words_of(Skeleton((public / "p" / name / "index.html").read_text("utf-8")).text)


# ---------------------------------------------------------------- feeds


def feeds(public: Path, name: str) -> dict[str, bytes]:
    return {str(path.relative_to(public)): path.read_bytes() for path in sorted(public.rglob(name))}


def detail_lines() -> dict[str, str]:
    """Give what a feed should say of each package's detail."""
    return {name: text.single_line(word[:500], IN_FEEDS) for name, word in HOSTILE_STRINGS.items()}


@pytest.mark.parametrize(("name", "of_packages"), [("atom.xml", len(HOSTILE_STRINGS)), ("feed.xml", 0)])
def test_xml_feeds_hold_the_words_as_text(name: str, of_packages: int, public: Path) -> None:
    told = detail_lines()
    found = feeds(public, name)
    assert len(found) == 1 + len(FindingKind) + of_packages
    spoken = 0
    for path, data in found.items():
        parsed = feedparser.parse(data, sanitize_html=False, resolve_relative_uris=False)
        assert not parsed.bozo, path
        root = ET.fromstring(data)  # noqa: S314 - our own
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= FEED_ELEMENTS, path
        for entry in parsed.entries:
            package = entry.title.partition(" ")[0]
            if "FAIL" not in (said := content(entry)):
                continue
            assert told[package] in said, path
            assert entry.link == f"https://node.example/p/{package}/index.html"
            spoken += 1
    assert spoken > len(HOSTILE_STRINGS)


def content(entry: feedparser.FeedParserDict) -> str:
    """Give an entry's text as a reader shows it."""
    if "content" in entry:
        assert entry.content[0].type == "text/plain"
        return str(entry.content[0].value)
    assert entry.summary_detail.type == "text/html"
    described = Skeleton(entry.summary)
    assert {tag for tag, _ in described.elements} <= {"br"}
    assert described.strange == []
    return described.text


def test_json_feeds_hold_the_words_as_text(public: Path) -> None:
    told = detail_lines()
    found = feeds(public, "feed.json")
    assert len(found) == 1 + len(FindingKind)
    for path, data in found.items():
        for item in json.loads(data)["items"]:
            assert "content_html" not in item, path
            package = item["title"].partition(" ")[0]
            assert told[package] in item["content_text"] or "FAIL" not in item["content_text"], path
            assert unsafe_characters(item["content_text"]) == set()


# ---------------------------------------------------------------- data


def test_every_file_for_programs_holds_to_its_schema(public: Path) -> None:
    seen = set()
    for path, schema, _ in API_FILES:
        for file in public.glob(re.sub(r"\{\w+\}", "*", path)) if schema else ():
            if file.name == "index.json" and "index.json" not in path:
                continue
            document = json.loads(file.read_text("ascii"))
            assert schema_errors(f"site/schemas/{schema}.schema.json", document) == [], file
            seen.add(file)
    assert len(seen) > 2 * len(HOSTILE_STRINGS)


def test_data_holds_the_words_as_they_were(public: Path) -> None:
    for name, word in HOSTILE_STRINGS.items():
        document = json.loads((public / "api" / "v1" / "p" / f"{name}.json").read_text("ascii"))
        assert {cell["detail"] for cell in document["cells"] if "detail" in cell} == {word[:500]}, name
        assert document["imports"] == [[word[:255], f"x{word}"[:255]]], name


def test_pictures_and_sitemaps_hold_nothing_but_their_own(public: Path) -> None:
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


# ---------------------------------------------------------------- the door


def rows(name: str, word: str) -> dict[str, dict[str, Any]]:
    """Give rows of a batch by the field in which a word stands, each in the place of one that is right."""
    *_, (made, _) = hostile_records({name: HARMLESS}, node=PEER.id)
    right = replace(made, log_sha256=None).to_json()
    changed: dict[str, dict[str, Any]] = {
        field: {field: word} for field, value in right.items() if not isinstance(value, int)
    }
    changed |= {
        "file": {"file": right["file"] | {"filename": word}},
        "file sha256": {"file": right["file"] | {"sha256": word}},
        "imports": {"imports": [word]},
        "installed": {"installed": [[word, "1.0", None]]},
        "installed version": {"installed": [["six", word, None]]},
        "installed sha256": {"installed": [["six", "1.0", word]]},
        "duration_ms": {"duration_ms": {word: 1}},
        "bytes": {"bytes": {word: 1}},
        "grounds": {"grounds": {"full": word}},
        "grounds phase": {"grounds": {word: "x"}},
        "another field": {word: word},
    }
    return {field: {**right, **change} for field, change in changed.items()}


def batch(row: dict[str, Any], logs: dict[str, str]) -> tuple[bytes, str]:
    """Give a batch of one row and its signature."""
    document = {"schema": "ppp-batch-1", "node": PEER.id, "records": [row], "logs": logs}
    try:
        data = canonical_json(document)
    except ValueError:
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return data, PEER.sign(data)


def taken(row: dict[str, Any], logs: dict[str, str]) -> Batch | None:
    """Give the batch of a row if it passes the door; else see it refused in a harmless line."""
    data, signature = batch(row, logs)
    verified = admitted(lambda: verify_batch(data, signature, batch_id=sha256_hex(data), trusted={PEER.id}, now=NOW))
    assert verified is None or isinstance(verified, Batch)
    return verified


def admitted(attempt: Callable[[], T]) -> T | None:
    """Give what passes the door; None for what is refused in a line that is harmless itself."""
    refusal = ""
    try:
        return attempt()
    except (RejectedDataError, PeerError) as error:
        refusal = str(error)
    assert unsafe_characters(refusal, keep="") == set()
    assert 0 < len(refusal) < REFUSAL
    return None


def test_a_peers_words_are_refused_or_text(tmp_path: Path) -> None:
    passed: dict[str, set[str]] = {}
    batches: list[Batch] = []
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        for field, row in rows(name, word[:600]).items():
            if verified := taken(row, {}):
                batches.append(verified)
                if not PLAIN.fullmatch(word):
                    passed.setdefault(field, set()).add(name)
    # Only what is told of freely may hold anything but plain words, and no control character either.
    assert passed.keys() == {"detail", "imports", "installed", "installed version"}
    for names in passed.values():
        assert {"script", "attribute-double", "template", "override", "zero-width", "sql", "traversal"} <= names
        assert not {"nul", "c0", "c1", "eight-bit", "colours", "forged", "separators", *SURROGATES} & names
    with Store.open(tmp_path / "data") as store:
        assert sum(merge(store, verified) for verified in batches) > 100
        build(store.db, tmp_path / "public")
    for path in tmp_path.rglob("public/p/**/*.html"):
        assert Skeleton(html := path.read_text("utf-8")).strange == []
        assert unsafe_characters(html) == set(), path


def test_a_peers_logs_are_text_or_refused() -> None:
    for name, word in {**HOSTILE_STRINGS, **SURROGATES}.items():
        digest = sha256_hex(word.encode("utf-8", "surrogatepass"))
        right = rows(name, HARMLESS)["detail"] | {"log_sha256": digest}
        verified = taken(right, {digest: word})
        assert (verified is None) == (name in SURROGATES), name
        assert taken(right, {word: word}) is None
        assert taken(right, {digest: f"{word}x"}) is None


def test_a_peers_paths_are_refused_or_plain() -> None:
    passed: list[str] = []
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        for path in (word, f"p/{word}", f"{word}/index.html", f"batches/{word}.json.gz"):
            data = json.dumps({"schema": "ppp-files-1", "files": [[path, 1, "0" * 64]]}).encode()
            passed += admitted(partial(read_files, data, sha256=sha256_hex(data))) or ()
    assert "p/CON" in passed
    for path in passed:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+!~/-]*", path)
        assert not {"..", ".", ""} & {*path.split("/")}


def test_a_peers_address_is_refused_or_plain() -> None:
    for word in {**HOSTILE_STRINGS, **SURROGATES}.values():
        for address in (word, f"http://{word}/", f"http://node.example/{word}", f"https://x@{word}"):
            if parsed := admitted(lambda address=address: parse_url(address)):  # type: ignore[misc]
                assert re.fullmatch(r"https?://[!-~]+/", parsed)
