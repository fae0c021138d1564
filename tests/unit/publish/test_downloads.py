"""Downloads on the site: they decide the order of lists, and an import changes the pages of those packages only."""

import json
import re
from pathlib import Path

import pytest
from known_downloads import SOURCE, know_downloads

from ppp.ledger.downloads import DownloadsSource
from ppp.ledger.store import Store
from ppp.publish.build import build
from ppp.schemas import schema_errors

NUMBERS = {"old": 340_123_456, "six": 2_000_000_000, "slow": 7, "elsewhere": 10**12}


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def packages_on(root: Path, path: str) -> list[str]:
    """Return the packages that a page links to, in order, each once."""
    return [*dict.fromkeys(re.findall(r'href="[./]*/?p/([a-z-]+)/index.html', (root / path).read_text()))]


def packages_in_matrix(root: Path) -> list[str]:
    """Return the packages in the front page's matrix, in order."""
    matrix = (root / "index.html").read_text().partition('id="matrix-rows"')[2].partition("</table>")[0]
    return re.findall(r'<th scope="row"><a href="p/([a-z-]+)/', matrix)


@pytest.fixture(name="site")
def _site(small: Store, tmp_path: Path) -> Path:
    """A site built before and after an import."""
    build(small.db, tmp_path / "public", cache_path=tmp_path / "cache.db")
    know_downloads(small, "2026-10-02/2026-11-01", NUMBERS)
    build(small.db, tmp_path / "public", cache_path=tmp_path / "cache.db")
    return tmp_path / "public"


def test_lists_begin_with_what_is_downloaded_most_and_feeds_with_what_is_new(small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "before")
    know_downloads(small, "2026-10", NUMBERS)
    build(small.db, tmp_path / "after")
    # Without downloads, what changed last comes first.
    assert packages_in_matrix(tmp_path / "before") == ["slow", "wheels-only", "old", "needs-gcc", "six"]
    assert packages_in_matrix(tmp_path / "after") == ["six", "old", "slow", "needs-gcc", "wheels-only"]
    assert packages_on(tmp_path / "after", "packages/index.html") == ["six", "old", "slow", "needs-gcc", "wheels-only"]
    for path in ("env/py39-slim/index.html", "env/py312-alpine/index.html"):
        assert set(packages_on(tmp_path / "after", path)) == set(packages_on(tmp_path / "before", path))
    feeds = {
        path: content
        for path, content in tree(tmp_path / "before").items()
        if path.endswith(("feed.xml", "atom.xml", "feed.json"))
    }
    assert feeds
    assert feeds.items() <= tree(tmp_path / "after").items()


def test_a_list_of_failures_begins_with_the_most_downloaded(small: Store, tmp_path: Path) -> None:
    path = "findings/newly-broken/index.html"
    know_downloads(small, "2026-10", {"needs-gcc": 5})
    build(small.db, tmp_path / "public")
    page = (tmp_path / "public" / path).read_text()
    assert "Most downloaded first" in page
    assert ", 5 downloads</span>" in page
    assert "Newest first" in (tmp_path / "public" / "findings/python-regression/index.html").read_text()


def test_results_do_not_depend_on_downloads(small: Store, tmp_path: Path) -> None:
    build(small.db, tmp_path / "before")
    know_downloads(small, "2026-10", NUMBERS)
    build(small.db, tmp_path / "after")
    before, after = tree(tmp_path / "before"), tree(tmp_path / "after")
    assert before["current.json"] == after["current.json"]
    assert before.keys() == after.keys()


def test_an_import_builds_the_packages_whose_own_number_changed(small: Store, site: Path, tmp_path: Path) -> None:
    before = tree(site)
    # Every place changes, two numbers do.
    know_downloads(small, "2026-10-02/2026-11-01", NUMBERS | {"slow": 10**11, "needs-gcc": 3})
    again = build(small.db, site, cache_path=tmp_path / "cache.db")
    assert again.packages == 0, "the same file"
    changed = DownloadsSource(source=SOURCE.source, file_sha256="e" * 64)
    know_downloads(small, "2026-10-02/2026-11-01", NUMBERS | {"slow": 10**11, "needs-gcc": 3}, source=changed)
    result = build(small.db, site, cache_path=tmp_path / "cache.db")
    assert result.packages == 2
    now = tree(site)
    pages = {path for path in now if path.startswith(("p/", "api/v1/p/")) and now[path] != before[path]}
    assert pages == {f"p/{name}/index.html" for name in ("slow", "needs-gcc")} | {
        f"api/v1/p/{name}.json" for name in ("slow", "needs-gcc")
    }
    build(small.db, tmp_path / "whole")
    assert tree(tmp_path / "whole") == now
    assert build(small.db, site, cache_path=tmp_path / "cache.db").written == ()


def test_another_period_changes_those_that_have_a_number_in_it(small: Store, site: Path, tmp_path: Path) -> None:
    newer = DownloadsSource(source="another, CC-BY <4>", file_sha256="e" * 64)
    know_downloads(small, "2026-11", {"six": NUMBERS["six"], "wheels-only": 4}, source=newer)
    assert build(small.db, site, cache_path=tmp_path / "cache.db").packages == 4
    build(small.db, tmp_path / "whole")
    assert tree(tmp_path / "whole") == tree(site)
    assert "Downloaded" not in (site / "p/old/index.html").read_text()
    assert "another, CC-BY &lt;4&gt;" in (site / "data/index.html").read_text()


def test_a_package_has_its_own_number_and_its_period(site: Path) -> None:
    page = " ".join((site / "p/old/index.html").read_text().split())
    assert "Downloaded <strong>340,123,456</strong> times from 2026-10-02 to 2026-11-01." in page
    document = json.loads((site / "api/v1/p/old.json").read_text())
    assert document["downloads"] == {"period": "2026-10-02/2026-11-01", "count": 340_123_456}
    assert schema_errors("site/schemas/package.schema.json", document) == []
    assert "downloads" not in json.loads((site / "api/v1/p/needs-gcc.json").read_text())
    front = (site / "index.html").read_text()
    assert "3.0, 340M</span>" in front
    assert "downloads from 2026-10-02 to 2026-11-01" in front
    assert SOURCE.file_sha256 in (site / "data/index.html").read_text()


def test_search_has_the_numbers(site: Path) -> None:
    document = json.loads((site / "search/sl.json").read_text())
    assert schema_errors("site/schemas/search-shard.schema.json", document) == []
    assert document["packages"] == [["slow", "0.1", 0, 1, 0, 7]]
    document = json.loads((site / "search/ne.json").read_text())
    assert [len(row) for row in document["packages"]] == [4]
