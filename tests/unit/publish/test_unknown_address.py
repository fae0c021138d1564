"""A site whose address nobody has said: no file names a made-up host, and every link leads to a file of the site."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree as ET

import feedparser
import pytest
from journal_rows import follow, name_release, queue_release
from known_downloads import know_downloads
from small_sites import bound_with_room

from ppp.ledger.schema import LEDGER_NAME
from ppp.ledger.store import Store
from ppp.model.site_bound import SiteBound
from ppp.publish.build import build
from ppp.publish.snapshots.retention import RetentionPolicy
from ppp.publish.snapshots.take import take

DAY = 1_714_003_200
#: Where a reader found the site, which the node does not know.
FOUND = "https://somewhere.example/below/"
#: A host of ours that is set, to prove that the search finds one.
OURS = "https://node.example/ppp/"
FEEDS = ("feed.xml", "atom.xml", "feed.json", "feed.atom")
#: Prose of ours, where such a host stands for the reader's own, and the text of causes, which hides hosts behind one.
PROSE = re.compile(r"docs/.*|about/.*|causes/.*")
#: What a file leads to: attributes of HTML and XML, and text that is an address as a whole.
LINKS = re.compile(r"""(?:href|src|srcset|content|action|cite|poster|data-\w+)="([^"]*)"|>\s*(https?:[^<\s]*)\s*<""")
#: A site with a page of each package, and one without room for these.
BOUNDS = pytest.mark.parametrize("bound", [None, bound_with_room(20)], ids=["whole", "partial"])


@pytest.fixture
def ledger(small: Store) -> Store:
    """The small ledger with all that gives a site more files: a journal, downloads."""
    with small.db.atomic():
        follow(small, 31_000_000, DAY + 700)
        for serial, (package, version) in enumerate((("six", "1.17.0"), ("announced", "0.1"), ("other", "2.0"))):
            name_release(small, package, version, serial=30_999_000 + serial, at=DAY + serial)
        queue_release(small, "announced", "0.1")
    know_downloads(small, "2024-03-25/2024-04-24", {"six": 404_306_024, "needs-gcc": 999})
    return small


def site(ledger: Store, out: Path, *, base_url: str = "", bound: SiteBound | None = None) -> dict[str, bytes]:
    take(ledger.path / LEDGER_NAME, out, RetentionPolicy(days=7, weeks=4, window_bytes=10_000_000))
    build(ledger.db, out, base_url=base_url, bound=bound)
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def made_up(files: dict[str, bytes]) -> list[tuple[str, str]]:
    """Return what could be an address of the site: a host under `.example`, a protocol-relative link, a sitemap's."""
    found = []
    for path, data in files.items():
        text = data.decode("utf-8", "replace")
        links = [link for pair in LINKS.findall(text) for link in pair if link]
        found += [(path, link) for link in links if link.startswith("//") or ".example" in (urlsplit(link).netloc)]
        if not PROSE.fullmatch(path):
            found += [(path, name) for name in re.findall(r"[\w.-]+\.example\b", text)]
    return found


@BOUNDS
def test_no_file_names_a_host_that_nobody_said(ledger: Store, tmp_path: Path, bound: SiteBound | None) -> None:
    files = site(ledger, tmp_path / "public", bound=bound)
    assert made_up(files) == []
    assert len([path for path in files if path.endswith(FEEDS)]) > 20
    assert [path for path in files if "sitemap" in path or path.endswith(".opml")] == []
    assert files["robots.txt"] == b"User-agent: *\nAllow: /\n"
    found = {path for path, _ in made_up(site(ledger, tmp_path / "public", base_url=OURS, bound=bound))}
    assert {"robots.txt", "sitemap.xml", "feeds.opml", "journal/feed.atom", "feed.json"} <= found
    assert ("p/six/index.html" in found) == (bound is None)


def read_feed(path: str, data: bytes) -> Iterator[str]:
    """Yield the links of a feed as a reader resolves them that found it at its path."""
    if path.endswith(".json"):
        document = json.loads(data)
        assert not {"home_page_url", "feed_url"} & document.keys()
        assert not any("url" in item for item in document["items"])
        assert all(item["id"].startswith("urn:") for item in document["items"])
        return
    headers = {"content-location": f"{FOUND}{path}", "content-type": "application/xml"}
    parsed = feedparser.parse(data, response_headers=headers)
    assert not parsed.bozo, (path, parsed.get("bozo_exception"))
    assert parsed.feed.title
    yield parsed.feed.link
    for entry in parsed.entries:
        assert entry.id.startswith("urn:")
        yield entry.link
    # By the standards as well: relative to the document, since nothing in it says otherwise.
    root = ET.fromstring(data)  # noqa: S314 - our own
    assert not any(name.endswith("base") for element in root.iter() for name in element.attrib)
    assert not any(element.get("rel") == "self" for element in root.iter())
    named = [element.get("href") or element.text or "" for element in root.iter() if element.tag.endswith("link")]
    yield from (urljoin(f"{FOUND}{path}", link) for link in named)


@BOUNDS
def test_every_feed_is_read_and_its_links_lead_to_pages(ledger: Store, tmp_path: Path, bound: SiteBound | None) -> None:
    files = site(ledger, tmp_path / "public", bound=bound)
    links = {link for path, data in files.items() if path.endswith(FEEDS) for link in read_feed(path, data)}
    pages = {link.removeprefix(FOUND).partition("?")[0] for link in links}
    assert {"index.html", "p/six/index.html" if bound is None else "lookup/index.html", "journal/index.html"} <= pages
    assert pages - files.keys() == set()


def test_the_page_of_a_package_says_what_its_badge_lacks(ledger: Store, tmp_path: Path) -> None:
    page = site(ledger, tmp_path / "public")["p/six/index.html"].decode()
    assert "[![" not in page
    assert '<img src="../../badge/six.svg"' in page
    assert "<code>PPP_BASE_URL</code>" in page


def test_an_address_that_is_set_or_unset_later_gives_the_same_site_as_from_the_start(
    ledger: Store, tmp_path: Path
) -> None:
    out, cache = tmp_path / "public", tmp_path / "cache.db"
    for base_url in ("", OURS, ""):
        fresh = tmp_path / f"fresh{len(base_url)}"
        build(ledger.db, fresh, base_url=base_url)
        build(ledger.db, out, base_url=base_url, cache_path=cache)
        assert tree(out) == tree(fresh)


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
